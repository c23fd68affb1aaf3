"""Reads TensorBoard's event files with TensorBoard and compares them with `metrics.jsonl` beside them.

    pip install tensorboard
    python tools/golden/tensorboard_check.py runs/quickstart

Each model's folder below FOLDER counts, also after the training was killed and went on: no lost step may be
drawn. Numbers are the same in single precision. Ends with status 1 when something differs.
"""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import SessionLog


def single(number):
    """As single precision stores it; JSON has null for NaN and infinity."""
    return None if number is None else struct.unpack("f", struct.pack("f", number))[0]


def expected(folder):
    """The numbers under each tag, as (step, number), by the metrics."""
    tags = {}
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["event"] == "step":
            numbers = {f"train/{key}": record[key] for key in ("loss", "learning_rate", "gradient_norm")}
            if "kl" in record:
                numbers |= {f"train/{key}": record[key] for key in ("kl", "cross_entropy")}
            if record["seconds"] > 0:
                numbers["tokens_per_second"] = record["tokens"] / record["seconds"]
        else:
            numbers = {"held_out/loss": record["cross_entropy"]}
            for key, tag in (("averaged", "held_out/averaged_loss"), ("objective", "held_out/objective")):
                # An average that is not asked for is null.
                if record.get(key) is not None:
                    numbers[tag] = record[key]
        for tag, number in numbers.items():
            tags.setdefault(tag, []).append((record["step"], single(number)))
    return tags


def found(folder):
    """The same as TensorBoard reads it."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()

    def finite(number):
        return number if number == number and abs(number) != float("inf") else None

    return {
        tag: [(event.step, finite(event.value)) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def check(folder):
    """Compares a model's folder; returns whether it is as it should be."""
    files = sorted(folder.glob("events.out.tfevents.*"))
    wanted, read = expected(folder), found(folder)
    size = sum(file.stat().st_size for file in files)
    share = size / max((folder / "metrics.jsonl").stat().st_size, 1)
    points = sum(map(len, read.values()))
    print(f"{folder}: {len(files)} files, {size} bytes ({share:.0%} of metrics.jsonl), {points} numbers")
    if wanted == read:
        return True
    for tag in sorted(wanted.keys() | read.keys()):
        one, other = wanted.get(tag, []), read.get(tag, [])
        if one != other:
            different = [pair for pair in zip(one, other) if pair[0] != pair[1]]
            print(f"  {tag}: {len(one)} expected, {len(other)} read; first difference: {different[:1]}")
    return False


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    assert SessionLog.START == 1
    folders = [path.parent for folder in sys.argv[1:] for path in sorted(Path(folder).rglob("metrics.jsonl"))]
    if not folders:
        sys.exit(f"no metrics.jsonl below {sys.argv[1:]}")
    results = [check(folder) for folder in folders]
    if not all(results):
        sys.exit(1)
    print(f"{len(folders)} folders are as they should be")


if __name__ == "__main__":
    main()
