"""Logs the figures and the worst samples of saved outputs to Weights & Biases.

python examples/wandb_log.py LOGITS [LABELS] [OPTION ...]; WANDB_MODE=offline needs no account.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pandas
import wandb


def main(arguments: list[str]) -> None:
    """Compute, and log the figures to the summary of a new run and the 20 worst samples as a table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.parquet"
        command = ["xent", "compute", *arguments, "-o", str(rows), "-f", "json"]
        document = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        worst = pandas.read_parquet(rows).nlargest(20, "loss")
    with wandb.init(project="xent", config={"signature": document["signature"]}) as run:
        run.summary.update(document["summary"])
        run.log({"worst": wandb.Table(dataframe=worst)})
    print(f"{len(worst)} worst samples, mean_loss {document['summary']['mean_loss']:.6f}")


if __name__ == "__main__":
    main(sys.argv[1:])
