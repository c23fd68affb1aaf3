"""Checks the card of an exported model with huggingface_hub, and that it states what was measured.

    pip install huggingface_hub
    python tools/golden/model_card_check.py exported/student [--run runs/quickstart --model student] [--use]

With --run and --model, the results in the metadata are compared with the run's own file; with --use, the code that
the card shows is run in the folder, which needs transformers and torch. --license takes the licence that
it must state. Ends with an error when something is wrong.
"""

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData


def metadata(folder):
    """The card's metadata as the hub's library reads it; also what it would write."""
    card = ModelCard.load(folder / "README.md")
    data = card.data
    assert isinstance(data, ModelCardData)
    assert data.pipeline_tag in ("text-generation", "fill-mask"), data.pipeline_tag
    assert data.library_name == "transformers"
    again = ModelCardData(**{**yaml.safe_load(data.to_yaml()), "ignore_metadata_errors": False})
    assert again.to_dict() == data.to_dict(), "what is written again is read as something else"
    for result in data.eval_results or []:
        assert isinstance(result, EvalResult)
        assert isinstance(result.metric_value, (int, float)), result
        assert result.task_type == data.pipeline_tag and result.dataset_name and result.metric_type
    print(f"{folder}: {data.model_name!r}, license {data.license!r}, languages {data.language!r}, tags {data.tags}")
    for result in data.eval_results or []:
        print(f"  {result.dataset_type} ({result.dataset_name}): {result.metric_type} {result.metric_value}")
    return card


def compare(card, run, model):
    """The numbers are those that the run measured."""
    scores = json.loads((run / "evaluation" / f"{model}.json").read_text(encoding="utf-8"))
    wanted = {("held-out", "loss"): scores["held_out_loss"], ("held-out", "perplexity"): scores["perplexity"]}
    wanted |= {(result["suite"], "accuracy"): result["score"] for result in scores["pairs"].values()}
    read = {(result.dataset_type, result.metric_type): result.metric_value for result in card.data.eval_results}
    assert wanted == read, f"{wanted} is not {read}"
    print(f"  {len(wanted)} numbers are those of {run}")


def use(card, folder):
    """Runs the card's own Python."""
    code = re.search(r"```python\n(.*?)```", card.text, re.DOTALL).group(1)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    assert done.returncode == 0, done.stderr
    print(f"  its code prints: {done.stdout.strip()[:200]!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--model")
    parser.add_argument("--use", action="store_true")
    parser.add_argument("--license", metavar="NAME")
    arguments = parser.parse_args()
    card = metadata(arguments.folder)
    if arguments.run:
        compare(card, arguments.run, arguments.model)
    if arguments.license is not None:
        assert card.data.license == arguments.license, (card.data.license, arguments.license)
    if arguments.use:
        use(card, arguments.folder)


if __name__ == "__main__":
    main()
