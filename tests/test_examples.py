"""The examples work: the notebook, and the jobs in SageMaker as far as they can be tried here."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path
from types import ModuleType
from typing import Any

import boto3
import nbclient
import nbformat
import pytest
from botocore.stub import Stubber
from conftest import ROOT, SMALL_DATABASE, command, unpack

from headpose_fast.cli.prepare import parser as _parser

SAGEMAKER = ROOT / "examples" / "sagemaker"
NAME = "HeadPoseData_trn_test_x15_py2.pkl"
SMALL = ("--allow-incomplete", "--test-persons", "5")


def read_notebook(name: str) -> nbformat.NotebookNode:
    path = ROOT / "examples" / name
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    return notebook


def outputs_of(name: str, folder: Path) -> list[Any]:
    """Run a notebook in a folder; return the outputs of all its cells."""
    notebook = read_notebook(name)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": folder}}
    ).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", ())]


@pytest.mark.parametrize("name", ["head_pose.ipynb", "training.ipynb"])
def test_a_notebook_is_committed_without_outputs(name: str) -> None:
    code = [cell for cell in read_notebook(name).cells if cell.cell_type == "code"]
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)


def test_a_notebook_learns_the_poses_of_unseen_people(tmp_path: Path) -> None:
    outputs = outputs_of("head_pose.ipynb", tmp_path)
    (tmp_path / "head_pose.pkl").unlink()
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 1
    results = ast.literal_eval(outputs[-1].data["text/plain"])
    tilt, pan = results["model"]
    assert tilt < 16
    assert pan < 16
    assert results["directions"] > 0.75
    # Always the mean of the poses, which is straight ahead.
    assert results["constant"] == pytest.approx([31.3, 47.4], abs=0.1)
    for shuffled, constant in zip(results["shuffled"], results["constant"], strict=True):
        assert 0.9 * constant < shuffled < 1.3 * constant


def test_a_notebook_leads_to_training_batches(tmp_path: Path) -> None:
    outputs = outputs_of("training.ipynb", tmp_path)
    assert sum("image/png" in output.get("data", ()) for output in outputs) == 1
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    # One photograph in eight epochs, mirrored in some of them.
    (line,) = re.findall("^tilt, pan: (.+)", printed, re.M)
    assert len(line.split()) == 8
    assert set(line.split()) == {"+0,-60", "+0,+60"}
    # Two epochs of other crops.
    means = re.findall(r"^epoch \d: 35 batches, means (.+) degrees$", printed, re.M)
    assert len(set(means)) == 2
    assert "tilt 31.3, pan 47.4 degrees\nright: 1.1% of 558 photographs\n" in printed
    assert list(tmp_path.iterdir()) == []


class Container:
    """Folders as SageMaker gives them to a Processing job, and processing.py in them."""

    def __init__(self, base: Path) -> None:
        """Take a folder for /opt/ml."""
        self.base = base
        self.input = base / "processing" / "input" / "database"
        self.output = base / "processing" / "output"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the job."""
        return subprocess.Popen(
            [sys.executable, SAGEMAKER / "processing.py", *arguments],
            env={**os.environ, "SAGEMAKER_BASE_DIR": str(self.base), "PYTHONUTF8": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run the job; return its exit status, stdout and stderr."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    def message(self) -> str:
        """Read what SageMaker would show as ExitMessage."""
        return (self.base / "output" / "message").read_bytes().decode("utf-8")

    def outputs(self) -> list[str]:
        """List what SageMaker would upload."""
        return [path.name for path in self.output.iterdir()]


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path / "ml")


@pytest.mark.parametrize("packed", [True, False], ids=["archive", "folders"])
def test_processing_makes_the_bundle_of_its_input(packed: bool, container: Container) -> None:
    container.input.mkdir(parents=True)
    if packed:
        shutil.copy(SMALL_DATABASE, container.input / "mine.tar")
    else:
        unpack(SMALL_DATABASE, container.input)
    status, out, err = container.run(*SMALL)
    assert (status, out) == (0, f"{container.output / NAME}\n")
    assert "60 train and 12 test samples" in err
    assert container.message() == err
    assert container.outputs() == [NAME]
    same = container.base / NAME
    assert command(*SMALL, "--input", SMALL_DATABASE, "--output", same).returncode == 0
    assert (container.output / NAME).read_bytes() == same.read_bytes()


@pytest.mark.parametrize("has_input", [True, False])
def test_processing_takes_another_input_and_output(has_input: bool, container: Container) -> None:
    if has_input:
        container.input.mkdir(parents=True)
    options = ("--input", str(SMALL_DATABASE), "--output", str(container.output / "own.pkl"))
    status, _, err = container.run(*SMALL, *options)
    assert status == 0, err
    assert container.outputs() == ["own.pkl"]


def test_processing_tells_of_wrong_usage(container: Container) -> None:
    status, out, err = container.run("--num-data-aug", "0")
    assert (status, out) == (2, "")
    assert "'0' is not a whole number" in err
    assert container.outputs() == []
    # The error stands behind the usage, and is not cut.
    assert container.message() == err


def test_processing_tells_of_a_missing_database(container: Container) -> None:
    container.input.mkdir(parents=True)
    status, out, err = container.run()
    assert (status, out) == (1, "")
    assert err.startswith("headpose-fast: error: ")
    assert str(container.input) in err
    assert container.message() == err
    assert container.outputs() == []


@pytest.mark.parametrize("shift", range(3))
def test_processing_cuts_its_message_between_characters(shift: int, container: Container) -> None:
    """Three bytes each, so that one of three shifts leaves none of a character over."""
    missing = "x" * shift + "\N{EURO SIGN}" * 60 + "/"
    status, _, err = container.run("--input", missing * 8)
    assert status == 1
    assert len(err.encode()) > 1024
    assert 1021 < len(container.message().encode()) <= 1024
    assert err.startswith(container.message())


@pytest.mark.skipif(os.name != "posix", reason="arguments of any bytes are those of POSIX")
def test_processing_writes_other_bytes_as_utf8(container: Container) -> None:
    status, _, _ = container.run("--input", str(SMALL_DATABASE), os.fsdecode(b"\xff.tar"))
    assert status == 2
    assert container.message().endswith("unrecognized arguments: \\udcff.tar\n")


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_processing_is_stopped_by_sigterm(container: Container) -> None:
    process = container.start(*SMALL, "--input", str(SMALL_DATABASE), "--num-data-aug", "9999")
    deadline = time.monotonic() + 20
    while not list(container.output.glob(".*.tmp")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (128 + signal.SIGTERM, "")
    assert err == "headpose-fast: stopped by SIGTERM\n"
    assert container.message() == err
    assert container.outputs() == []


def test_the_image_runs_processing_without_a_shell() -> None:
    (entrypoint,) = re.findall(r"^ENTRYPOINT (.+)", (SAGEMAKER / "Dockerfile").read_text(), re.M)
    assert json.loads(entrypoint) == ["python", "/opt/headpose/processing.py"]


class Service:
    """SageMaker without a network: keeps requests that fit boto3's models, and gives answers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stand behind every client that boto3 makes."""
        keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
        self._client = boto3.client("sagemaker", region_name="eu-west-1", **keys)
        self._client.meta.events.register("provide-client-params.sagemaker", self._keep)
        self.stub = Stubber(self._client)
        self.stub.activate()
        self.requests: dict[str, dict[str, Any]] = {}
        monkeypatch.setattr(boto3, "client", lambda service: {"sagemaker": self._client}[service])

    def _keep(self, params: dict[str, Any], model: Any, **_: object) -> None:  # noqa: ANN401
        check(model.input_shape, params)
        self.requests[model.name] = params

    def answer(self, *statuses: str, **facts: str) -> None:
        """Answer one Processing job's creation, then looks at it."""
        arn = "arn:aws:sagemaker:eu-west-1:123456789012:processing-job/name"
        self.stub.add_response("create_processing_job", {"ProcessingJobArn": arn})
        for status in statuses:
            job = {
                "ProcessingJobName": "name",
                "ProcessingResources": {
                    "ClusterConfig": {"InstanceCount": 1, "VolumeSizeInGB": 10}
                },
                "AppSpecification": {"ImageUri": "image"},
                "ProcessingJobArn": arn,
                "ProcessingJobStatus": status,
                "CreationTime": datetime.now(timezone.utc),
            }
            self.stub.add_response("describe_processing_job", {**job, **facts})


def check(shape: Any, value: Any) -> None:  # noqa: ANN401
    """Assert what botocore leaves to AWS: enums, patterns and the most of everything."""
    most, least = shape.metadata.get("max"), shape.metadata.get("min")
    size = value if isinstance(value, int) else len(value)
    assert most is None or size <= most, value
    assert least is None or size >= least, value
    if shape.type_name == "structure":
        for name, member in value.items():
            check(shape.members[name], member)
    elif shape.type_name == "map":
        for name, member in value.items():
            check(shape.key, name)
            check(shape.value, member)
    elif shape.type_name == "list":
        for member in value:
            check(shape.member, member)
    elif shape.type_name == "string":
        assert value in shape.metadata.get("enum", (value,))
        assert re.fullmatch(shape.metadata.get("pattern", ".*"), value), value


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Service:
    return Service(monkeypatch)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(SAGEMAKER))
    module = importlib.import_module("start")
    monkeypatch.setattr(module, "PAUSE", 0)
    return module


ROLE = "arn:aws:iam::123456789012:role/sagemaker"
START = [
    *("--role", ROLE, "--image", "headpose", "--output", "s3://bucket/headpose"),
    *("--training-image", "mxnet", "--training-code", "s3://bucket/sourcedir.tar.gz"),
    *("--training-program", "train.py"),
]


def test_start_leads_the_bundle_from_processing_to_training(
    start: ModuleType, service: Service, container: Container, tmp_path: Path
) -> None:
    """With folders for S3, which it hands on as SageMaker does."""
    service.answer("InProgress", "Completed", ExitMessage="made it\n")
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/name"
    service.stub.add_response("create_training_job", {"TrainingJobArn": arn})
    database = ("--database", "s3://bucket/database.tar")
    assert start.main([*START, *database, "--", *SMALL]) == 0
    service.stub.assert_no_pending_responses()

    made = service.requests["CreateProcessingJob"]
    (source,) = made["ProcessingInputs"]
    assert source["S3Input"]["S3Uri"] == "s3://bucket/database.tar"
    folder = container.base / Path(source["S3Input"]["LocalPath"]).relative_to("/opt/ml")
    folder.mkdir(parents=True)
    shutil.copy(SMALL_DATABASE, folder / "database.tar")
    assert container.run(*made["AppSpecification"]["ContainerArguments"])[0] == 0
    (bundle,) = made["ProcessingOutputConfig"]["Outputs"]
    folder = container.base / Path(bundle["S3Output"]["LocalPath"]).relative_to("/opt/ml")
    shutil.copytree(folder, tmp_path / bundle["S3Output"]["S3Uri"].removeprefix("s3://"))

    trained = service.requests["CreateTrainingJob"]
    (channel,) = trained["InputDataConfig"]
    assert channel["ChannelName"] == "dataset"
    uri = channel["DataSource"]["S3DataSource"]["S3Uri"]
    assert re.fullmatch(r"s3://bucket/headpose/headpose-[0-9-]{19}/bundle/", uri)
    assert [path.name for path in (tmp_path / uri.removeprefix("s3://")).rglob("*")] == [NAME]
    # Else the next training job that reads the folder would get the model, too.
    assert not trained["OutputDataConfig"]["S3OutputPath"].startswith(uri)
    assert {name: json.loads(value) for name, value in trained["HyperParameters"].items()} == {
        "sagemaker_program": "train.py",
        "sagemaker_submit_directory": "s3://bucket/sourcedir.tar.gz",
        "sagemaker_region": "eu-west-1",
    }


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_start_does_not_train_without_a_bundle(
    status: str, start: ModuleType, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.answer("Stopping", status, ExitMessage="no database\n", FailureReason="exit code 1")
    assert start.main(START) == 1
    service.stub.assert_no_pending_responses()
    assert set(service.requests) == {"CreateProcessingJob", "DescribeProcessingJob"}
    # Neither an input nor options: the job downloads the database.
    assert "ProcessingInputs" not in service.requests["CreateProcessingJob"]
    assert "ContainerArguments" not in service.requests["CreateProcessingJob"]["AppSpecification"]
    out, err = capsys.readouterr()
    assert out == ""
    message, error = err.splitlines()[-2:]
    assert message == "no database"
    assert re.fullmatch(rf"error: Processing job headpose-\S+: {status}: exit code 1", error)


def test_start_tells_in_a_line_what_aws_refuses(
    start: ModuleType, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.stub.add_client_error("create_processing_job", "AccessDeniedException", "not you")
    assert start.main(START) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"error: .*AccessDeniedException.*: not you", line)


def test_the_page_of_sagemaker_shows_commands_of_start(start: ModuleType) -> None:
    page = (ROOT / "docs" / "sagemaker.md").read_text(encoding="utf-8").replace("\\\n", " ")
    (arguments,) = re.findall(r"^    python examples/sagemaker/start\.py (.+)", page, re.M)
    options = start._parser().parse_args(shlex.split(arguments))
    assert _parser().parse_args(options.options).num_data_aug == 15
