"""Writes what transformers, scikit-learn and numpy say of age of acquisition: average surprisals as published, on padded
batches of two tiny models, and the regression's errors on a made-up word list."""

import csv
import io
import json

import numpy as np
import torch
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import LeaveOneOut
from sklearn.preprocessing import StandardScaler
from transformers import AutoModelForCausalLM

from common import EVAL_FIXTURES, MODEL_FIXTURES, make_torch_repeatable

COLUMNS = ["language", "uni_lemma", "lexical_category", "category", "definition", "word_clean"]
COLUMNS += ["aoa", "concreteness", "frequency"]
CATEGORIES = ["nouns", "predicates", "function_words"]
BATCH, MAX_TOKENS, PAD = 32, 16, 0
"""The models have 16 positions, so sentences are cut there and not at 50."""


def random_sentences(generator):
    """Sentences and words as token ids. Few different ids, so that words occur, also as the last tokens of a sentence."""
    lengths = list(generator.integers(1, 13, size=35)) + [20]
    sentences = [generator.integers(3, 9, size=length).tolist() for length in lengths]
    words = {"w0": [[3], [4]], "w1": [[5, 6], [7, 3]], "w2": [[8]], "w3": [[3, 4, 5], [6]], "w4": [[60], [59, 58]]}
    wanted = [sorted(generator.choice(list(words), size=generator.integers(0, 3), replace=False)) for _ in sentences]
    # The word of the first batch alone is not searched in the second.
    wanted = [[w for w in names if not (w == "w1" and index >= BATCH)] for index, names in enumerate(wanted)]
    return sentences, words, wanted


def average_surprisals(model, sentences, words, wanted):
    """Every word of a batch is searched in the whole batch, padded on the left; the logits are read at the token itself."""
    totals = {word: [0.0, 0] for word in words}
    for start in range(0, len(sentences), BATCH):
        rows = [ids[:MAX_TOKENS] for ids in sentences[start : start + BATCH]]
        length = max(len(ids) for ids in rows)
        labels = torch.tensor([[PAD] * (length - len(ids)) + ids for ids in rows])
        mask = torch.tensor([[0] * (length - len(ids)) + [1] * len(ids) for ids in rows])
        # Positions count the padding, as the versions of that time did.
        positions = torch.arange(length).expand(len(rows), length)
        with torch.no_grad():
            logits = model(input_ids=labels, attention_mask=mask, position_ids=positions).logits
        surprisals = -torch.log_softmax(logits.double(), -1)
        for word in sorted({word for names in wanted[start : start + BATCH] for word in names}):
            for form in words[word]:
                last = length if len(form) == 1 else length - len(form)
                for row in range(len(rows)):
                    for i in range(last):
                        if labels[row, i : i + len(form)].tolist() == form:
                            totals[word][0] += sum(surprisals[row, i + j, t].item() for j, t in enumerate(form))
                            totals[word][1] += 1
    return {word: [total / max(1, count), count] for word, (total, count) in totals.items()}


def surprisal_case(generator):
    sentences, words, wanted = random_sentences(generator)
    models = {}
    for name in ("gpt2", "llama"):
        model = AutoModelForCausalLM.from_pretrained(MODEL_FIXTURES / name, dtype=torch.float64).eval()
        models[name] = average_surprisals(model, sentences, words, wanted)
    counts = [count for _, count in models["gpt2"].values()]
    assert min(counts[:4]) > 0 and counts[4] == 0, counts
    return {"sentences": sentences, "words": words, "wanted": wanted, "models": models}


def word_list(generator):
    """Sixty rows; some words occur twice, one needs the quote sign."""
    rows = []
    for index in range(60):
        category = CATEGORIES[int(generator.integers(0, 3))]
        word = "ab ce" if index == 3 else f"w{index % 53}"
        age = round(float(generator.normal(25, 4)), 6)
        concreteness = round(float(generator.uniform(1, 5)), 2)
        frequency = int(np.exp(generator.uniform(2, 13)))
        definition = "a, b" if index == 5 else word
        rows.append(["English", word, category, "x", definition, word, age, concreteness, frequency])
    return rows


def leave_one_out(rows, surprisals):
    """The published regression with scikit-learn's own parts."""
    kept = [(row, s) for row, s in zip(rows, surprisals) if s is not None]
    ages = np.array([row[6] for row, _ in kept])
    frequency = np.array([row[8] for row, _ in kept], dtype=float)
    rarity = -np.log(frequency / frequency.sum())[:, None]
    surprisal = np.array([s for _, s in kept])
    residual = surprisal - LinearRegression().fit(rarity, surprisal).predict(rarity)
    concreteness = np.array([row[7] for row, _ in kept])
    scaled = StandardScaler().fit_transform(np.column_stack([concreteness, residual, rarity]))
    category = np.array([row[2] for row, _ in kept])
    dummies = np.column_stack([category == "function_words", category == "predicates"]).astype(float)
    products = [dummies[:, [d]] * scaled[:, [c]] for d in range(2) for c in range(3)]
    design = np.column_stack([dummies, scaled, *products])
    errors = np.zeros(len(ages))
    for kept_rows, left_out in LeaveOneOut().split(design):
        model = LinearRegression().fit(design[kept_rows], ages[kept_rows])
        errors[left_out] = np.abs(ages[left_out] - model.predict(design[left_out]))
    score = {"overall_mad": float(errors.mean()), "n": len(ages)}
    for name, value in (("noun", "nouns"), ("predicate", "predicates"), ("functionword", "function_words")):
        chosen = errors[category == value]
        score |= {f"{name}_mad": float(chosen.mean()), f"n_{name}": len(chosen)}
    return score


def regression_cases(generator, rows):
    """Surprisals by word: its number of characters, and random numbers with some words missing."""
    texts = list(dict.fromkeys(row[5] for row in rows))
    lengths = {text: float(len(text) + index % 3) for index, text in enumerate(texts)}
    random = {text: float(s) for text, s in zip(texts, generator.normal(8, 2, size=len(texts)).round(4))}
    for text in texts[10:14]:
        del random[text]
    case = lambda values: {"surprisals": values, "score": leave_one_out(rows, [values.get(row[5]) for row in rows])}
    return [case(lengths), case(random)]


def main():
    """Writes `aoa_words.csv` and `aoa.json`."""
    make_torch_repeatable()
    generator = np.random.default_rng(11)
    rows = word_list(generator)
    text = io.StringIO()
    writer = csv.writer(text, delimiter=",", quotechar="|", lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    EVAL_FIXTURES.mkdir(parents=True, exist_ok=True)
    (EVAL_FIXTURES / "aoa_words.csv").write_text(text.getvalue())
    value = {"surprisal": surprisal_case(generator), "regressions": regression_cases(generator, rows)}
    path = EVAL_FIXTURES / "aoa.json"
    lines = [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"eval/tests/fixtures/{path.name}: {path.stat().st_size / 1024:.1f} KiB, and aoa_words.csv")


if __name__ == "__main__":
    main()
