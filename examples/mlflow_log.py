"""Logs the figures of saved outputs to MLflow: python examples/mlflow_log.py LOGITS [LABELS] [OPTION ...]."""

import json
import subprocess
import sys

import mlflow


def main(arguments: list[str]) -> None:
    """Compute, and log the figures as metrics and the whole document as an artifact of a new run."""
    command = ["xent", "compute", *arguments, "-f", "json"]
    document = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    numbers = {name: value for name, value in document["summary"].items() if type(value) in (int, float)}
    with mlflow.start_run() as run:
        mlflow.log_metrics(numbers)
        mlflow.log_dict(document, "xent.json")
        # Runs are comparable where the signature is the same.
        mlflow.set_tag("xent.signature", document["signature"])
        print(f"run {run.info.run_id}: {len(numbers)} metrics, mean_loss {numbers['mean_loss']:.6f}")


if __name__ == "__main__":
    main(sys.argv[1:])
