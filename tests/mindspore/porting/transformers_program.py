"""transformers' own model files and PEFT, as a program for torch writes them. Torch runs it, and the surface does.

    python -m tests.mindspore.porting.transformers_program torch FOLDER
    python -m tests.mindspore.porting.transformers_program surface FOLDER

Torch saves its networks with ``save_pretrained``; the surface loads these folders with ``from_pretrained``. Each leaves
its arrays in FOLDER.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np

SIZES = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
STILL = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 64}
#: model class and configuration
MODELS = {
    "bert": ("BertForSequenceClassification", {**SIZES, **STILL, "num_labels": 3}),
    "roberta": ("RobertaForSequenceClassification", {**SIZES, **STILL, "num_labels": 3}),
    "distilbert": (
        "DistilBertForSequenceClassification",
        {"vocab_size": 99, "dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37, "max_position_embeddings": 64}
        | {"dropout": 0.0, "attention_dropout": 0.0, "seq_classif_dropout": 0.0, "num_labels": 3},
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        {"vocab_size": 99, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": 0}
        | {"eos_token_id": 1, "pad_token_id": 1, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0},
    ),
    "deberta-v2": (
        "DebertaV2ForSequenceClassification",
        {**SIZES, **STILL, "num_labels": 3, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}
        | {"position_buckets": 8, "norm_rel_ebd": "layer_norm", "share_att_key": True, "type_vocab_size": 0}
        | {"pooler_dropout": 0.0, "position_biased_input": False},
    ),
    "llama": (
        "LlamaForCausalLM",
        {**SIZES, "max_position_embeddings": 64, "num_key_value_heads": 2, "pad_token_id": 0},
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {"vocab_size": 99, "d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "dropout_rate": 0.0}
        | {"decoder_start_token_id": 0},
    ),
}


def new_model(name: str):
    """A network with transformers' start values."""
    import transformers

    kind, options = MODELS[name]
    cls = getattr(transformers, kind)
    return cls(cls.config_class(**options))


def load_model(name: str, folder: Path):
    """A network that was saved."""
    import transformers

    return getattr(transformers, MODELS[name][0]).from_pretrained(folder / name)


def batch(name: str, seed: int = 0) -> dict:
    """Token ids, of which a row ends early, and labels."""
    import torch

    random = np.random.default_rng(seed)
    ids = random.integers(5, 99, (4, 12))
    mask = np.ones_like(ids)
    mask[1, 8:] = 0
    given = {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
    if "Sequence" in MODELS[name][0]:
        return {**given, "labels": torch.from_numpy(random.integers(0, 3, 4))}
    return {**given, "labels": torch.from_numpy(ids), "use_cache": False}


def gradients(model, given: dict, call=None) -> dict:
    """Loss, logits and the gradient of every parameter."""
    model.train()
    model.zero_grad()
    found = (call or model)(**given)
    found.loss.backward()
    arrays = {"loss": found.loss.detach().numpy(), "logits": found.logits.detach().numpy()}
    return arrays | {f"gradient {n}": p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None}


def trained(name: str, folder: Path, steps: int) -> list[float]:
    """Losses of a training of PEFT's LoRA with AdamW, and of the adapter after it was saved and loaded."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model

    torch.manual_seed(1)
    kind = MODELS[name][0]
    task = "SEQ_CLS" if "Sequence" in kind else "SEQ_2_SEQ_LM" if "Conditional" in kind else "CAUSAL_LM"
    targets = {"distilbert": ["q_lin", "v_lin"]}.get(name)
    adapter = LoraConfig(task_type=task, r=4, lora_alpha=8, target_modules=targets)
    model = get_peft_model(load_model(name, folder), adapter)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=3e-3)
    losses = []
    for step in range(steps):
        model.train()
        loss = model(**batch(name, step)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    model.save_pretrained(folder / f"{name}-adapter")
    again = PeftModel.from_pretrained(load_model(name, folder), folder / f"{name}-adapter").eval()
    with torch.no_grad():
        return [*losses, again(**batch(name, steps)).loss.item()]


def generated(model) -> np.ndarray:
    """Tokens of a greedy and of a beam search."""
    import torch

    ids = torch.tensor([[5, 6, 7, 8], [9, 10, 11, 12]])
    model.eval()
    found = [model.generate(ids, max_new_tokens=6, do_sample=False, num_beams=beams).numpy() for beams in (1, 3)]
    return np.concatenate([tokens.reshape(-1) for tokens in found])


def run(framework: str, name: str, folder: Path, steps: int, compiled: bool) -> dict:
    """Everything about one network, as arrays."""
    import torch

    torch.manual_seed(0)
    model = new_model(name)
    arrays = {f"start {key}": value.detach().numpy() for key, value in model.state_dict().items()}
    if framework == "torch":
        model.save_pretrained(folder / name)
    model = load_model(name, folder)
    given = batch(name)
    arrays |= {f"float32 {key}": value for key, value in gradients(model, given).items()}
    if "Sequence" not in MODELS[name][0]:
        arrays["tokens"] = generated(model)
    arrays |= {f"float64 {key}": value for key, value in gradients(model.double(), given).items()}
    arrays["training losses"] = np.array(trained(name, folder, steps)) if steps else np.zeros(0)
    if compiled and framework == "surface":
        model = torch.compile(load_model(name, folder))
        gradients(model, batch(name, 1))
        arrays |= {f"compiled {key}": value for key, value in gradients(model, given).items()}
    return arrays


def main() -> int:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("framework", choices=("torch", "surface"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--steps", type=int, default=50, help="of the training; 0 for none")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    if args.framework == "surface":
        from mindspore_impl import torch_api

        torch_api.install()
    for name in args.models:
        start = time.perf_counter()
        arrays = run(args.framework, name, args.folder, args.steps, args.compile)
        np.savez(args.folder / f"{name}.{args.framework}.npz", **arrays)
        print(f"{name} {args.framework} {time.perf_counter() - start:.0f} s", flush=True)
    if args.framework == "surface" and "torch._C" in sys.modules:
        raise RuntimeError("torch itself was loaded, so that it may have computed something")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
