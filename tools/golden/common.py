"""What the fixture writers share: where fixtures lie, and how tensors are written."""

import math
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

CRATES = Path(__file__).resolve().parents[2] / "crates"
ENGINE_FIXTURES = CRATES / "engine/tests/fixtures"
MODEL_FIXTURES = CRATES / "model/tests/fixtures"
TRAIN_FIXTURES = CRATES / "train/tests/fixtures"
EVAL_FIXTURES = CRATES / "eval/tests/fixtures"

IGNORED = -100
"""The target of a position that predicts nothing, as in PyTorch."""


def make_torch_repeatable():
    """One thread and deterministic kernels, so that the same versions on the same machine write the same bytes."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def save_tensors(path, tensors):
    """Writes safetensors: floats as F32, ids as U32, targets (which may be negative) as I32; scalars get shape [1]."""
    arrays = {}
    for name, tensor in tensors.items():
        array = np.atleast_1d(torch.as_tensor(tensor).detach().cpu().numpy())
        if not np.issubdtype(array.dtype, np.integer):
            assert np.isfinite(array).all(), f"{name} holds a value that is not finite"
            array = array.astype(np.float32)
        elif name == "targets" or name.endswith(".targets"):
            array = array.astype(np.int32)
        else:
            assert array.min() >= 0, f"{name} holds a negative number"
            array = array.astype(np.uint32)
        arrays[name] = np.ascontiguousarray(array)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(arrays, path)
    path.chmod(0o644)
    print(f"{path.relative_to(CRATES)}: {len(arrays)} tensors, {path.stat().st_size / 1024:.1f} KiB")


def random_input(*shape, scale=1.0, shift=0.0):
    """Normal numbers as f64 that f32 holds exactly: a program that reads them as f32 computes from the same inputs."""
    values = (torch.randn(*shape) * scale + shift).to(torch.float32)
    return values.to(torch.float64).requires_grad_(True)


def cosine_factor(step, warmup, total):
    """Share of the peak learning rate at `step` (0-based): linear warm-up from zero, then half a cosine."""
    if step < warmup:
        return step / max(1, warmup)
    progress = (step - warmup) / max(1, total - warmup)
    return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))


def is_decayed(name):
    """Whether AdamW decays the parameter of this Hugging Face name: all but biases and normalisation."""
    return not (name.endswith("bias") or "norm" in name.lower() or ".ln_" in name)
