"""Writes what scipy, scikit-learn and numpy say of standard errors, paired tests, intervals and metrics.

Not named after what it is about: a `statistics.py` beside the other scripts would hide Python's own module from them.
"""

import itertools
import json

import numpy as np
from scipy import stats
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef

from common import EVAL_FIXTURES

MEASURES = {
    "mean": accuracy_score,
    "f1": lambda gold, predicted: f1_score(gold, predicted, zero_division=0),
    "mcc": matthews_corrcoef,
}


def standard_errors(generator):
    """Of single tasks and pooled over tasks, as lm-eval's `mean_stderr` and `pooled_sample_stderr`."""
    tasks = [generator.normal(size=count).round(3) for count in (2, 5, 40)]
    errors = [stats.sem(task) for task in tasks]
    sizes = np.array([len(task) for task in tasks])
    variances = (sizes - 1) * np.array(errors) ** 2 * sizes
    pooled = np.sqrt(variances.sum() / (sizes.sum() - len(sizes)) / sizes.sum())
    return {"tasks": [task.tolist() for task in tasks], "errors": [float(e) for e in errors], "pooled": float(pooled)}


def mcnemar_case(first_only, second_only):
    """Exact and mid-p from the binomial distribution."""
    fewer, total = min(first_only, second_only), first_only + second_only
    exact = stats.binomtest(fewer, total, 0.5).pvalue if total else 1.0
    middle = 2 * stats.binom.cdf(fewer - 1, total, 0.5) + stats.binom.pmf(fewer, total, 0.5)
    return {"first_only": first_only, "second_only": second_only, "p_value": float(exact), "mid_p": float(min(1, middle))}


def spread_case(scores, confidence):
    """Mean, deviation and Student's t interval over seeds."""
    low, high = stats.t.interval(confidence, len(scores) - 1, np.mean(scores), stats.sem(scores))
    deviation = np.std(scores, ddof=1)
    return {
        "scores": scores,
        "confidence": confidence,
        "mean": float(np.mean(scores)),
        "standard_deviation": float(deviation),
        "interval": [float(low), float(high)],
    }


def metric_cases(generator):
    """Binary scores of labels, the undefined ones among them."""
    pairs = [generator.integers(0, 2, size=(2, count)) for count in (1, 7, 50)]
    pairs += [np.array([[0, 0, 0], [0, 0, 0]]), np.array([[1, 1], [1, 1]]), np.array([[0, 0], [1, 1]])]
    case = lambda gold, predicted: {
        "gold": gold.tolist(),
        "predicted": predicted.tolist(),
        **{name: float(measure(gold, predicted)) for name, measure in MEASURES.items()},
    }
    return [case(gold, predicted) for gold, predicted in pairs]


def random_tasks(generator, sizes):
    """Gold labels and two models' answers, the second model somewhat better."""
    tasks = []
    for size in sizes:
        gold = generator.integers(0, 2, size=size)
        answers = [np.where(generator.random(size) < share, gold, 1 - gold) for share in (0.6, 0.85)]
        tasks.append((gold, *answers))
    return tasks


def as_json(tasks):
    keys = ("gold", "first", "second")
    return [{key: part.tolist() for key, part in zip(keys, task)} for task in tasks]


def exact_permutation(tasks, measures):
    """Tries all exchanges of the answers, those to which both models agree included."""
    gold = [task[0] for task in tasks]

    def difference(pattern):
        total, before = 0.0, 0
        for (labels, first, second), measure in zip(tasks, measures):
            swap = pattern[before : before + len(labels)]
            before += len(labels)
            score = MEASURES[measure]
            total += score(labels, np.where(swap, first, second)) - score(labels, np.where(swap, second, first))
        return total / len(tasks)

    size = sum(len(labels) for labels in gold)
    observed = difference(np.zeros(size, dtype=bool))
    all_patterns = itertools.product([False, True], repeat=size)
    values = np.abs([difference(np.array(pattern)) for pattern in all_patterns])
    p_value = float(np.mean(values >= abs(observed) - 1e-12))
    return {"measures": measures, "tasks": as_json(tasks), "difference": float(observed), "p_value": p_value}


def sign_flips(generator):
    """scipy's exact permutation test of the mean of paired differences."""
    first, second = generator.normal(size=9).round(2), generator.normal(0.7, size=9).round(2)
    found = stats.permutation_test(
        (second, first), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples", vectorized=True
    )
    return {"first": first.tolist(), "second": second.tolist(), "p_value": float(found.pvalue)}


def sampled(generator):
    """Percentile intervals and a sign-flip test by many resamples of numpy's own: to be met within their noise."""
    tasks = [generator.normal(0.2 * index, 1.0, size=(2, size)).round(3) for index, size in enumerate((30, 60))]
    resamples = 40_000
    means = np.zeros((2, resamples))
    flipped = np.zeros(resamples)
    for task in tasks:
        draws = generator.integers(0, task.shape[1], size=(resamples, task.shape[1]))
        means += task[:, draws].mean(axis=2) / len(tasks)
        signs = generator.choice([-1.0, 1.0], size=draws.shape)
        flipped += (signs * (task[1] - task[0])).mean(axis=1) / len(tasks)
    observed = sum(np.mean(task[1] - task[0]) for task in tasks) / len(tasks)
    interval = lambda values: [float(q) for q in np.quantile(values, [0.025, 0.975])]
    return {
        "first": [task[0].tolist() for task in tasks],
        "second": [task[1].tolist() for task in tasks],
        "interval": interval(means[0]),
        "standard_error": float(means[0].std(ddof=1)),
        "difference_interval": interval(means[1] - means[0]),
        "bootstrap_p": float(2 * min(np.mean(means[1] <= means[0]), np.mean(means[1] >= means[0]))),
        "permutation_p": float(np.mean(np.abs(flipped) >= abs(observed) - 1e-12)),
    }


def main():
    """Writes `statistics.json`."""
    generator = np.random.default_rng(7)
    value = {
        "standard_errors": standard_errors(generator),
        "mcnemar": [mcnemar_case(*case) for case in [(0, 0), (1, 0), (5, 5), (12, 3), (0, 9), (220, 310), (4000, 4321)]],
        "student_t": [
            {"share": share, "freedom": freedom, "quantile": float(stats.t.ppf(share, freedom))}
            for share in (0.6, 0.975, 0.9995)
            for freedom in (1, 2, 3, 4, 7, 30, 101)
        ],
        "spreads": [spread_case([61.2, 63.0, 62.1], 0.95), spread_case([0.5, 0.75], 0.9)],
        "metrics": metric_cases(generator),
        "exact_permutations": [
            exact_permutation(random_tasks(generator, (5, 6)), ["mean", "f1"]),
            exact_permutation(random_tasks(generator, (10,)), ["mcc"]),
        ],
        "sign_flips": sign_flips(generator),
        "sampled": sampled(generator),
    }
    path = EVAL_FIXTURES / "statistics.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(entry)}" for key, entry in value.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"eval/tests/fixtures/{path.name}: {path.stat().st_size / 1024:.1f} KiB")


if __name__ == "__main__":
    main()
