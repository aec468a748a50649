"""Decoders of Llama's family and encoders of DeBERTa's compute with their fast paths what `transformers` does."""

import shutil

import numpy as np
import pytest

from common.backend import load
from common.config.schema import ModelConfig
from common.models import FAMILIES
from common.models.loading import load_model_spec
from common.tasks import TASKS
from common.tasks.example import example_batch
from tests.support import assert_all_near, assert_near, build_engine, plan_for
from tests.tolerances import FAMILY, ROUNDED, STEP_LOSS

pytestmark = pytest.mark.needs_pytorch
TEXT, SENTENCE = "language-modeling", "sequence-classification"
DECODERS = ("llama", "qwen2", "qwen3", "mistral")
VARIANTS = {  #: family, task, entries of the configuration
    **{name: (name, TEXT, {}) for name in DECODERS},
    "llama classifier": ("llama", SENTENCE, {}),
    "mistral with a narrow window": ("mistral", TEXT, {"sliding_window": 4}),
    "deberta": ("deberta", SENTENCE, {}),
    "deberta c2p": ("deberta", SENTENCE, {"pos_att_type": ["c2p"]}),
    "deberta without positions": ("deberta", SENTENCE, {"pos_att_type": []}),
    "deberta with a short table": ("deberta", SENTENCE, {"max_relative_positions": 5}),
    "deberta-v2": ("deberta-v2", SENTENCE, {"position_buckets": -1, "share_att_key": False}),
    "deberta-v2 p2c": ("deberta-v2", SENTENCE, {"position_buckets": 16, "pos_att_type": ["p2c"]}),
    "deberta-v3": ("deberta-v2", SENTENCE, {"position_buckets": 16}),
    "deberta-v2 with few buckets": ("deberta-v2", SENTENCE, {"position_buckets": 6}),
    "deberta-v2 words": ("deberta-v2", "masked-language-modeling", {"position_buckets": -1, "conv_kernel_size": 3}),
}
PLAIN = ("attention", "fused")


def spec_of(variant, dropout=0.0):
    family, task, entries = VARIANTS[variant]
    tiny = FAMILIES.get(family).tiny(hidden=32, heads=4)
    config = {"model_type": family, "vocab_size": 40, "initializer_range": 0.3, **tiny, **entries}
    labels = TASKS.get(task).example_labels()
    return load_model_spec(ModelConfig(None, task, None, dropout, config), labels and labels[:3], 40, 0, 0)


def run(variant, plain, method="lora", dropout=0.0, steps=4, **settings):
    """Gradients of a padded batch without dropout, and losses and norms of some steps."""
    spec = spec_of(variant, dropout)
    targets = FAMILIES.get(spec.family).TARGETS
    plan = plan_for(spec, targets, rank=4, dropout=dropout) if method == "lora" else plan_for(spec, method=method)
    engine = build_engine(load("pytorch"), spec, plan, plain=plain, **settings)
    gradients = engine.gradients([example_batch(spec, [9, 3, 16, 1], "first")])
    steps = [[example_batch(spec, lengths, f"{i}") for lengths in ([9, 3, 16], [4, 12, 2])] for i in range(steps)]
    return gradients, np.array(engine.fetch([engine.train_step(batches, 1e-2) for batches in steps]))


def without_zeros(gradients):
    largest = max(np.abs(array).max() for array in gradients.values())
    return {name: array for name, array in gradients.items() if np.abs(array).max() > ROUNDED * largest}


def assert_same(fast, slow, gradient=FAMILY, loss=STEP_LOSS):
    kept = without_zeros(slow[0])
    assert len(kept) >= len(slow[0]) / 2
    assert_all_near({name: fast[0][name] for name in kept}, kept, gradient)
    assert_near(fast[1], slow[1], loss)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_fast_paths_change_neither_gradients_nor_steps(variant, method):
    """Training all of a network at this rate makes a difference a thousand times larger in four steps, in float64 too."""
    steps = 4 if method == "lora" else 1
    assert_same(*(run(variant, plain, method, steps=steps) for plain in ((), PLAIN)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_fast_paths_change_nothing_under_dropout(variant):
    assert_same(*(run(variant, plain, dropout=0.2) for plain in ((), PLAIN)))


@pytest.mark.parametrize(
    ("variant", "plain"),
    [("llama", "attention"), ("deberta", "attention"), ("deberta", "fused"), ("deberta-v2", "attention")],
)
def test_each_is_switched_off_alone(variant, plain):
    assert_same(*(run(variant, names, steps=1) for names in ((), (plain,))))


@pytest.mark.parametrize("variant", ["qwen3", "mistral with a narrow window", "deberta-v3", "deberta-v2 words"])
def test_fast_paths_are_the_same_in_float64(variant):
    """Up to the scale of the scores, which the DeBERTas of `transformers` round to float32."""
    near = 1e-6 if VARIANTS[variant][0] not in DECODERS else 1e-10
    assert_same(*(run(variant, plain, dtype="fp64") for plain in ((), PLAIN)), gradient=near, loss=near)


@pytest.mark.parametrize("variant", VARIANTS)
def test_bfloat16_is_near(variant):
    """Masks of the first DeBERTa overflow in bfloat16 as `transformers` writes them, and queries at rotary positions are
    float32 beside values in bfloat16."""
    (exact, first), (near, second) = (run(variant, (), dtype=dtype, steps=1) for dtype in ("fp32", "bf16"))
    exact, near = (np.concatenate([array.ravel() for array in found.values()]) for found in (exact, near))
    assert np.linalg.norm(near - exact) < 0.1 * np.linalg.norm(exact)
    assert_near(second[0, 0], first[0, 0], 0.02)


@pytest.mark.parametrize("variant", ["qwen3", "deberta", "deberta-v3"])
def test_recomputed_layers_change_no_bit(variant):
    (first, one), (second, two) = (run(variant, (), dropout=0.2, recompute=recompute) for recompute in (False, True))
    assert np.array_equal(one, two)
    assert all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.nightly  # a minute each; another test compiles networks by default
@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("c++")), reason="torch.compile needs a C++ compiler")
@pytest.mark.parametrize("variant", ["qwen3", "deberta-v3"])
def test_compiled_training_is_that_of_the_interpreted_network(variant):
    found = [run(variant, (), compile=mode, steps=2) for mode in (True, False)]
    assert_near(found[0][1], found[1][1], STEP_LOSS)


@pytest.mark.parametrize(
    ("variant", "aligned"), [("deberta", True), ("deberta-v3", True), ("deberta-v2 with few buckets", False)]
)
def test_a_table_of_few_rows_is_gathered(variant, aligned, monkeypatch):
    from pytorch_impl.hf_bridge import relative

    used = []
    monkeypatch.setattr(relative, "_products", lambda *given, of=relative._products: used.append(1) or of(*given))
    run(variant, (), steps=0)
    assert bool(used) == aligned
