"""Logs a run to Weights & Biases: python tools/trackers/to_wandb.py runs/quickstart (WANDB_MODE=offline works)."""

import json
import sys
from pathlib import Path

import wandb

run = Path(sys.argv[1])
for metrics in sorted(run.glob("models/*/metrics.jsonl")):
    model = wandb.init(project="babyllama", group=run.name, name=f"{run.name}/{metrics.parent.name}")
    for line in metrics.open(encoding="utf-8"):
        record = json.loads(line)
        numbers = {key: value for key, value in record.items() if isinstance(value, (int, float))}
        model.log({f"{record['event']}/{key}": value for key, value in numbers.items()}, step=record["step"])
    model.finish()
