"""Made-up surprisals along a training and shares of children that say a word, with the ages that SciPy's fits give
them by the rules of BabyLM's pipelines of 2025 and 2026."""

import json
import math
import random
import warnings

import numpy
from scipy.optimize import curve_fit
from scipy.stats import pearsonr

from common import EVAL_FIXTURES

FILE = EVAL_FIXTURES / "challenge_aoa.json"
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


def model_age(year, word, contexts):
    x, y = [], []
    for step, *surprisals in zip(STEPS, *contexts):
        if year == 2026:
            surprisals = [None if None in surprisals else sum(surprisals) / len(surprisals)]
        for surprisal in surprisals:
            if surprisal is not None:
                x.append(math.log10(step + 1))
                y.append(-surprisal)
    chance = math.log2(300_000)
    settings, least = dict(maxfev=1000), 0
    r = max(y) - min(y)
    if year == 2026:
        chance = max(1, tokens(f"The {word}") - tokens("The")) * math.log(VOCAB_SIZE)
        bounds = ([0, 0, min(x) - 1, min(y) - 2 * r - 1], [10 * r + 1, 100, max(x) + 1, max(y) + 1])
        settings, least = dict(bounds=bounds, maxfev=20000), 1e-6
    found = fitted(x, y, (r, 1, sum(x) / len(x), min(y)), **settings)
    if found is None or found[0] <= least or found[1] <= least:
        return None
    age = crossing(found, -(chance - max(y)) / 2)
    return age if age is not None and STEPS[0] <= 10**age - 1 <= STEPS[-1] else None


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


def main(count=72, seed=5, file=FILE):
    # Fits that fail are meant to.
    warnings.simplefilter("ignore")
    draw = random.Random(seed)
    found = {"steps": [int(step) for step in STEPS], "vocab_size": VOCAB_SIZE, "words": [], "scores": {}}
    for number in range(count):
        word, shares, contexts = made_up(number, draw)
        ages = {str(year): model_age(year, word, contexts) for year in (2025, 2026)}
        found["words"].append(dict(word=word, shares=shares, contexts=contexts, child=child_age(shares), model=ages))
    for year in ("2025", "2026"):
        ages = [(word["model"][year], word["child"]) for word in found["words"]]
        ages = [pair for pair in ages if None not in pair]
        r, p = pearsonr(*zip(*ages))
        found["scores"][year] = dict(words=len(ages), r=float(r), p=float(p))
    print(found["scores"])
    file.write_text(json.dumps(found, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
