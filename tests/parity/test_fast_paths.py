"""Every fast path computes what the plain way computes, with dropout on; and each can be switched off alone."""

import numpy as np
import pytest

from common.backend import FAST_PATHS, load
from tests.support import KINDS, TARGETS, assert_all_near, assert_near, build_engine, make_batch, plan_for, tiny_spec
from tests.tolerances import ACCUMULATION, STEP_LOSS

BACKENDS = [
    pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
]
EVERYTHING = tuple(FAST_PATHS)


def run(backend, kind, plain, dropout, **settings):
    """Gradients of the first batch without dropout, and losses and norms of four steps."""
    spec = tiny_spec(kind, dropout=dropout)
    plan = plan_for(spec, TARGETS[kind], rank=4, dropout=dropout, bias="lora_only")
    engine = build_engine(load(backend), spec, plan, plan.initial_values(0), plain=plain, **settings)
    gradients = engine.gradients([make_batch(kind, [9, 3, 16], seed=0)])
    handles = [
        engine.train_step([make_batch(kind, [9, 3, 16], seed=i), make_batch(kind, [4, 16, 2], seed=50 + i)], 1e-2)
        for i in range(4)
    ]
    return gradients, np.array(engine.fetch(handles))


def dropout_for(kind, plain):
    """Masks belong to rows and columns, of which the whole last layer has others than the classified position alone."""
    return 0.0 if kind == "bert" and "last_layer" in plain else 0.2


def combinations():
    """Every fast path alone and all together, with every network in both backends; in MindSpore, which compiles for each,
    one at a time in the nightly run."""
    for plain in (*((name,) for name in FAST_PATHS), EVERYTHING):
        for kind in KINDS:
            for backend in BACKENDS:
                (name,) = backend.values
                often = name == "pytorch" or plain == EVERYTHING
                marks = (*backend.marks, *(() if often else (pytest.mark.nightly,)))
                path = "everything" if plain == EVERYTHING else plain[0]
                yield pytest.param(name, kind, plain, marks=marks, id=f"{path}-{kind}-{name}")


@pytest.mark.parametrize(("backend", "kind", "plain"), list(combinations()))
def test_a_fast_path_changes_nothing(backend, kind, plain):
    (fast, fast_steps), (slow, slow_steps) = (
        run(backend, kind, names, dropout_for(kind, plain)) for names in ((), plain)
    )
    assert_all_near(
        *({name: array for name, array in found.items() if array.any()} for found in (fast, slow)), ACCUMULATION
    )
    assert_near(fast_steps, slow_steps, STEP_LOSS)


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("kind", ["bert", pytest.param("gpt2", marks=pytest.mark.nightly)])
def test_the_plain_way_is_a_graph_too(kind):
    (fast, fast_steps), (slow, slow_steps) = (
        run("mindspore", kind, names, dropout_for(kind, EVERYTHING), compile=True) for names in ((), EVERYTHING)
    )
    assert_all_near(
        *({name: array for name, array in found.items() if array.any()} for found in (fast, slow)), ACCUMULATION
    )
    assert_near(fast_steps, slow_steps, STEP_LOSS)


@pytest.mark.needs_pytorch
def test_nothing_of_the_size_of_the_probabilities_is_kept(monkeypatch):
    """Attention with more probabilities than a piece keeps what it is given; the plain way keeps the probabilities,
    dropped and not."""
    import torch

    from pytorch_impl.layers import attention as module
    from pytorch_impl.layers.dropout import Dropout, DropoutKey

    monkeypatch.setattr(module, "KEPT", 2 * 4 * 64 * 64 - 1)
    dropout = Dropout("layer", 0.1).train()
    dropout.key = DropoutKey("cpu")
    query, key, value = (torch.randn(2, 4, 64, 8, requires_grad=True) for _ in range(3))
    kept = {}
    for by_hand in (True, False):
        sizes = {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            mixed = module.attention(query, key, value, None, 8**-0.5, dropout, by_hand)
        kept[by_hand] = max(sizes.values())
        mixed.sum().backward()
    assert kept[True] <= query.numel()
    assert kept[False] >= 2 * 4 * 64 * 64


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("shape", ["vector", "full", "none"])
def test_attention_by_hand_has_the_right_gradients(dropout, shape):
    """Against autograd in float64 through the composed form, in pieces of one and of several rows, kept and computed
    again."""
    import torch

    from pytorch_impl.layers import attention as module
    from pytorch_impl.layers.dropout import Dropout, DropoutKey

    layer = Dropout("layer", dropout).train()
    layer.key = DropoutKey("cpu")
    layer.key.set(3, 1, 0)
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(3, 2, 5, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    key, value = (
        torch.randn(3, 2, 7, 4, generator=generator, dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    mask = {
        "none": None,
        "vector": torch.zeros(3, 1, 1, 7).double(),
        "full": torch.randn(1, 2, 5, 7, generator=generator).double(),
    }[shape]
    if shape == "vector":
        mask[1, :, :, 4:] = -1e30
    upstream = torch.randn(3, 2, 5, 4, generator=generator, dtype=torch.float64)
    found = {}
    ways = [(True, piece, kept) for piece in (1, 10**6) for kept in (1, 10**6)]
    for by_hand, piece, kept in (*ways, (False, 1, 1)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "PIECE", piece)
            patch.setattr(module, "KEPT", kept)
            mixed = module.attention(query, key, value, mask, 0.5, layer, by_hand)
        found[by_hand, piece, kept] = [mixed, *torch.autograd.grad(mixed, (query, key, value), upstream)]
    for way in ways:
        for ours, theirs in zip(found[way], found[False, 1, 1], strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("seq", [4, 64])
@pytest.mark.parametrize("masked", ["causal", "booleans", "additive", "none"])
def test_few_probabilities_are_attended_to_as_torch_does_it(monkeypatch, seq, masked):
    """What `transformers` calls: by hand up to a number of probabilities, by torch's kernel beyond it, whatever kind of
    mask it hands over."""
    import torch
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    from pytorch_impl.hf_bridge import attention as module
    from pytorch_impl.layers.dropout import Dropout

    layer = torch.nn.Module().train()
    torch.manual_seed(0)
    layer.is_causal, layer.probabilities = masked == "causal", Dropout("layer", 0.0)
    query, key, value = (torch.randn(2, 3, seq, 8, requires_grad=True) for _ in range(3))
    real = torch.ones(2, 1, 1, seq, dtype=torch.bool)
    real[1, ..., seq // 2 :] = False
    mask = {"booleans": real.expand(2, 1, seq, seq), "additive": torch.randn(2, 1, seq, seq)}.get(masked)
    by_hand = []
    monkeypatch.setattr(module, "KEPT", 2 * 2 * 3 * 16 * 16)
    monkeypatch.setattr(module, "attention", lambda *given, of=module.attention: by_hand.append(seq) or of(*given))
    found = []
    for attend in (module._attend, sdpa_attention_forward):
        mixed, _ = attend(layer, query, key, value, mask, scaling=0.3)
        found.append([mixed, *torch.autograd.grad(mixed.square().sum(), (query, key, value))])
    assert by_hand == [4] * (seq == 4)
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-6)


@pytest.mark.needs_pytorch
def test_attention_with_other_scores_is_refused():
    import torch

    from common.errors import InputError
    from pytorch_impl.hf_bridge.attention import _attend

    with pytest.raises(InputError, match="softcap"):
        _attend(torch.nn.Module(), *(torch.zeros(1, 1, 2, 2),) * 3, None, softcap=30.0)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("kind", KINDS)
def test_recomputed_layers_change_no_bit_and_keep_less(kind):
    from pytorch_impl.measuring import saved_bytes

    results, kept = [], []
    for recompute in (False, True):
        spec = tiny_spec(kind, dropout=0.2, **({"num_hidden_layers": 4} if kind == "bert" else {"n_layer": 4}))
        plan = plan_for(spec, TARGETS[kind], rank=4, dropout=0.2)
        engine = build_engine(load("pytorch"), spec, plan, recompute=recompute)
        steps = [[make_batch(kind, [30, 20, 16], seed=i)] for i in range(3)]
        kept.append(saved_bytes(lambda engine=engine, steps=steps: engine.train_step(steps[0], 0.0), engine.model))
        results.append(engine.fetch([engine.train_step(step, 1e-2) for step in steps]))
    assert results[0] == results[1]
    assert kept[1] < 0.5 * kept[0]
