"""Writes learning-rate factors and the steps of both AdamW variants as small JSON files, in f64."""

import json

import numpy as np
import torch
from transformers import get_scheduler

from common import TRAIN_FIXTURES, cosine_factor, make_torch_repeatable

# The learning rate's factor is asked for at these steps of (warm-up, total), every step of the short ones.
SPANS = {(200, 2000): [0, 1, 199, 200, 201, 500, 1000, 1999], (3, 10): list(range(10)), (0, 7): list(range(7))}
SCHEDULES = ["cosine", "linear", "constant_with_warmup"]
# Shares of the steps in which a stable schedule falls.
COOLDOWNS = [0.2, 0.5, 1.0]

BETA1, BETA2, EPSILON, WEIGHT_DECAY = 0.9, 0.999, 1e-8, 0.1
LEARNING_RATES = [0.0, 0.01, 0.02, 0.015, 0.005]


def factor(schedule, step, warmup, total):
    """Share of the peak learning rate at `step` (0-based)."""
    if schedule == "cosine":
        return cosine_factor(step, warmup, total)
    if step < warmup:
        return step / warmup
    return (total - step) / (total - warmup) if schedule == "linear" else 1.0


def transformers_factors(schedule, warmup, total, kwargs=None):
    """The factors of all steps as transformers' own scheduler gives them."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = get_scheduler(schedule, optimizer, warmup, total, scheduler_specific_kwargs=kwargs)
    factors = []
    for _ in range(total):
        factors.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return factors


def schedule_cases():
    """One case per schedule and span, each checked against transformers, and the known cosine values."""
    cases = []
    for schedule in SCHEDULES:
        for (warmup, total), steps in SPANS.items():
            factors = [factor(schedule, step, warmup, total) for step in steps]
            theirs = transformers_factors(schedule, warmup, total)
            assert np.allclose(factors, [theirs[step] for step in steps], rtol=0, atol=1e-15)
            cases.append(schedule_case(warmup, total, steps, factors, schedule=schedule))
    known = {0: 0, 1: 0.005, 199: 0.995, 200: 1, 500: 0.9330127, 1000: 0.58682409, 1999: 7.6e-7}
    assert all(abs(cosine_factor(step, 200, 2000) - value) < 5e-9 for step, value in known.items())
    return cases + stable_cases() + cyclic_cases() + min_lr_cases()


def schedule_case(warmup, total, steps, factors, steps_per_epoch=1, **settings):
    """A case as the test reads it: the recipe's keys, and what the schedule gives at some steps."""
    settings |= {"warmup_steps": warmup}
    sizes = {"total_steps": total, "steps_per_epoch": steps_per_epoch}
    return {"settings": settings} | sizes | {"steps": steps, "factors": factors}


def stable_cases():
    """transformers' `get_wsd_schedule`, down to zero in a line or as one minus the square root."""
    cases = []
    for ours, theirs in {"linear": "linear", "one_minus_square_root": "1-sqrt"}.items():
        for (warmup, total), steps in SPANS.items():
            for share in COOLDOWNS:
                decay = min(round(share * total), total - warmup)
                kwargs = {"num_decay_steps": decay, "decay_type": theirs, "min_lr_ratio": 0.0}
                factors = transformers_factors("warmup_stable_decay", warmup, total, kwargs)
                keys = {"schedule": "warmup_stable_decay", "cooldown": ours, "cooldown_share": share}
                cases.append(schedule_case(warmup, total, steps, [factors[step] for step in steps], **keys))
    return cases


def cyclic_cases():
    """transformers' cosine with hard restarts: without warm-up its cycles begin where ours do."""
    factors = transformers_factors("cosine_with_restarts", 0, 60, {"num_cycles": 3})
    keys = {"schedule": "cyclic", "cycle_epochs": 2.0}
    return [schedule_case(0, 60, list(range(60)), factors, steps_per_epoch=10, **keys)]


def min_lr_cases():
    """transformers' cosine down to a share of the highest rate."""
    cases = []
    for ratio in [0.1, 0.25]:
        for (warmup, total), steps in SPANS.items():
            factors = transformers_factors("cosine_with_min_lr", warmup, total, {"min_lr_rate": ratio})
            keys = {"schedule": "cosine_with_min_lr", "min_learning_rate_ratio": ratio}
            cases.append(schedule_case(warmup, total, steps, [factors[step] for step in steps], **keys))
    return cases


def adamw(variant, parameters, gradients):
    """Parameters after each step, and both moments at the end.

    `adamw` is `torch.optim.AdamW`. `adamw_hf` is the optimizer that transformers' Trainer used up to 4.31: epsilon is
    added before the bias correction, and the decay follows the step and sees the new parameters.
    """
    first, second = np.zeros_like(parameters), np.zeros_like(parameters)
    history = []
    for step, (rate, gradient) in enumerate(zip(LEARNING_RATES, gradients), start=1):
        first = BETA1 * first + (1 - BETA1) * gradient
        second = BETA2 * second + (1 - BETA2) * gradient**2
        correction1, correction2 = 1 - BETA1**step, 1 - BETA2**step
        if variant == "adamw":
            parameters = parameters * (1 - rate * WEIGHT_DECAY)
            root = np.sqrt(second) / np.sqrt(correction2) + EPSILON
            parameters = parameters - rate / correction1 * first / root
        else:
            rate_corrected = rate * np.sqrt(correction2) / correction1
            parameters = parameters - rate_corrected * first / (np.sqrt(second) + EPSILON)
            parameters = parameters - rate * WEIGHT_DECAY * parameters
        history.append(parameters)
    return {"parameters": np.stack(history).tolist(), "first_moment": first.tolist(), "second_moment": second.tolist()}


def torch_adamw(parameters, gradients):
    """What `torch.optim.AdamW` makes of the same steps in f64."""
    tensor = torch.tensor(parameters, requires_grad=True)
    optimizer = torch.optim.AdamW([tensor], betas=(BETA1, BETA2), eps=EPSILON, weight_decay=WEIGHT_DECAY)
    history = []
    for rate, gradient in zip(LEARNING_RATES, gradients):
        optimizer.param_groups[0]["lr"] = rate
        tensor.grad = torch.tensor(gradient)
        optimizer.step()
        history.append(tensor.tolist())
    return history


def optimizer_case():
    """Inputs that f32 holds exactly; some gradients are as small as epsilon, where the variants part."""
    generator = np.random.default_rng(40)
    parameters = generator.normal(size=12).astype(np.float32).astype(np.float64)
    gradients = generator.normal(size=(len(LEARNING_RATES), 12))
    gradients[:, 3:8] *= [1e-4, 1e-6, 1e-7, 1e-8, 0.0]
    gradients = gradients.astype(np.float32).astype(np.float64)
    case = {
        "beta1": BETA1,
        "beta2": BETA2,
        "epsilon": EPSILON,
        "weight_decay": WEIGHT_DECAY,
        "learning_rates": LEARNING_RATES,
        "start": parameters.tolist(),
        "gradients": gradients.tolist(),
    }
    case |= {variant: adamw(variant, parameters, gradients) for variant in ("adamw", "adamw_hf")}
    assert np.allclose(case["adamw"]["parameters"], torch_adamw(parameters, gradients), rtol=0, atol=1e-14)
    apart = np.abs(np.subtract(case["adamw"]["parameters"], case["adamw_hf"]["parameters"])).max()
    assert apart > 1e-3, "a test could not tell the variants apart"
    return case


def write_json(name, value):
    """Writes one JSON file, a line per top-level entry."""
    path = TRAIN_FIXTURES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = value.items() if isinstance(value, dict) else ((None, entry) for entry in value)
    lines = [(f"{json.dumps(key)}: " if key else "") + json.dumps(entry) for key, entry in entries]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    path.write_text(f"{opening}\n" + ",\n".join(lines) + f"\n{closing}\n")
    assert json.loads(path.read_text()) == value
    print(f"train/tests/fixtures/{name}: {path.stat().st_size / 1024:.1f} KiB")


def main():
    """Writes `schedules.json` and `optimizers.json`."""
    make_torch_repeatable()
    write_json("schedules.json", schedule_cases())
    write_json("optimizers.json", optimizer_case())


if __name__ == "__main__":
    main()
