"""Writes the losses that work on hidden states and an output matrix, with their gradients, as PyTorch computes them."""

import torch
import torch.nn.functional as F

from common import IGNORED, TRAIN_FIXTURES, make_torch_repeatable, random_input, save_tensors

VOCAB_SIZE, HIDDEN_SIZE, TEACHER_HIDDEN_SIZES = 33, 8, (5, 6)
LENGTHS = (4, 3)
TARGETS = (7, 0, IGNORED, IGNORED, 32, 7, IGNORED)  # an ignored one within, and the end of each sequence


def mean_logits(teachers):
    """The ensemble: the mean of the teachers' raw logits."""
    return torch.stack([hidden @ weight.T for hidden, weight in teachers]).mean(0)


def distillation_loss(logits, teacher_logits, targets, temperature, alpha, divisor):
    """`alpha * CE + (1 - alpha) * KL`; KL is summed over all positions, times T^2, over `divisor`. All three."""
    cross_entropy = F.cross_entropy(logits, targets, ignore_index=IGNORED)
    student = F.log_softmax(logits / temperature, -1)
    teacher = F.softmax(teacher_logits / temperature, -1)
    kl = F.kl_div(student, teacher, reduction="sum") * temperature**2 / divisor
    return alpha * cross_entropy + (1 - alpha) * kl, cross_entropy, kl


def check_toy():
    """Two sequences of three tokens whose loss under the BabyLlama authors' code is known to sixteen digits."""
    batch, sequence, vocab = torch.meshgrid(torch.arange(2), torch.arange(3), torch.arange(4), indexing="ij")
    logits = ((7 * batch + 3 * sequence + 5 * vocab) % 11).double() / 5 - 1
    first = ((3 * batch + 5 * sequence + 2 * vocab) % 7).double() / 3 - 1
    second = ((2 * batch + 7 * sequence + 3 * vocab) % 5).double() / 2 - 1
    tokens = (batch + sequence)[..., 0] % 4
    targets = F.pad(tokens[:, 1:], (0, 1), value=IGNORED).flatten()
    teachers = (first + second).flatten(0, 1) / 2
    found = distillation_loss(logits.flatten(0, 1), teachers, targets, temperature=2, alpha=0.5, divisor=2)
    known = (1.2950012211545368, 1.756119077348779, 0.8338833649602947)
    assert all(abs(float(a) - b) < 1e-14 for a, b in zip(found, known)), found


def gradients(loss, hidden, weight):
    """The loss's gradients, under the names the fixture uses."""
    d_hidden, d_weight = torch.autograd.grad(loss, (hidden, weight))
    return {"d_hidden": d_hidden, "d_weight": d_weight}


def main():
    """Writes `losses.safetensors`."""
    make_torch_repeatable()
    check_toy()
    torch.manual_seed(20)
    positions = sum(LENGTHS)
    hidden, weight = random_input(positions, HIDDEN_SIZE), random_input(VOCAB_SIZE, HIDDEN_SIZE)
    teachers = [(random_input(positions, size), random_input(VOCAB_SIZE, size)) for size in TEACHER_HIDDEN_SIZES]
    targets = torch.tensor(TARGETS)

    tensors = {"lengths": torch.tensor(LENGTHS), "targets": targets, "hidden": hidden, "weight": weight}
    for number, (teacher_hidden, teacher_weight) in enumerate(teachers):
        tensors |= {f"teachers.{number}.hidden": teacher_hidden, f"teachers.{number}.weight": teacher_weight}
    loss = F.cross_entropy(hidden @ weight.T, targets, ignore_index=IGNORED)
    tensors["cross_entropy.loss"] = loss
    tensors |= {f"cross_entropy.{key}": value for key, value in gradients(loss, hidden, weight).items()}
    for kl_name, divisor in (("token", positions), ("batchmean", len(LENGTHS))):
        for temperature in (1, 2):
            for alpha in (0.5, 0.3):
                loss, cross_entropy, kl = distillation_loss(
                    hidden @ weight.T, mean_logits(teachers).detach(), targets, temperature, alpha, divisor
                )
                case = {"loss": loss, "cross_entropy": cross_entropy, "kl": kl} | gradients(loss, hidden, weight)
                prefix = f"{kl_name}.temperature_{temperature}.alpha_{alpha}"
                tensors |= {f"{prefix}.{key}": value for key, value in case.items()}
    save_tensors(TRAIN_FIXTURES / "losses.safetensors", tensors)


if __name__ == "__main__":
    main()
