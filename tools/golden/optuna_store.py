"""A store made by real Optuna as a fixture, and a check that Optuna opens ours.

    pip install optuna==5.0.0 optuna-dashboard scikit-learn
    python tools/golden/optuna_store.py write crates/sweep/tests/fixtures/optuna.sql
    python tools/golden/optuna_store.py check sqlite:///runs/sweeps/quickstart/store.db quickstart

`check` also works with older Optunas of the same schema (3.2 to 5.0), and with a PostgreSQL address
(`postgresql+psycopg2://...`). It changes the study, so give it a copy, once: it enqueues a point,
and runs a few trials of Optuna's own in it.
"""

import argparse
import json
import sqlite3
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import optuna


def write(path):
    """A study with a trial in every state, as SQL."""
    folder = tempfile.mkdtemp()
    file = Path(folder) / "store.db"
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}", heartbeat_interval=60)
    study = optuna.create_study(
        study_name="python",
        storage=storage,
        direction="minimize",
        sampler=optuna.samplers.RandomSampler(seed=1),
        pruner=optuna.pruners.NopPruner(),
    )
    study.set_user_attr("note", "made by Optuna")

    def objective(trial):
        rate = trial.suggest_float("train.learning_rate", 1e-5, 1e-1, log=True)
        batch = trial.suggest_categorical("train.batch_size", [8, 16, 32])
        warmup = trial.suggest_float("train.warmup_ratio", 0.0, 0.5)
        for step in range(1, 4):
            trial.report(float("nan") if step == 2 and trial.number == 1 else 5.0 / step, step)
        if trial.number == 2:
            raise optuna.TrialPruned
        if trial.number == 3:
            return float("nan")
        if trial.number == 4:
            return float("inf")
        return rate + batch + warmup

    study.optimize(objective, n_trials=5)
    study.enqueue_trial({"train.learning_rate": 0.01, "train.batch_size": 16})
    running = study.ask(fixed_distributions={})
    study.enqueue_trial({"train.warmup_ratio": 0.25})
    assert running.number == 5
    lines = sqlite3.connect(file).iterdump()
    # Times are those of the day.
    Path(path).write_text("\n".join(lines) + "\n")
    states = [(trial.number, trial.state.name, trial.value) for trial in study.trials]
    print(json.dumps(states))


def check(address, name):
    """Reads our study, works in it, and asks the dashboard's API for it."""
    study = optuna.load_study(study_name=name, storage=address)
    before = study.trials
    assert [trial.number for trial in before] == list(range(len(before)))
    complete = [trial for trial in before if trial.state.name == "COMPLETE"]
    states = sorted({trial.state.name for trial in before})
    best = study.best_trial
    print(f"optuna {optuna.__version__}: {len(before)} trials, {states}, best {best.number} {best.value}")
    print("parameters of the best:", best.params)
    assert all(trial.value is not None and trial.datetime_complete for trial in complete)
    print("importances:", {key: round(value, 3) for key, value in importances(study).items()})
    study.sampler = optuna.samplers.TPESampler(seed=1)
    distributions = complete[0].distributions
    for _ in range(2):
        trial = study.ask(distributions)
        trial.report(best.value + 1.0, 1)
        study.tell(trial, best.value + 1.0)
    study.enqueue_trial(best.params)
    assert len(study.trials) == len(before) + 3
    dashboard(address, name, len(before) + 3)


def importances(study):
    return optuna.importance.get_param_importances(
        study, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )


def dashboard(address, name, trials):
    """The study by the API of optuna-dashboard."""
    import threading
    from wsgiref.simple_server import make_server

    from optuna_dashboard import wsgi

    server = make_server("127.0.0.1", 0, wsgi(address))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    place = f"http://127.0.0.1:{server.server_port}/api/studies"
    get = lambda url: json.load(urllib.request.urlopen(url))
    studies = get(place)["study_summaries"]
    found = next(study for study in studies if study["study_name"] == name)
    time.sleep(1)
    detail = get(f"{place}/{found['study_id']}?after=0")
    print("dashboard:", found["study_name"], len(detail["trials"]), "trials")
    assert len(detail["trials"]) == trials
    server.shutdown()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write").add_argument("path")
    checked = commands.add_parser("check")
    checked.add_argument("address")
    checked.add_argument("name")
    arguments = parser.parse_args()
    if arguments.command == "write":
        write(arguments.path)
    else:
        check(arguments.address, arguments.name)


if __name__ == "__main__":
    sys.exit(main())
