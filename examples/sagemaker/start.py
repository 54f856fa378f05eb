"""Start a Processing job that makes the bundle, then the training job that reads it.

    python start.py --role ARN --image URI --output s3://BUCKET/FOLDER [--database s3://BUCKET/KEY]
        --training-image URI --training-code s3://BUCKET/sourcedir.tar.gz --training-program FILE.py
        [-- OPTION ...]

Options after `--` are those of `python -m headpose_fast`. See docs/sagemaker.md.
"""

# ruff: noqa: ANN401 (boto3 has no types)
from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

#: Seconds between two checks of the Processing job.
PAUSE = 15

#: Where the bundle is in a run's folder. The final slash matters, since SageMaker takes all objects
#: whose names begin with this.
BUNDLE = "bundle/"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the Processing job to its end, start the training job, and return the exit status."""
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except (BotoCoreError, ClientError) as error:
        _say(f"error: {error}")
        return 1


def _run(options: argparse.Namespace) -> int:
    name = f"headpose-{datetime.now(timezone.utc):%Y-%m-%d-%H-%M-%S}"
    # Each run has its own: the training job must not find another run's bundle.
    folder = f"{options.output.rstrip('/')}/{name}/"
    sagemaker = boto3.client("sagemaker")

    sagemaker.create_processing_job(**processing_job(name, folder, options))
    _say(f"Processing job {name} has started")
    ended = _wait(sagemaker, name)
    if "ExitMessage" in ended:
        _say(ended["ExitMessage"].rstrip())
    if ended["ProcessingJobStatus"] != "Completed":
        reason = ended.get("FailureReason", "no reason given")
        _say(f"error: Processing job {name}: {ended['ProcessingJobStatus']}: {reason}")
        return 1
    region = sagemaker.meta.region_name
    sagemaker.create_training_job(**training_job(name, folder, region, options))
    _say(f"training job {name} has started")
    print(folder)
    return 0


def processing_job(name: str, folder: str, options: argparse.Namespace) -> dict[str, Any]:
    """Return the request of a Processing job that runs processing.py in its image."""
    job: dict[str, Any] = {
        "ProcessingJobName": name,
        "RoleArn": options.role,
        "AppSpecification": {"ImageUri": options.image},
        "ProcessingOutputConfig": {
            "Outputs": [
                {
                    "OutputName": "bundle",
                    "S3Output": {
                        "S3Uri": f"{folder}{BUNDLE}",
                        "LocalPath": "/opt/ml/processing/output",
                        "S3UploadMode": "EndOfJob",
                    },
                }
            ]
        },
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": options.instance,
                "VolumeSizeInGB": 10,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }
    if options.options:
        job["AppSpecification"]["ContainerArguments"] = options.options
    if options.database:
        job["ProcessingInputs"] = [
            {
                "InputName": "database",
                "S3Input": {
                    "S3Uri": options.database,
                    "LocalPath": "/opt/ml/processing/input/database",
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                },
            }
        ]
    return job


def training_job(
    name: str, folder: str, region: str, options: argparse.Namespace
) -> dict[str, Any]:
    """Return the request of a training job with the bundle's folder as its channel.

    The hyperparameters point AWS's framework images to the program, as JSON.
    """
    hyperparameters = {
        "sagemaker_program": options.training_program,
        "sagemaker_submit_directory": options.training_code,
        "sagemaker_region": region,
    }
    return {
        "TrainingJobName": name,
        "RoleArn": options.role,
        "AlgorithmSpecification": {
            "TrainingImage": options.training_image,
            "TrainingInputMode": "File",
        },
        "HyperParameters": {key: json.dumps(value) for key, value in hyperparameters.items()},
        "InputDataConfig": [
            {
                "ChannelName": options.channel,
                "DataSource": {
                    "S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{folder}{BUNDLE}"}
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": f"{folder}model"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": options.training_instance,
            "VolumeSizeInGB": 30,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": 86400},
    }


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Make the bundle, then train, in SageMaker.")
    add = parser.add_argument
    add("--role", required=True, help="ARN of the role of both jobs")
    add("--image", required=True, help="image with processing.py, in ECR")
    add("--output", required=True, help="s3://BUCKET/FOLDER; each run makes its own folder in it")
    add("--database", help="s3://... of the archive (default: the job downloads the published one)")
    add("--instance", default="ml.m5.large", help="default: %(default)s")
    add("--training-image", required=True, help="training image, such as AWS's for MXNet")
    add("--training-code", required=True, help="s3://... of the sourcedir.tar.gz that it unpacks")
    add("--training-program", required=True, help="the program in sourcedir.tar.gz")
    add("--training-instance", default="ml.p3.2xlarge", help="default: %(default)s")
    add("--channel", default="dataset", help="the training job's channel (default: %(default)s)")
    add("options", nargs="*", metavar="OPTION", help="after --: options of python -m headpose_fast")
    return parser


def _wait(sagemaker: Any, name: str) -> dict[str, Any]:
    """Wait until a Processing job ends and return its description."""
    while True:
        job: dict[str, Any] = sagemaker.describe_processing_job(ProcessingJobName=name)
        if job["ProcessingJobStatus"] not in ("InProgress", "Stopping"):
            return job
        time.sleep(PAUSE)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
