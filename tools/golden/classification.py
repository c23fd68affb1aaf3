"""Writes scikit-learn's metrics and the `tokenizers` library's cuts of text pairs as small JSON files."""

import json

import numpy as np
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef
from tokenizers import Tokenizer, models, pre_tokenizers

from common import CRATES

FIXTURES = CRATES / "eval/tests/fixtures"


def metric_case(gold, predicted):
    """What the pipelines' `evaluate.load` of accuracy, f1 and matthews_correlation gives; F1 and MCC for two classes."""
    case = {"gold": [int(x) for x in gold], "predicted": [int(x) for x in predicted]}
    case["accuracy"] = float(accuracy_score(gold, predicted))
    two = max(max(gold), max(predicted)) < 2
    case["f1"] = float(f1_score(gold, predicted, zero_division=0)) if two else None
    case["mcc"] = float(matthews_corrcoef(gold, predicted)) if two else None
    return case


def metric_cases():
    """Random answers of every skill and balance, and those where a number is not defined."""
    generator = np.random.default_rng(7)
    cases = []
    for size, positive, skill in [(1, 0.5, 0.5), (7, 0.5, 0.2), (20, 0.9, 0.7), (33, 0.3, 0.9), (50, 0.6, 0.0), (64, 0.5, 1.0)]:
        gold = (generator.random(size) < positive).astype(int)
        right = generator.random(size) < skill
        cases.append(metric_case(gold, np.where(right, gold, generator.integers(0, 2, size))))
    edges = [([0, 0, 0], [0, 0, 0]), ([1, 1, 1], [1, 1, 1]), ([0, 1, 0], [0, 0, 0]), ([0, 1, 1], [1, 1, 1])]
    edges += [([0, 0, 1], [1, 1, 0]), ([0, 0], [1, 1]), ([1, 1], [0, 0])]
    cases += [metric_case(gold, predicted) for gold, predicted in edges]
    for size in (9, 40):
        cases.append(metric_case(generator.integers(0, 3, size), generator.integers(0, 3, size)))
    return cases


def truncation_cases():
    """[max_length, first, second, kept of first, kept of second] of every kind, by the library's own truncation."""
    tokenizer = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    cases = []
    sizes = {6: range(0, 13), 7: range(0, 13), 1: range(0, 4), 128: [0, 1, 63, 64, 65, 100, 127, 128, 129, 300]}
    for max_length, lengths in sizes.items():
        tokenizer.enable_truncation(max_length, strategy="longest_first")
        for first in lengths:
            for second in lengths:
                ids = tokenizer.encode("a " * first, "b " * second, add_special_tokens=False).ids
                cases.append([max_length, first, second, ids.count(0), ids.count(1)])
    return cases


def write_lines(name, entries):
    """Writes a JSON list, one entry a line."""
    path = FIXTURES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(json.dumps(entry) for entry in entries) + "\n]\n")
    print(f"eval/tests/fixtures/{name}: {len(entries)} cases, {path.stat().st_size / 1024:.1f} KiB")


def main():
    """Writes `metrics.json` and `truncation.json`."""
    write_lines("metrics.json", metric_cases())
    write_lines("truncation.json", truncation_cases())


if __name__ == "__main__":
    main()
