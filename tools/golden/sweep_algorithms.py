"""Writes what the packages behind our samplers and stopping rules compute on random cases, as one small JSON file.

Not part of make.py, since HpBandSter and `sweeps` ask for versions of numpy that contradict each other (both work
with a newer one than they ask for):

    pip install optuna==5.0.0 scikit-learn==1.9.1 scipy==1.17.1 statsmodels==0.15.0 ConfigSpace==1.2.2 Pyro4 serpent \\
        pandas jsonschema jsonref pyyaml netifaces
    pip install --no-deps sweeps==0.3.0 hpbandster==0.7.4
    python tools/golden/sweep_algorithms.py
"""

import json
import logging
import warnings
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
from hpbandster.optimizers import HyperBand
from hpbandster.optimizers.config_generators import bohb
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution, distribution_to_json
from optuna.samplers._tpe.parzen_estimator import _ParzenEstimator, _ParzenEstimatorParameters
from optuna.samplers._tpe.sampler import _split_trials, default_gamma, default_weights
from sklearn.gaussian_process.kernels import Matern
from sweeps.bayes_search import fit_normalized_gaussian_process, train_gaussian_process
from sweeps.hyperband_stopping import hyperband_stop_runs
from sweeps.params import HyperParameter
from sweeps.run import RunState, SweepRun

OUTPUT = Path(__file__).resolve().parents[2] / "crates/sweep/tests/fixtures/algorithms.json"
DIGITS = 4


def rounded(values):
    """Short decimal numbers, which the file holds exactly."""
    return np.round(np.asarray(values, dtype=float), DIGITS).tolist()


def random_curves(rng, count, longest):
    """Falling values with noise, of different lengths."""
    curves = []
    for _ in range(count):
        steps = np.arange(1, rng.integers(1, longest + 1) + 1)
        curves.append(rounded(4 + rng.uniform(0, 2) + 2 / steps + rng.normal(0, 0.2, len(steps))))
    return curves


def wandb_stops(rng):
    rules = [
        {"min_iter": 1, "eta": 2},
        {"min_iter": 3, "eta": 1.5},
        {"min_iter": 1, "eta": 3, "strict": False},
        {"max_iter": 27, "s": 3, "eta": 3},
        {"max_iter": 20, "s": 2},
    ]
    cases = []
    for rule in rules * 2:
        curves = random_curves(rng, 20, 30)
        for curve in curves[::5]:
            curve[rng.integers(len(curve))] = None
        runs = []
        for index, curve in enumerate(curves):
            history = [{"loss": float("nan") if value is None else value} for value in curve]
            state = RunState.finished if index % 4 == 3 else RunState.running
            runs.append(SweepRun(name=str(index), state=state, history=history))
        config = {
            "method": "random",
            "metric": {"name": "loss", "goal": "minimize"},
            "early_terminate": {"type": "hyperband", **rule},
            "parameters": {"a": {"value": 1}},
        }
        stopped = [int(run.name) for run in hyperband_stop_runs(runs, config)]
        cases.append({"rule": rule, "curves": curves, "stopped": stopped})
    return cases


def wandb_quantiles():
    configs = [
        {"distribution": "uniform", "min": -2.5, "max": 7.0},
        {"distribution": "int_uniform", "min": 3, "max": 17},
        {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.3},
        {"distribution": "normal", "mu": 1.5, "sigma": 0.4},
        {"distribution": "log_normal", "mu": -7.3, "sigma": 0.7},
        {"distribution": "beta", "a": 2.5, "b": 0.7},
        {"distribution": "q_uniform", "min": 0, "max": 50, "q": 4},
        {"distribution": "q_log_uniform_values", "min": 1, "max": 1000, "q": 8},
        {"distribution": "q_log_normal", "mu": 5, "sigma": 1.5, "q": 1},
        {"distribution": "q_normal", "mu": 20, "sigma": 6, "q": 2},
    ]
    shares = [0.001, 0.017, 0.25, 0.333, 0.5, 0.61, 0.75, 0.9, 0.999]
    cases = []
    for config in configs:
        parameter = HyperParameter("x", config)
        values = [float(parameter.ppf(share)) for share in shares]
        cases.append({"config": config, "shares": shares, "values": values})
    return cases


def gaussian_processes(rng):
    cases = []
    for dimensions, count, pending in [(1, 2, 0), (2, 6, 0), (3, 12, 2), (5, 40, 0), (11, 60, 5)]:
        x = np.array(rounded(rng.uniform(size=(count, dimensions))))
        y = np.array(rounded(4 + ((x - 0.4) ** 2).sum(axis=1) + rng.normal(0, 0.05, count)))
        running = np.array(rounded(rng.uniform(size=(pending, dimensions)))).reshape(pending, dimensions)
        at = np.array(rounded(rng.uniform(size=(4, dimensions))))
        process, y_mean, y_sd = train_gaussian_process(x, y, current_X=running if pending else None)
        mean, covariance = process.predict(at, return_cov=True)
        # The likelihood of the results alone, at their own best length scale and at a fixed one.
        alone, _, _ = fit_normalized_gaussian_process(x, y)
        fixed = float(alone.log_marginal_likelihood(np.log([0.4])))
        cases.append(
            {
                "x": x.tolist(),
                "y": y.tolist(),
                "running": running.tolist(),
                "at": at.tolist(),
                "length_scale": float(alone.kernel_.length_scale),
                "log_likelihood": float(alone.log_marginal_likelihood_value_),
                "log_likelihood_at_0.4": fixed,
                "mean": (mean * y_sd + y_mean).tolist(),
                "sd": (np.sqrt(np.diag(covariance)) * y_sd).tolist(),
            }
        )
        assert isinstance(process.kernel_, Matern)
    return cases


def kernel_densities(rng):
    """HpBandSter's own model, with the part of ConfigSpace that it calls replaced by plain arrays."""
    bohb.ConfigSpace.Configuration = lambda space, config: SimpleNamespace(get_array=lambda: np.array(config))
    cases = []
    for levels, count in [([0], 8), ([0, 0, 2], 12), ([0, 3, 4, 0], 40), ([0] * 9 + [2, 5], 120)]:
        cases.append(kernel_density(rng, levels, count))
    return cases


def kernel_density(rng, levels, count):
    while True:
        generator = bohb.BOHB.__new__(bohb.BOHB)
        generator.logger = logging.getLogger("none")
        generator.configspace = None
        generator.vartypes = np.array(levels)
        generator.kde_vartypes = "".join("u" if level else "c" for level in levels)
        generator.min_points_in_model = len(levels) + 1
        generator.top_n_percent, generator.min_bandwidth = 15, 1e-3
        generator.configs, generator.losses, generator.kde_models = {}, {}, {}
        rows, losses = [], []
        for index in range(count):
            row = [float(rng.integers(level)) if level else rounded([rng.uniform()])[0] for level in levels]
            loss = None if index % 7 == 6 else rounded([4 + row[0] + rng.normal(0, 0.3)])[0]
            rows.append(row)
            losses.append(loss)
            result = None if loss is None else {"loss": loss}
            generator.new_result(SimpleNamespace(result=result, kwargs={"budget": 1.0, "config": row}, exception=None))
        model = generator.kde_models[1.0]
        at = [row[:] for row in rows[:3]]
        for row in at:
            row[0] = rounded([rng.uniform()])[0]
        # Where every level occurs on both sides, HpBandSter's levels seen are the ones declared.
        seen = [[len(set(side.data[:, i])) for i in range(len(levels))] for side in model.values()]
        if not all(count == level for counts in seen for count, level in zip(counts, levels) if level):
            continue
        return {
            "levels": levels,
            "rows": rows,
            "losses": losses,
            "good": len(model["good"].data),
            "bad": len(model["bad"].data),
            "at": at,
            "good_density": [float(model["good"].pdf(row)) for row in at],
            "bad_density": [float(model["bad"].pdf(row)) for row in at],
        }


def hyperband_brackets():
    cases = []
    for smallest, largest, eta in [(1, 9, 3), (1, 27, 3), (1, 10, 3), (2, 50, 3), (1, 16, 2), (1, 100, 2), (1, 64, 4)]:
        optimizer = HyperBand.__new__(HyperBand)
        optimizer.eta = eta
        optimizer.max_SH_iter = -int(np.log(smallest / largest) / np.log(eta)) + 1
        optimizer.budgets = largest * np.power(float(eta), -np.linspace(optimizer.max_SH_iter - 1, 0, optimizer.max_SH_iter))
        optimizer.config_generator = SimpleNamespace(get_config=None)
        sizes = []
        for iteration in range(optimizer.max_SH_iter):
            bracket = optimizer.get_next_iteration(iteration, {"result_logger": None})
            sizes.append([int(size) for size in bracket.num_configs])
        case = {"min": smallest, "max": largest, "eta": eta, "budgets": optimizer.budgets.tolist(), "sizes": sizes}
        cases.append(case)
    return cases


def parzen_estimators(rng):
    space = {
        "lr": FloatDistribution(1e-5, 1e-2, log=True),
        "drop": FloatDistribution(0.0, 1.0),
        "share": FloatDistribution(0.0, 1.0, step=0.25),
        "layers": IntDistribution(2, 12, step=2),
        "batch": IntDistribution(1, 1024, log=True),
        "kind": CategoricalDistribution(["a", "b", "c"]),
    }
    settings = _ParzenEstimatorParameters(1.0, True, False, default_weights, True)

    def draw():
        values = [float(np.round(np.exp(rng.uniform(np.log(1.1e-5), np.log(9e-3))), 9)), rounded([rng.uniform()])[0]]
        values += [float(rng.integers(5)) * 0.25, float(rng.integers(1, 7)) * 2]
        return values + [float(np.round(np.exp(rng.uniform(0, np.log(1000))))), float(rng.integers(3))]

    cases = []
    for count in [0, 1, 2, 7, 15, 25, 60]:
        rows, at = [draw() for _ in range(count)], [draw() for _ in range(4)]
        columns = {name: np.array([row[i] for row in rows]) for i, name in enumerate(space)}
        with stable_sort():
            estimator = _ParzenEstimator(columns, space, settings)
        points = {name: np.array([row[i] for row in at]) for i, name in enumerate(space)}
        log_density = estimator.log_pdf(points).tolist()
        distributions = [distribution_to_json(distribution) for distribution in space.values()]
        cases.append({"distributions": distributions, "rows": rows, "at": at, "log_density": log_density})
    return cases


@contextmanager
def stable_sort():
    """Equal values stay in their order, which numpy leaves open and which shows in the bandwidths of equal points."""
    argsort = np.argsort
    np.argsort = lambda values: argsort(values, kind="stable")
    yield
    np.argsort = argsort


def tpe_splits(rng):
    states = {"complete": optuna.trial.TrialState.COMPLETE, "pruned": optuna.trial.TrialState.PRUNED}
    states["running"] = optuna.trial.TrialState.RUNNING
    cases = []
    for count in [10, 37, 120]:
        study = optuna.create_study()
        trials = []
        for number in range(count):
            state = rng.choice(["complete", "complete", "pruned", "running"])
            steps = int(rng.integers(1, 5))
            # NaN is written as null; no two values are equal.
            values = rounded(rng.uniform(4, 6, steps))
            if state == "pruned" and number % 5 == 0:
                values[-1] = None
            trials.append({"state": str(state), "values": values})
            reports = {step + 1: float("nan") if value is None else value for step, value in enumerate(values)}
            final = values[-1] if state != "running" else None
            study.add_trial(optuna.create_trial(state=states[state], value=final, intermediate_values=reports))
        finished = sum(trial["state"] != "running" for trial in trials)
        below, above = _split_trials(study, study.trials, default_gamma(finished))
        numbers = [[trial.number for trial in side] for side in (below, above)]
        cases.append({"trials": trials, "below": numbers[0], "above": numbers[1]})
    return cases


def optuna_pruners(rng):
    cases = []
    for minimum, eta, rate, bootstrap in [(1, 2, 0, 0), (1, 3, 0, 0), (2, 2, 0, 1), (1, 4, 1, 0), (3, 3, 0, 2)]:
        curves = random_curves(rng, 25, 30)
        pruner = optuna.pruners.SuccessiveHalvingPruner(minimum, eta, rate, bootstrap)
        study = optuna.create_study(pruner=pruner)
        stops = []
        for curve in curves:
            trial = study.ask()
            stop = None
            for step, value in enumerate(curve, start=1):
                trial.report(value, step)
                if trial.should_prune():
                    stop = step
                    break
            study.tell(trial, None if stop else curve[-1], state=states_of(stop))
            stops.append(stop)
        rule = {"min": minimum, "eta": eta, "rate": rate, "bootstrap": bootstrap}
        cases.append({"rule": rule, "curves": curves, "stops": stops})
    return cases


def states_of(stop):
    return optuna.trial.TrialState.PRUNED if stop else optuna.trial.TrialState.COMPLETE


def optuna_brackets():
    cases = []
    for name, minimum, maximum, eta in [("a study", 1, 27, 3), ("Größe", 1, 64, 2), ("x", 2, 50, 4)]:
        pruner = optuna.pruners.HyperbandPruner(minimum, maximum, eta)
        study = optuna.create_study(study_name=name, pruner=pruner)
        pruner._try_initialization(study)
        brackets = [pruner._get_bracket_id(study, SimpleNamespace(number=number)) for number in range(40)]
        rule = {"min": minimum, "max": maximum, "eta": eta}
        cases.append({"study": name, "rule": rule, "weights": pruner._trial_allocation_budgets, "brackets": brackets})
    return cases


def main():
    warnings.filterwarnings("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    np.random.seed(0)
    rng = np.random.default_rng(20241203)
    cases = {
        "wandb_stops": wandb_stops(rng),
        "wandb_quantiles": wandb_quantiles(),
        "gaussian_processes": gaussian_processes(rng),
        "kernel_densities": kernel_densities(rng),
        "hyperband_brackets": hyperband_brackets(),
        "parzen_estimators": parzen_estimators(rng),
        "tpe_splits": tpe_splits(rng),
        "optuna_pruners": optuna_pruners(rng),
        "optuna_brackets": optuna_brackets(),
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(value, allow_nan=False)}" for name, value in cases.items())
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    OUTPUT.write_text("{\n" + lines + "\n}\n")
    print(f"{OUTPUT.name}: {OUTPUT.stat().st_size / 1024:.1f} KiB")


if __name__ == "__main__":
    main()
