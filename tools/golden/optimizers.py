"""Writes two updates of Muon, NorMuon, Lion and LAMB as a small JSON file, in f64, from the papers' formulas."""

import numpy as np
import torch

from common import make_torch_repeatable
from schedules import write_json

SHAPES = [(6, 10), (10, 4), (8, 8), (1, 7)]
UPDATES = 2
LEARNING_RATE, WEIGHT_DECAY = 0.02, 0.1
MOMENTUM, MOMENTUM_START, WARMUP = 0.95, 0.85, 300
BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
LION_BETA1, LION_BETA2 = 0.9, 0.99
NORMUON_BETA2 = 0.95

CLASSIC = [(3.4445, -4.7750, 2.0315)] * 5
# Amsel et al., arXiv 2505.16932, with the safety factor of Muon's speedruns.
POLAR_EXPRESS = [
    (8.156554524902461, -22.48329292557795, 15.878769915207462),
    (4.042929935166739, -2.808917465908714, 0.5000178451051316),
    (3.8916678022926607, -2.772484153217685, 0.5060648178503393),
    (3.285753657755655, -2.3681294933425376, 0.46449024233003106),
    (2.3465413258596377, -1.7097828382687081, 0.42323551169305323),
]


def orthogonalised(matrix, coefficients, margin):
    """The polynomials of the singular values, by the decomposition itself: no products of matrices."""
    left, values, right = torch.linalg.svd(matrix / (margin * matrix.norm()), full_matrices=False)
    for a, b, c in coefficients:
        values = a * values + b * values**3 + c * values**5
    return left @ torch.diag(values) @ right


def muon(weight, gradients, polar_express=False, by_rows=False, cautious=False):
    """The weights after each update; `by_rows` is NorMuon."""
    coefficients, margin = (POLAR_EXPRESS, 1.02) if polar_express else (CLASSIC, 1.0)
    average, second = torch.zeros_like(weight), torch.zeros(weight.shape[0], 1, dtype=weight.dtype)
    history = []
    for step, gradient in enumerate(gradients):
        momentum = MOMENTUM_START + (MOMENTUM - MOMENTUM_START) * min(step / WARMUP, 1)
        average = torch.lerp(average, gradient, 1 - momentum)
        direction = orthogonalised(torch.lerp(gradient, average, momentum), coefficients, margin)
        if by_rows:
            norm = direction.norm()
            second = torch.lerp(second, (direction**2).mean(dim=1, keepdim=True), 1 - NORMUON_BETA2)
            direction = direction / (second.sqrt() + 1e-10)
            direction = direction * norm / (direction.norm() + 1e-10)
        keep = torch.where(direction * weight >= 0, 1.0, 0.0) if cautious else torch.ones_like(weight)
        weight = weight - LEARNING_RATE * WEIGHT_DECAY * keep * weight
        weight = weight - LEARNING_RATE * 0.2 * max(weight.shape) ** 0.5 * direction
        history.append(weight)
    return history


def lion(weight, gradients):
    """Algorithm 2 of arXiv 2302.06675."""
    average, history = torch.zeros_like(weight), []
    for gradient in gradients:
        direction = torch.sign(LION_BETA1 * average + (1 - LION_BETA1) * gradient)
        weight = weight - LEARNING_RATE * (direction + WEIGHT_DECAY * weight)
        average = LION_BETA2 * average + (1 - LION_BETA2) * gradient
        history.append(weight)
    return history


def lamb(weight, gradients):
    """Algorithm 2 of arXiv 1904.00962, with the identity as its function of norms."""
    first, second, history = torch.zeros_like(weight), torch.zeros_like(weight), []
    for step, gradient in enumerate(gradients, start=1):
        first = BETA1 * first + (1 - BETA1) * gradient
        second = BETA2 * second + (1 - BETA2) * gradient**2
        ratio = first / (1 - BETA1**step) / ((second / (1 - BETA2**step)).sqrt() + EPSILON)
        direction = ratio + WEIGHT_DECAY * weight
        weight = weight - LEARNING_RATE * weight.norm() / direction.norm() * direction
        history.append(weight)
    return history


def check_against_torch(weight, gradients):
    """`torch.optim.Muon` iterates in bf16, so that it is near alone; its momentum has no warm-up."""
    global MOMENTUM_START
    parameter = torch.nn.Parameter(weight.clone())
    optimizer = torch.optim.Muon(
        [parameter], lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY, momentum=MOMENTUM, adjust_lr_fn="match_rms_adamw"
    )
    kept, MOMENTUM_START = MOMENTUM_START, MOMENTUM
    ours = muon(weight, gradients)
    MOMENTUM_START = kept
    for gradient, expected in zip(gradients, ours):
        parameter.grad = gradient.clone()
        optimizer.step()
        apart = (parameter.detach() - expected).abs().max()
        moved = (expected - weight).abs().max()
        assert apart < 0.05 * moved, f"{apart} of {moved}"


def case(shape):
    """Inputs that f32 holds exactly, and the weights after every update of every optimizer."""
    generator = np.random.default_rng(50 + shape[0])
    draw = lambda *size: torch.tensor(generator.normal(size=size).astype(np.float32).astype(np.float64))
    weight, gradients = draw(*shape), draw(UPDATES, *shape)
    check_against_torch(weight, gradients)
    found = {
        "muon": muon(weight, gradients),
        "muon polar_express": muon(weight, gradients, polar_express=True),
        "muon cautious": muon(weight, gradients, cautious=True),
        "normuon": muon(weight, gradients, by_rows=True),
        "normuon polar_express": muon(weight, gradients, polar_express=True, by_rows=True),
        "lion": lion(weight, gradients),
        "lamb": lamb(weight, gradients),
    }
    flat = lambda tensors: [[round(value, 9) for value in tensor.flatten().tolist()] for tensor in tensors]
    return {
        "rows": shape[0],
        "columns": shape[1],
        "start": weight.flatten().tolist(),
        "gradients": [gradient.flatten().tolist() for gradient in gradients],
        "after": {name: flat(history) for name, history in found.items()},
    }


def main():
    """Writes `updates.json`."""
    make_torch_repeatable()
    torch.set_default_dtype(torch.float64)
    write_json("updates.json", [case(shape) for shape in SHAPES])


if __name__ == "__main__":
    main()
