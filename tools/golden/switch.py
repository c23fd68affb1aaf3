"""Writes what transformers computes with experts: a sparse layer of Switch Transformers, and Qwen2-MoE models."""

import copy
import math
import shutil

import torch
from torch.nn import functional
from transformers import (
    AutoModelForCausalLM,
    Qwen2MoeConfig,
    SwitchTransformersConfig,
    SwitchTransformersModel,
    logging,
)

from common import ENGINE_FIXTURES, MODEL_FIXTURES, make_torch_repeatable, save_tensors
from models import (
    SEQUENCES,
    STEPS,
    TOKENS,
    VOCAB_SIZE,
    forward_and_gradients,
    random_ids,
    random_model,
    rounding_differences,
    train,
)

IDS = [[1, 5, 3, 7, 2, 9], [4, 4, 4, 0, 8, 6]]


def filled(tensors):
    """Values by a rule that needs no file: of the tensors in the order of their names, a sine of place and tensor."""
    for order, name in enumerate(sorted(tensors)):
        base, width = (1.0, 0.1) if "norm" in name else (0.0, 0.25)
        places = torch.arange(tensors[name].numel(), dtype=torch.float64)
        values = base + width * torch.sin(1 + 0.37 * places + 1.91 * order)
        yield name, values.reshape(tensors[name].shape)


def decoder_stack():
    """The decoder of an encoder-decoder model alone, whose second layer has three experts with room for two tokens."""
    sizes = dict(vocab_size=11, d_model=8, d_kv=4, num_heads=2, d_ff=12, num_layers=2, num_decoder_layers=2)
    sparse = dict(num_sparse_encoder_layers=1, num_sparse_decoder_layers=1, num_experts=3, expert_capacity=2)
    config = SwitchTransformersConfig(**sizes, **sparse, dropout_rate=0.0, is_decoder=True)
    stack = SwitchTransformersModel(config).decoder
    stack.config.is_decoder = True
    for block in stack.block:
        # Without an encoder there is nothing to attend to.
        block.is_decoder = False
        del block.layer[1:-1]
    return stack.eval()


def write_layer():
    """The sparse layer of the stack on its own input, and what the stack computes behind it."""
    stack = decoder_stack()
    values = dict(filled(dict(stack.named_parameters())))
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            parameter.copy_(values[name])
    sparse, seen = stack.block[1].layer[-1], {}
    sparse.register_forward_hook(lambda module, inputs, outputs: seen.update(residual=inputs[0], output=outputs))
    ids = torch.tensor(IDS)
    states = stack(input_ids=ids).last_hidden_state
    scores = states / math.sqrt(8) @ stack.embed_tokens.weight.T
    loss = functional.cross_entropy(scores[:, :-1].reshape(-1, 11), ids[:, 1:].reshape(-1))

    residual = seen["residual"].detach()
    hidden = sparse.layer_norm(residual).detach().requires_grad_(True)
    mask, gates, logits = sparse.mlp.router(hidden)
    output = residual + sparse.mlp(hidden)
    assert torch.equal(output, seen["output"])
    z, balance = losses(logits)
    torch.manual_seed(1)
    d_output = torch.randn(2, 6, 8)
    stack.zero_grad()
    ((output * d_output).sum() + 0.3 * z + 0.7 * balance).backward()
    expected = {"ids": ids.reshape(12), "scores": scores.reshape(12, 11), "loss": loss}
    rows = {"input": hidden, "residual": residual, "output": output, "d_output": d_output, "d_input": hidden.grad}
    expected |= {name: tensor.reshape(12, 8) for name, tensor in rows.items()}
    routes = {"choices": logits.argmax(-1), "kept": mask.sum(-1), "gates": gates}
    expected |= {name: tensor.reshape(12) for name, tensor in routes.items()} | {"z": z, "balance": balance}
    expected |= {"final_norm": stack.final_layer_norm.weight, "embedding": stack.embed_tokens.weight}
    for name, parameter in sparse.mlp.named_parameters():
        expected |= {name: parameter, f"d_{name}": parameter.grad}
    save_tensors(ENGINE_FIXTURES / "switch_layer.safetensors", expected)


def losses(logits):
    """The z-loss and the balance loss, from their formulas."""
    z = torch.logsumexp(logits, -1).square().mean()
    probabilities = logits.softmax(-1)
    shares = functional.one_hot(logits.argmax(-1), logits.shape[-1]).float().mean(1)
    balance = logits.shape[-1] * (shares * probabilities.mean(1)).sum(-1).mean()
    return z, balance


def qwen2_moe(**changes):
    """A LLaMA body with one expert per token and a shared expert of no width."""
    shape = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2)
    experts = dict(num_experts=3, num_experts_per_tok=1, norm_topk_prob=False, shared_expert_intermediate_size=0)
    widths = dict(intermediate_size=20, moe_intermediate_size=20, qkv_bias=False, decoder_sparse_step=1)
    rest = dict(max_position_embeddings=16, rms_norm_eps=1e-4, tie_word_embeddings=False)
    tokens = dict(vocab_size=VOCAB_SIZE, bos_token_id=1, eos_token_id=2, pad_token_id=0)
    return Qwen2MoeConfig(**(shape | experts | widths | rest | tokens | changes))


# The second has a dense layer in front, and as many heads of keys as of queries.
CONFIGS = {
    "switch-llama": qwen2_moe(),
    "switch-llama-step": qwen2_moe(decoder_sparse_step=2, num_experts=4, num_key_value_heads=4),
}


def per_expert(tensors):
    """The tensors of all experts, which transformers 5 computes with as one, under the names of the files."""
    found = {}
    for name, tensor in tensors.items():
        head, _, tail = name.partition(".mlp.experts.")
        if "shared_expert" in name:
            continue
        if not tail:
            found[name] = tensor
            continue
        for number, one in enumerate(tensor):
            place = f"{head}.mlp.experts.{number}"
            if tail.startswith("down_proj"):
                found[f"{place}.down_proj.weight"] = one
            else:
                gate, up = one.chunk(2)
                found |= {f"{place}.gate_proj.weight": gate, f"{place}.up_proj.weight": up}
    return found


def write_model(name, config, seed):
    """A folder as `save_pretrained` writes it, with what the model computes."""
    torch.manual_seed(seed)
    folder = MODEL_FIXTURES / name
    shutil.rmtree(folder, ignore_errors=True)
    model = random_model(config)
    # Expert by expert, which also works in f64.
    model.set_experts_implementation("eager")
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if parameter_name.endswith("mlp.gate.weight"):
                # Routes that ten steps and rounding do not turn over by accident.
                parameter.mul_(6.0)
    model.save_pretrained(folder)
    ids = random_ids(SEQUENCES, TOKENS)
    step_ids = random_ids(STEPS, SEQUENCES, TOKENS)
    for parameter_name, parameter in model.named_parameters():
        parameter.requires_grad_("shared_expert" not in parameter_name)

    def computed(of):
        expected = forward_and_gradients(Trainable(of), ids)
        return expected | {"step_ids": step_ids} | train(Trainable(of), step_ids)

    exact, expected = computed(copy.deepcopy(model).double()), computed(model)
    worst = rounding_differences(expected, exact)
    assert max(worst.values()) < 1e-4, worst
    save_tensors(folder / "expected.safetensors", per_expert(expected))
    print("  f32 against f64:", ", ".join(f"{kind} {value:.0e}" for kind, value in worst.items() if value))


class Trainable:
    """A model of which only the parameters that training changes are seen."""

    def __init__(self, model):
        self.model = model

    def __getattr__(self, name):
        return getattr(self.model, name)

    def __call__(self, *args, **kwargs):
        return self.model(*args, **kwargs)

    def named_parameters(self):
        return [(name, one) for name, one in self.model.named_parameters() if one.requires_grad]

    def parameters(self):
        return [one for _, one in self.named_parameters()]


def main():
    """Writes every fixture of models with experts."""
    make_torch_repeatable()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    write_layer()
    for seed, (name, config) in enumerate(CONFIGS.items(), start=41):
        write_model(name, config, seed)


if __name__ == "__main__":
    main()
