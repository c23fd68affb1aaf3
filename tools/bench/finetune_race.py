#!/usr/bin/env python3
"""Races fine-tuning: `babyllama finetune` against transformers' sequence classification in PyTorch, on the same task.

    python tools/bench/finetune_race.py --babyllama target/release/babyllama --data data/eval/glue_filtered \\
        --model runs/babylm/models/student/final --task rte --steps 10 --pairs 3 --output race.json race.md

The peer does what the evaluation pipelines of BabyLM do on a CPU: `AutoModelForSequenceClassification` in f32 with scaled
dot-product attention, eager, AdamW with clipping at 1, every text padded to 128 tokens. `--padding longest` pads only to the
longest text of each batch, as transformers can. Ours has no padding at all. `--shape RECIPE:MODEL` takes random weights of a
recipe's model with the tokenizer of `--model`.

In each pair both programs run once, one after the other, and who begins alternates. Both draw their batches from the training
file in random orders of their own, so that the number is examples a second; the tokens that each read without padding are
shown beside it. The peer's first step, which sets things up, is left out; ours counts. Texts are encoded before the clock
starts on both sides. Memory is the most that each process had in use.
"""

import argparse
import dataclasses
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
MAX_LENGTH = 128

# The texts of a task's examples, as the pipeline joins them.
FIELDS = {
    "cola": ("{sentence}",),
    "sst2": ("{sentence}",),
    "mrpc": ("{sentence1}", "{sentence2}"),
    "qqp": ("{question1}", "{question2}"),
    "mnli": ("{premise}", "{hypothesis}"),
    "qnli": ("{question}", "{sentence}"),
    "rte": ("{sentence1}", "{sentence2}"),
    "boolq": ("{question}", "{passage}"),
    "multirc": ("Question: {question} Answer: {answer}", "{paragraph}"),
    "wsc": ('Does "{span2_text}" refer to "{span1_text}" in this passage?', "{text}"),
}


@dataclasses.dataclass
class Result:
    """One program's part in a pair."""

    examples_per_second: float
    tokens_per_second: float
    steps: int
    loss: float
    peak_memory: int


def cut(first, second):
    """Both segments' ids, cut on the right to `MAX_LENGTH` in all: token by token from the longer one, as transformers."""
    kept = [len(first), len(second)]
    while sum(kept) > MAX_LENGTH:
        kept[0 if kept[0] > kept[1] else 1] -= 1
    return first[: kept[0]] + second[: kept[1]]


def load_examples(model, data, task):
    """Token ids and label of every training example."""
    from tokenizers import Tokenizer, pre_tokenizers

    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)

    def encode(template, row):
        return tokenizer.encode(template.format(**row), add_special_tokens=False).ids

    rows = [json.loads(line) for line in (data / f"{task}.train.jsonl").read_text(encoding="utf-8").splitlines()]
    labels = {label: number for number, label in enumerate(sorted({row["label"] for row in rows}))}
    second = FIELDS[task][1] if len(FIELDS[task]) > 1 else ""
    return [(cut(encode(FIELDS[task][0], row), encode(second, row)), labels[row["label"]]) for row in rows]


def train_with_transformers(options):
    """The peer's process: prints one line of JSON."""
    import torch
    from transformers import AutoModelForSequenceClassification, logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    examples = load_examples(options.model, options.data, options.task)
    num_labels = len({label for _, label in examples})
    settings = dict(num_labels=num_labels, attn_implementation="sdpa", dtype=torch.float32, pad_token_id=0)
    model = AutoModelForSequenceClassification.from_pretrained(options.weights, **settings).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=0.0)
    order = [int(at) for _ in range(options.steps + 1) for at in torch.randperm(len(examples))]
    seconds, tokens, losses = [], [], []
    for step in range(options.steps + 1):
        batch = [examples[at] for at in order[step * options.batch : (step + 1) * options.batch]]
        start = time.perf_counter()
        width = MAX_LENGTH if options.padding == "128" else max(len(ids) for ids, _ in batch)
        ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in batch])
        mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in batch])
        loss = model(input_ids=ids, attention_mask=mask, labels=torch.tensor([label for _, label in batch])).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
        seconds.append(time.perf_counter() - start)
        tokens.append(sum(len(ids) for ids, _ in batch))
    print(json.dumps({"seconds": seconds[1:], "tokens": tokens[1:], "losses": losses[1:]}))


def peer(options, number):
    from race import run

    command = [options.python, __file__, "--as-peer", "--model", options.model, "--weights", options.weights]
    command += ["--data", options.data, "--task", options.task, "--steps", options.steps, "--batch", options.batch]
    command += ["--padding", options.padding, "--threads", options.threads, "--seed", number]
    output, memory = run(command + ["--learning-rate", options.learning_rate])
    report = json.loads(output.splitlines()[-1])
    seconds = sum(report["seconds"])
    examples, tokens = options.batch * options.steps, sum(report["tokens"])
    return Result(examples / seconds, tokens / seconds, options.steps, statistics.mean(report["losses"]), memory)


def ours(options, number):
    from race import run

    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        command = [options.babyllama, "finetune", options.weights, "--data", options.data, "--tasks", options.task]
        command += ["--output", Path(place) / "output", "--json", report, "--seed", number]
        command += ["--max-steps", options.steps, "--threads", options.threads]
        settings = {"batch_size": options.batch, "learning_rate": options.learning_rate}
        # No evaluation but the last one, which the steps' clock leaves out.
        settings |= {"evaluate_every": 1_000_000, "max_grad_norm": 1.0, "optimizer": "adamw", "patience": 0}
        for key, value in settings.items():
            command += ["--set", f"default.{key}={json.dumps(value)}"]
        _, memory = run(command)
        found = json.loads(report.read_text())[0]["results"][0]
    assert found["steps"] == options.steps, found
    seconds, examples = found["seconds"], options.batch * options.steps
    return Result(examples / seconds, found["tokens"] / seconds, options.steps, found["score"]["score"], memory)


def race(options):
    """All pairs as (ours, peer), whoever ran first."""
    programs, pairs = (ours, peer), []
    for number in range(options.pairs):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        pair = {index: programs[index](options, number + 1) for index in order}
        our, their = pair[0], pair[1]
        speeds = f"ours {our.examples_per_second:.1f} examples/s, peer {their.examples_per_second:.1f}"
        memory = f"memory {our.peak_memory / 1e9:.2f} and {their.peak_memory / 1e9:.2f} GB"
        ratio = our.examples_per_second / their.examples_per_second
        print(f"pair {number + 1}: {speeds}, ratio {ratio:.2f}; {memory}", flush=True)
        pairs.append((our, their))
    return pairs


def summary(options, pairs):
    """The medians of the pairs, and everything that was measured."""

    def medians(number):
        return [statistics.median(number(pair[index]) for pair in pairs) for index in (0, 1)]

    ratios = [our.examples_per_second / their.examples_per_second for our, their in pairs]
    return {
        "model": options.shape or str(options.model),
        "task": options.task,
        "batch": options.batch,
        "padding": options.padding,
        "examples_per_second": medians(lambda result: result.examples_per_second),
        "tokens_per_second": medians(lambda result: result.tokens_per_second),
        "peak_memory": medians(lambda result: result.peak_memory),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "pairs": [{"ours": dataclasses.asdict(our), "peer": dataclasses.asdict(their)} for our, their in pairs],
    }


def markdown(row):
    """The summary as a table of one row."""
    speeds = [f"{speed:.1f}" for speed in row["examples_per_second"]]
    memory = [f"{peak / 1e9:.2f} GB" for peak in row["peak_memory"]]
    ratios = ", ".join(f"{ratio:.2f}" for ratio in row["ratios"])
    cells = [row["model"], row["task"], row["batch"], row["padding"], *speeds, f"**{row['ratio']:.2f}**", ratios, *memory]
    return (
        "| model | task | batch | peer pads to | ours, examples/s | peer | ratio | every pair | memory, ours | peer |\n"
        "| --- | --- | ---: | --- | ---: | ---: | ---: | --- | ---: | ---: |\n"
        f"| {' | '.join(map(str, cells))} |\n"
    )


def random_weights(options, place):
    """A folder with random weights of a recipe's model, and the tokenizer of `--model`."""
    from race import WRITE_WEIGHTS, hugging_face_config, run

    recipe, name = options.shape.rsplit(":", 1)
    recipe = tomllib.loads((REPOSITORY / "recipes" / recipe).read_text())
    config = hugging_face_config(recipe["models"][name], recipe["tokenizer"]["vocab_size"])
    (place / "config.json").write_text(json.dumps(config))
    run([options.python, "-c", WRITE_WEIGHTS, place])
    for path in options.model.iterdir():
        if path.name.startswith("tokenizer") or path.name == "special_tokens_map.json":
            shutil.copy(path, place)
    return place


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--babyllama", type=Path, default=REPOSITORY / "target/release/babyllama")
    parser.add_argument("--python", default=sys.executable, help="an interpreter with torch and transformers")
    parser.add_argument("--model", type=Path, required=True, help="a Hugging Face folder with its tokenizer")
    parser.add_argument("--shape", metavar="RECIPE:MODEL", help="such as babyllama-1/strict-small.toml:llama-58m")
    parser.add_argument("--data", type=Path, required=True, help="a folder with TASK.train.jsonl and TASK.valid.jsonl")
    parser.add_argument("--task", default="rte", choices=FIELDS)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=5e-5)
    parser.add_argument("--padding", choices=["128", "longest"], default="128", help="what the peer pads to")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)), help="default: all cores")
    parser.add_argument("--output", type=Path, nargs="*", default=[], help=".json gets everything, .md the table")
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--weights", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if strange := [path for path in options.output if path.suffix not in (".json", ".md")]:
        parser.error(f"{strange[0]} ends in neither .json nor .md")
    options.weights = options.weights or options.model
    return options


def main():
    options = parse_arguments()
    if options.as_peer:
        return train_with_transformers(options)
    with tempfile.TemporaryDirectory() as place:
        if options.shape:
            options.weights = random_weights(options, Path(place))
        row = summary(options, race(options))
    for path in options.output:
        path.write_text(markdown(row) if path.suffix == ".md" else json.dumps(row, indent=2) + "\n")
    print("\n" + markdown(row), end="")


if __name__ == "__main__":
    main()
