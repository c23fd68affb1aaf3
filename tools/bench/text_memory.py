"""Memory and outputs of everything that reads text, on a corpus of any size.

    python tools/bench/text_memory.py --babyllama target/release/babyllama --data FOLDER \
        --work FOLDER [--other OLDER/babyllama] [--limit-gb 1]

Runs each command on the text files of --data, with its outputs below --work, and prints the largest
resident set of its process. With --other, the same commands run with another babyllama, and their
outputs must have the same bytes. With --limit-gb, a larger resident set of ours is a failure.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

# One model of the smallest size: the run is about its text.
RECIPE = """
seed = 1

[corpus]
source = {data!r}
{corpus}

[models.small]
architecture = "llama"
hidden_size = 8
intermediate_size = 8
num_layers = 1
num_heads = 1

[models.small.train]
max_steps = 2
batch_size = 4
sequence_length = 32
learning_rate = 1e-3
evaluation_sequences = 8

[evaluate]
loss = false
"""

RUNS = {
    "split": 'validation = "split"',
    "subset": 'validation = "split"\nwords = {words}',
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--babyllama", type=Path, required=True)
    parser.add_argument("--other", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--words", type=int, default=10_000_000, help="words of the subset")
    parser.add_argument("--limit-gb", type=float)
    parser.add_argument("--only", nargs="*", help="commands by name")
    return parser.parse_args()


def commands(data, output, words):
    """Names and arguments; the tokenizer is made by an earlier command."""
    tokenizer = f"{output}/tokenizer/tokenizer.json"
    return {
        "corpus clean": ["corpus", "clean", data, "--output", f"{output}/clean"],
        "tokenizer train": ["tokenizer", "train", data, "--output", f"{output}/tokenizer"],
        "corpus stats": ["corpus", "stats", data, "--tokenizer", tokenizer],
        "tokens encode": ["tokens", "encode", data, "--tokenizer", tokenizer,
                          "--output", f"{output}/tokens.bin"],
    } | {
        f"run, {name}": ["run", recipe(data, output, name, words), "--output", f"{output}/{name}"]
        for name in RUNS
    }


def recipe(data, output, name, words):
    path = Path(output) / f"{name}.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(RECIPE.format(data=data, corpus=RUNS[name].format(words=words)))
    return str(path)


def run(command, output, name):
    """The largest resident set in bytes. Standard output goes to a file beside the others."""
    log = Path(output) / (name.replace(", ", "-").replace(" ", "-") + ".txt")
    with log.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE)
        messages = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed:\n{messages.decode()}")
    return used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


# What has the same bytes whoever made it: the rest names folders and times.
OUTPUTS = ["clean", "tokenizer", "tokens.bin", "corpus-stats.txt"]
OUTPUTS += [f"{name}/{part}" for name in RUNS for part in ("corpus", "tokenizer", "tokens")]


def files(folder):
    paths = [path for output in OUTPUTS for path in [folder / output, *(folder / output).rglob("*")]]
    return sorted(path.relative_to(folder) for path in paths if path.is_file())


def main():
    options = arguments()
    data = str(options.data.resolve())
    programs = {"ours": options.babyllama} | ({"other": options.other} if options.other else {})
    used = {}
    for side, program in programs.items():
        output = options.work.resolve() / side
        shutil.rmtree(output, ignore_errors=True)
        output.mkdir(parents=True)
        for name, words in commands(data, output, options.words).items():
            if not options.only or name in options.only:
                used[side, name] = run([str(program.resolve()), *map(str, words)], output, name)
                print(f"{side:6} {name:16} {used[side, name] / 1e9:6.3f} GB", flush=True)
    if options.other:
        sides = [options.work.resolve() / side for side in programs]
        names = [files(side) for side in sides]
        if names[0] != names[1]:
            sys.exit(f"other files: {set(names[0]) ^ set(names[1])}")
        for name in names[0]:
            if not filecmp.cmp(*[side / name for side in sides], shallow=False):
                sys.exit(f"{name} differs")
        print(f"{len(names[0])} files have the same bytes")
    limit = (options.limit_gb or float("inf")) * 1e9
    if any(size > limit for (side, _), size in used.items() if side == "ours"):
        sys.exit("more than the limit")


if __name__ == "__main__":
    main()
