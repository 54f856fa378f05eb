"""Shards in a bucket, over HTTP to a store in another process, through a network that fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_DATABASE, command
from stores import Network, Store
from stores import environment as environment
from stores import network as network
from stores import server as server
from stores import store as store

import headpose_fast
from headpose_fast import load, prepare
from headpose_fast.sharding.bucket import Bucket
from headpose_fast.stores import clients, objects
from headpose_fast.stores.addresses import Destination

#: Shards of 12 MB, so of two parts.
OPTIONS: dict[str, Any] = {
    "test_persons": [5],
    "allow_incomplete": True,
    "num_data_aug": 120,
    "num_data_aug_val": 2,
}
SMALL = ("--allow-incomplete", "--test-persons", "5", "--input", str(SMALL_DATABASE))
NAMES = [f"of-{i:05}-of-00004.pkl" for i in range(4)]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def make(store: Store, **options: Any) -> headpose_fast.Prepared:  # noqa: ANN401
    address = f"s3://{store.bucket}/data/of.json"
    return prepare(SMALL_DATABASE, address, shards=4, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Give the shards and index that a folder gets."""
    folder = tmp_path_factory.mktemp("expected")
    prepare(SMALL_DATABASE, folder / "of.json", shards=4, **OPTIONS)
    return {f"data/{path.name}": path.read_bytes() for path in folder.iterdir()}


def keys(store: Store) -> set[str]:
    return {*store.keys()}


def test_a_bucket_gets_what_a_folder_gets(
    store: Store, temporary: Path, expected: dict[str, bytes]
) -> None:
    prepared = make(store)
    assert prepared.address == f"s3://{store.bucket}/data/of.json"
    assert (prepared.path, prepared.shards_found) == (Path("of.json"), 0)
    assert prepared.size == sum(map(len, expected.values()))
    assert store.contents() == expected
    assert store.unfinished() == []
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("index", ["", "of.json"])
def test_a_folder_may_be_named_as_a_bundle_is(index: str, store: Store, temporary: Path) -> None:  # noqa: ARG001
    address = f"s3://{store.bucket}/run.pkl/{index}"
    prepared = prepare(SMALL_DATABASE, address, shards=2, **OPTIONS)
    assert prepared.address == f"{address.removesuffix(index)}{prepared.path}"
    stem = prepared.path.stem
    shards = [f"run.pkl/{stem}-{i:05}-of-00002.pkl" for i in range(2)]
    assert keys(store) == {*shards, f"run.pkl/{stem}.json"}


def test_the_command(store: Store, temporary: Path, tmp_path: Path) -> None:
    job = (*SMALL, "--shards", "2", "--output", f"s3://{store.bucket}/data/")
    index = f"s3://{store.bucket}/data/HeadPoseData_trn_test_x15_py2.json"
    done = command(*job, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{index}\n"), done.stderr
    assert f"wrote {index}: 2 shards, " in done.stderr
    done = command(*job, "--json", "--quiet", cwd=tmp_path)
    facts = json.loads(done.stdout)
    assert (facts["address"], facts["shards"], facts["shards_found"]) == (index, 2, 2)
    assert list(tmp_path.iterdir()) == [temporary]
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("fault", ["deleted", "truncated", "altered", "replaced", "other job"])
def test_only_an_object_that_is_not_right_is_made_again(
    fault: str, store: Store, expected: dict[str, bytes]
) -> None:
    store.keep_versions()
    make(store)
    key = f"data/{NAMES[2]}"
    content = expected[key]
    head = store.client.head_object(Bucket=store.bucket, Key=key)
    if fault == "deleted":
        store.client.delete_object(Bucket=store.bucket, Key=key)
    elif fault == "other job":
        source = f"{store.bucket}/data/{NAMES[1]}"
        store.client.copy_object(Bucket=store.bucket, Key=key, CopySource=source)
    else:
        body = {
            "truncated": content[:-1],
            "altered": content[:5000] + bytes([content[5000] ^ 1]) + content[5001:],
            "replaced": content,
        }[fault]
        metadata = {} if fault == "replaced" else head["Metadata"]
        store.client.put_object(Bucket=store.bucket, Key=key, Body=body, Metadata=metadata)
    before = store.versions()
    assert make(store).shards_found == 3
    assert store.contents() == expected
    after = store.versions()
    kept = {name for name in NAMES if before.get(f"data/{name}") == after[f"data/{name}"]}
    assert kept == {*NAMES} - {NAMES[2]}


@pytest.mark.parametrize("cut_at", [3 << 20, 20 << 20])
def test_a_network_that_fails_now_and_then(
    cut_at: int, network: Network, store: Store, temporary: Path, expected: dict[str, bytes]
) -> None:
    network.cut_at, network.outage = cut_at, 1
    make(store)
    assert network.cuts > 0
    assert store.contents() == expected
    assert store.unfinished() == []
    assert list(temporary.iterdir()) == []


def test_a_network_lost_for_good_ends_the_run_which_then_goes_on(
    network: Network,
    store: Store,
    temporary: Path,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store.keep_versions()
    network.cut_at, network.for_good = 30 << 20, True
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    with pytest.raises(headpose_fast.UploadError, match=r"of-0000\d-of-00004.pkl"):
        make(store)
    assert list(temporary.iterdir()) == []
    there = store.keys()
    assert "data/of.json" not in there
    assert 1 <= len(there) < 4
    assert store.contents() == {key: expected[key] for key in there}
    before = store.versions()
    # The network is back. What could not be aborted then, its message said how to.
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
    assert make(store).shards_found == len(there)
    assert store.contents() == expected
    assert {key: date for key, date in store.versions().items() if key in before} == before


def test_the_error_of_an_upload_ends_the_next_shard(
    store: Store, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not rendered to its end."""

    def refuse(self: Bucket, *_: object) -> None:
        self.file(NAMES[0]).unlink()
        raise headpose_fast.UploadError("refused")

    monkeypatch.setattr(Bucket, "keep", refuse)
    samples = []
    with pytest.raises(headpose_fast.UploadError, match="refused"):
        make(store, num_data_aug=4000, progress=lambda done, total: samples.append(done / total))
    assert samples[-1] < 0.5
    assert list(temporary.iterdir()) == []


def test_a_shard_is_sent_while_the_next_is_rendered_and_two_are_on_the_disk(
    store: Store, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep, most, meanwhile = Bucket.keep, [0], []
    progressed = threading.Event()

    def slow(self: Bucket, *arguments: Any) -> None:  # noqa: ANN401
        progressed.clear()
        meanwhile.append(progressed.wait(2))
        keep(self, *arguments)

    def progress(_done: int, _total: int) -> None:
        progressed.set()
        most[0] = max(most[0], len(list(temporary.glob("*/of-*.pkl"))))

    monkeypatch.setattr(Bucket, "keep", slow)
    make(store, num_data_aug=400, progress=progress)
    assert meanwhile == [True, True, True, False]
    assert most[0] <= 2


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_a_signal_aborts_the_upload_and_leaves_finished_shards(
    network: Network, store: Store, temporary: Path, expected: dict[str, bytes]
) -> None:
    network.pause = 0.02
    job = [*SMALL, "--num-data-aug", "120", "--num-data-aug-val", "2", "--shards", "4"]
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "headpose_fast",
            *job,
            "--output",
            f"s3://{store.bucket}/data/of.json",
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while network.sent < 18 << 20 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (130, "headpose-fast: stopped by SIGINT\n")
    assert store.unfinished() == []
    assert list(temporary.iterdir()) == []
    assert store.keys() == [f"data/{NAMES[0]}"]
    network.pause = 0
    assert make(store).shards_found == 1
    assert store.contents() == expected


def test_the_index_is_last_and_that_of_another_job_is_dropped_first(
    store: Store, expected: dict[str, bytes]
) -> None:
    make(store, seed=1)
    with pytest.raises(RuntimeError):
        make(store, progress=stop_at_the_end)
    assert "data/of.json" not in keys(store)
    make(store)
    assert store.contents() == expected


def stop_at_the_end(done: int, total: int) -> None:
    if done > 0.9 * total:
        raise RuntimeError


def test_an_index_is_uploaded_after_its_shards(
    network: Network, store: Store, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    index = tmp_path / "of.json"
    prepare(SMALL_DATABASE, index, shards=4, **OPTIONS)
    told: list[tuple[int, int]] = []
    network.cut_at = 20 << 20
    address = headpose_fast.upload(
        index, f"s3://{store.bucket}/data", progress=lambda *done: told.append(done)
    )
    assert address == f"s3://{store.bucket}/data/of.json"
    assert store.contents() == expected
    total = sum(map(len, expected.values()))
    assert told[-1] == (total, total)
    written = {
        key: store.client.head_object(Bucket=store.bucket, Key=key)["LastModified"]
        for key in expected
    }
    assert max(written.values()) == written["data/of.json"]
    with pytest.raises(ValueError, match="go to a folder"):
        headpose_fast.upload(index, f"s3://{store.bucket}/data/x.pkl")
    os.truncate(tmp_path / NAMES[3], 1000)
    with pytest.raises(headpose_fast.BundleError, match=NAMES[3]):
        headpose_fast.upload(index, f"s3://{store.bucket}/again")
    (tmp_path / NAMES[3]).unlink()
    with pytest.raises(FileNotFoundError, match=NAMES[3]):
        headpose_fast.upload(index, f"s3://{store.bucket}/again")
    assert {*store.keys()} == {*expected}


def test_the_job_uploads_its_shards(store: Store, tmp_path: Path) -> None:
    target = ("--output", tmp_path, "--shards", "3", "--pickle", "small")
    done = command(*SMALL, *target, "--upload", f"s3://{store.bucket}", "--quiet")
    index = tmp_path / "HeadPoseData_trn_test_x15_py2.json"
    assert done.stdout == f"{index}\ns3://{store.bucket}/{index.name}\n", done.stderr
    assert store.contents() == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_what_was_downloaded_loads_as_one(store: Store, tmp_path: Path) -> None:
    make(store)
    for key in keys(store):
        (tmp_path / Path(key).name).write_bytes(store.content(key))
    whole = load(prepare(SMALL_DATABASE, tmp_path / "one.pkl", **OPTIONS).path)
    for array, one in zip(load(tmp_path / "of.json"), whole, strict=True):
        assert np.array_equal(array, one)


@pytest.mark.parametrize("size", [0, 1000, objects.PART_SIZE - 1, objects.PART_SIZE, 20 << 20])
def test_the_etag_of_a_file_is_that_of_its_object(store: Store, tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.pkl"
    path.write_bytes(np.random.RandomState(0).bytes(size))
    headpose_fast.upload(path, f"s3://{store.bucket}")
    found = objects.Objects().found(Destination(store.bucket, "a.pkl"))
    assert found is not None
    assert (found.size, found.etag) == (size, objects.etag_of(path))


def test_an_object_of_a_key_of_ones_own_has_no_etag_to_compare(store: Store) -> None:
    assert objects.Found.of({"ContentLength": 1, "ETag": f'"{"0" * 32}"'}).etag == "0" * 32
    for more in ({"ServerSideEncryption": "aws:kms"}, {"SSECustomerAlgorithm": "AES256"}):
        head = {"ContentLength": 1, "ETag": f'"{"0" * 32}"', **more}
        assert objects.Found.of(head).etag is None
    assert objects.Found.of({"ContentLength": 1, "ETag": '"own"'}).etag is None
    assert objects.Objects().found(Destination(store.bucket, "absent")) is None
    objects.Objects().delete(Destination(store.bucket, "absent"))


def test_refusals_are_one_line_before_anything_is_rendered(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def error() -> str:
        job = (*SMALL, "--shards", "2", "--output", "s3://no-such-bucket/data")
        done = command(*job, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        (line,) = done.stderr.splitlines()
        return line

    assert "s3://no-such-bucket/data/HeadPoseData_trn_test_x15_py2.json" in error()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    assert "nonsense" in error()
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "nobody" in error()
    monkeypatch.delenv("AWS_PROFILE")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{store.port}")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "set AWS_PROFILE" in error()
    assert "s3:ListBucket" in clients.reason_of(
        type("E", (Exception,), {"response": {"Error": {"Code": "403"}}})()
    )
