"""Made-up surprisals along a training and shares of children that say a word, with the ages that SciPy's fits give
them by the rules of BabyLM's pipelines of 2025 and 2026; and the whole task for a "training" whose checkpoints are the
small Llama of challenge.py with its weights scaled."""

import json
import math
import random
import warnings

import numpy
import torch
from scipy.optimize import curve_fit
from scipy.stats import pearsonr
from transformers import AutoModelForCausalLM, AutoTokenizer

from challenge import FOLDER as CHALLENGE
from challenge import score
from common import CRATES, EVAL_FIXTURES, make_torch_repeatable

FILE = EVAL_FIXTURES / "challenge_aoa.json"
TASK_FOLDER = CRATES / "babyllama/tests/fixtures/challenge_aoa"
MONTHS = list(range(16, 31))
STEPS = [1e6, 2e6, 3e6, 4e6, 6e6, 8e6, 1e7, 2e7, 3e7, 5e7, 7e7, 1e8]
VOCAB_SIZE = 900
SHAPES = ["falling"] * 4 + ["noisy"] * 2 + ["late", "flat", "rising", "hole", "low", "constant"]


def sigmoid(x, a, b, c, d):
    return a / (1 + numpy.exp(-b * (x - c))) + d


def fitted(x, y, start, **settings):
    """The parameters, or none where SciPy fails."""
    try:
        return curve_fit(sigmoid, numpy.array(x), numpy.array(y), p0=start, **settings)[0]
    except (RuntimeError, ValueError):
        return None


def crossing(parameters, value):
    a, b, c, d = parameters
    return c - math.log(a / (value - d) - 1) / b if d < value < a + d else None


def child_age(shares):
    x, y = zip(*[(month, share) for month, share in zip(MONTHS, shares) if share is not None])
    bounds = ([0, 0, 16, -0.5], [2, 1, 30, 0.5])
    found = fitted(x, y, (1, 0.1, sum(x) / len(x), 0), bounds=bounds, maxfev=1000)
    if found is None or found[0] <= 0 or found[1] <= 0:
        return None
    age = crossing(found, 0.5)
    return age if age is not None and x[0] <= age <= x[-1] else None


def tokens(text):
    """As many as the test's own tokenizer makes."""
    return math.ceil(len(text) / 3)


def model_age(year, word, contexts, steps=STEPS, tokens=tokens, vocab_size=VOCAB_SIZE, **tolerances):
    x, y = [], []
    for step, *surprisals in zip(steps, *contexts):
        if year == 2026:
            surprisals = [None if None in surprisals else sum(surprisals) / len(surprisals)]
        for surprisal in surprisals:
            if surprisal is not None:
                x.append(math.log10(step + 1))
                y.append(-surprisal)
    chance = math.log2(300_000)
    settings, least = dict(maxfev=1000, **tolerances), 0
    r = max(y) - min(y)
    if year == 2026:
        chance = max(1, tokens(f"The {word}") - tokens("The")) * math.log(vocab_size)
        bounds = ([0, 0, min(x) - 1, min(y) - 2 * r - 1], [10 * r + 1, 100, max(x) + 1, max(y) + 1])
        settings, least = dict(bounds=bounds, maxfev=20000, **tolerances), 1e-6
    found = fitted(x, y, (r, 1, sum(x) / len(x), min(y)), **settings)
    if found is None or found[0] <= least or found[1] <= least:
        return None
    age = crossing(found, -(chance - max(y)) / 2)
    return age if age is not None and steps[0] <= 10**age - 1 <= steps[-1] else None


def made_up(number, draw):
    """A word: the share of children in each month, and its surprisal in two contexts at each step."""
    word = "".join(draw.choice("abcdefg") for _ in range(draw.randint(2, 11))) + str(number)
    middle, slope = draw.uniform(14, 34), draw.uniform(0.1, 0.8)
    shares = [draw.uniform(0, 0.2) + 0.9 / (1 + math.exp(-slope * (month - middle))) for month in MONTHS]
    shares = [round(min(max(share + draw.gauss(0, 0.03), 0), 1), 2) for share in shares]
    if draw.random() < 0.1:
        shares[draw.randrange(15)] = None
    shape = SHAPES[number % len(SHAPES)]
    start = 6.0 + 1.5 * (middle - 14) / 20 + draw.gauss(0, 0.2) + (1.0 if shape == "late" else 0.0)
    top, low, k = draw.uniform(8, 15), draw.uniform(0.5, 5), draw.uniform(2, 7)
    contexts = []
    for context in range(2):
        offset, noise = draw.gauss(0, 1), 1.5 if shape == "noisy" else 0.3
        fall = [(top - low) / (1 + math.exp(k * (math.log10(step) - start))) for step in STEPS]
        curve = [round(low + value + offset + draw.gauss(0, noise), 2) for value in fall]
        if shape == "flat":
            curve = [round(9 + draw.gauss(0, 0.3), 2) for _ in STEPS]
        if shape == "low":
            curve = [round(3 + draw.gauss(0, 0.2), 2) for _ in STEPS]
        if shape == "rising":
            curve = curve[::-1]
        if shape == "hole":
            curve[context + 3] = None
        if shape == "constant":
            curve = [7.5] * len(STEPS)
        contexts.append(curve)
    return word, shares, contexts


def correlation(words, year):
    """Of the words that have both ages."""
    ages = [(word["model"][year], word["child"]) for word in words]
    ages = [pair for pair in ages if None not in pair]
    r, p = map(float, pearsonr(*zip(*ages))) if len(ages) > 2 else (None, None)
    return dict(words=len(ages), r=r, p=p)


# What the weights of each checkpoint are multiplied with.
SCALES = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 6: 0.5, 8: 0.6, 10: 0.7, 20: 0.8, 30: 0.9, 50: 1.0}
# A model with the same random matrix before and behind it expects what it has just read: many of these grow likelier.
WORDS = "dog café aa bb hh ii hihi hihihi hihihihi nono nonono nononono tata tatata tatatata".split()
CONTEXTS = ["The dogs near the gate seen the", " Ida gave the pen to the ", "Who has the boy put into the"]


def surprisals(tokenizer):
    """Of each word, in each context, one for each checkpoint."""
    found = {word: [[] for _ in CONTEXTS] for word in WORDS}
    for scale in SCALES.values():
        model = AutoModelForCausalLM.from_pretrained(CHALLENGE / "models/llama").eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= scale
            for word in WORDS:
                for curve, context in zip(found[word], CONTEXTS):
                    curve.append(-score(model, tokenizer, "causal", f"{context.strip()} {word}", word)[0])
    return found


def write_task():
    """The data of the task, and what it gives."""
    tokenizer = AutoTokenizer.from_pretrained(CHALLENGE / "models/llama")
    tokens = lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])
    steps, draw, found = [millions * 1e6 for millions in SCALES], random.Random(3), []
    for word, curves in surprisals(tokenizer).items():
        ages_by = lambda **tolerances: {
            str(year): model_age(year, word, curves, steps, tokens, tokenizer.vocab_size, **tolerances)
            for year in (2025, 2026)
        }
        ages = ages_by()
        # Few points may leave the age to where a solver stops: such words are not for comparisons.
        exact = ages_by(ftol=1e-14, xtol=1e-14, gtol=1e-14)
        if any((a is None) != (b is None) or abs((a or 0) - (b or 0)) > 2e-4 for a, b in zip(ages.values(), exact.values())):
            print(f"{word} is left out: {ages}, exactly {exact}")
            continue
        middle = 18 + 4 * ((ages["2026"] or ages["2025"] or 6.5) - 6) + draw.gauss(0, 0.7)
        shares = [round(1 / (1 + math.exp(-0.5 * (month - middle))), 3) for month in MONTHS]
        found.append(dict(word=word, shares=shares, curves=curves, child=child_age(shares), model=ages))
    # Words with an age of the model, and a few without.
    has_age = lambda word: any(word["model"].values())
    kept = [word for word in found if has_age(word)][-16:] + [word for word in found if not has_age(word)][:4]
    data = TASK_FOLDER / "data/aoa"
    data.mkdir(parents=True, exist_ok=True)
    entries = [{"context": context, "word_in_context_stats": {"count": 1}} for context in CONTEXTS]
    texts = {word["word"]: entries for word in kept} | {"a": entries, "unknown": entries[:1]}
    (data / "cdi_childes.json").write_text(json.dumps(texts, indent=1) + "\n")
    rows = [["word", *MONTHS], *[[word["word"], *word["shares"]] for word in kept], ["zebra", *kept[0]["shares"]]]
    (data / "cdi_human.csv").write_text("".join(",".join(map(str, row)) + "\n" for row in rows))
    expected = {
        "scales": {f"chck_{millions}M": scale for millions, scale in SCALES.items()},
        "words": [dict(word=word["word"], surprisals=[[round(s, 6) for s in curve] for curve in word["curves"]],
                       child=word["child"], model=word["model"]) for word in kept],
        "scores": {year: correlation(kept, year) for year in ("2025", "2026")},
    }
    print(expected["scores"])
    (TASK_FOLDER / "expected.json").write_text(json.dumps(expected, separators=(",", ":")) + "\n")


def main(count=72, seed=5, file=FILE):
    # Fits that fail are meant to.
    warnings.simplefilter("ignore")
    draw = random.Random(seed)
    found = {"steps": [int(step) for step in STEPS], "vocab_size": VOCAB_SIZE, "words": [], "scores": {}}
    for number in range(count):
        word, shares, contexts = made_up(number, draw)
        ages = {str(year): model_age(year, word, contexts) for year in (2025, 2026)}
        found["words"].append(dict(word=word, shares=shares, contexts=contexts, child=child_age(shares), model=ages))
    found["scores"] = {year: correlation(found["words"], year) for year in ("2025", "2026")}
    print(found["scores"])
    file.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    if file == FILE:
        make_torch_repeatable()
        write_task()


if __name__ == "__main__":
    main()
