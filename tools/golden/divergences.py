"""Writes every divergence of every kind of ensemble, with its gradients, as PyTorch computes them."""

import torch
import torch.nn.functional as F

from common import ENGINE_FIXTURES, make_torch_repeatable, random_input, save_tensors

POSITIONS, VOCAB_SIZE, HIDDEN_SIZE, TEACHER_HIDDEN_SIZES = 7, 33, 8, (5, 6)
WEIGHTS = (0.75, 0.25)


def kl(log_a, log_b):
    """`KL(a || b)`, summed over all positions."""
    return F.kl_div(log_b, log_a, reduction="sum", log_target=True)


def jensen_shannon(log_p, log_q):
    """The mean of the divergences from the middle."""
    log_middle = ((log_p.exp() + log_q.exp()) / 2).log()
    return (kl(log_p, log_middle) + kl(log_q, log_middle)) / 2


DIVERGENCES = {
    "forward_kl": kl,
    "reverse_kl": lambda log_p, log_q: kl(log_q, log_p),
    "jensen_shannon": jensen_shannon,
}


def distributions(ensemble, logits, temperature):
    """The log-probabilities to compare the student with, as (weight, log_p); `logits` are the teachers'."""
    each = [F.log_softmax(teacher / temperature, -1) for teacher in logits]
    match ensemble:
        case "mean_logits":
            mean = sum(weight * teacher for weight, teacher in zip(WEIGHTS, logits))
            return [(1, F.log_softmax(mean / temperature, -1))]
        case "mean_probs":
            return [(1, sum(weight * log_p.exp() for weight, log_p in zip(WEIGHTS, each)).log())]
        case "sum_kl":
            return list(zip(WEIGHTS, each))


def main():
    """Writes `divergences.safetensors`."""
    make_torch_repeatable()
    torch.manual_seed(40)
    hidden, weight = random_input(POSITIONS, HIDDEN_SIZE), random_input(VOCAB_SIZE, HIDDEN_SIZE)
    teachers = [(random_input(POSITIONS, size), random_input(VOCAB_SIZE, size)) for size in TEACHER_HIDDEN_SIZES]
    logits = [(states @ output.T).detach() for states, output in teachers]

    tensors = {"hidden": hidden, "weight": weight, "weights": torch.tensor(WEIGHTS)}
    for number, (teacher_hidden, teacher_weight) in enumerate(teachers):
        tensors |= {f"teachers.{number}.hidden": teacher_hidden, f"teachers.{number}.weight": teacher_weight}
    for name, divergence in DIVERGENCES.items():
        for ensemble in ("mean_logits", "mean_probs", "sum_kl"):
            for temperature in (1, 2):
                log_q = F.log_softmax(hidden @ weight.T / temperature, -1)
                targets = distributions(ensemble, logits, temperature)
                loss = temperature**2 * sum(share * divergence(log_p, log_q) for share, log_p in targets)
                d_hidden, d_weight = torch.autograd.grad(loss, (hidden, weight))
                case = {"loss": loss, "d_hidden": d_hidden, "d_weight": d_weight}
                tensors |= {f"{name}.{ensemble}.temperature_{temperature}.{key}": case[key] for key in case}
    save_tensors(ENGINE_FIXTURES / "divergences.safetensors", tensors)


if __name__ == "__main__":
    main()
