"""Training of the last layers: what is frozen stays, what is trained is what stands at the end, and the run is
whole."""

from __future__ import annotations

import numpy as np
import pytest

from common.backend import load
from common.cli.main import main
from common.errors import InputError
from common.files import load_arrays
from common.models import FAMILIES
from common.models.loading import outline
from common.models.numbering import stem_of
from tests.support import assert_identical, build_engine, make_batch, plan_for, tiny_spec

BACKENDS = [
    pytest.param("pytorch", marks=pytest.mark.needs_pytorch),
    pytest.param("mindspore", marks=pytest.mark.needs_mindspore),
]


@pytest.mark.parametrize("name", BACKENDS)
def test_the_last_layer_the_pooler_and_the_head_learn_and_nothing_else(name):
    spec = tiny_spec("bert")
    plan = plan_for(spec, (), "last_layers")
    trained = {one.name.removeprefix("bert.").partition(".")[0] for one in plan.parameters}
    assert trained == {"encoder", "pooler", "classifier"}
    assert all("layer.1." in one.name for one in plan.parameters if "encoder" in one.name)
    engine = build_engine(load(name), spec, plan)
    before, frozen = engine.trainable(), dict(engine.frozen())
    engine.train_step([make_batch("bert", (9, 4, 6))], 1e-2)
    after = engine.trainable()
    assert all(np.abs(after[one] - before[one]).max() > 1e-5 for one in before if not one.endswith("key.bias"))
    assert all((array == frozen[one]).all() for one, array in engine.frozen())
    assert set(frozen) | set(before) == set(spec.arrays)


LISTED = [family.name for family in FAMILIES if stem_of(family, {**family.DEFAULTS, **family.tiny()}) is not None]
OTHERS = {"albert", "bilstm-cnn", "cnn-classifier", "densenet-cnn", "densenet-dsa", "gaussian-nb", "han", "rnn"}
OTHERS |= {"seq2seq-lstm", "textcnn", "transformer"}


def test_every_encoder_and_decoder_with_layers_of_their_own_lists_them():
    assert set(FAMILIES.names()) - set(LISTED) == OTHERS


@pytest.mark.parametrize("family", LISTED)
def test_every_family_with_a_list_of_layers_has_last_layers(family):
    tasks = ("sequence-classification", "language-modeling")
    task = tasks["causal" in FAMILIES.get(family).__class__.__module__]
    entries = {**FAMILIES.get(family).DEFAULTS, **FAMILIES.get(family).tiny()}
    spec = outline(family, task, entries, ("a", "b"))
    one, two = (plan_for(spec, (), "last_layers", layers=count) for count in (1, 2))
    names = {parameter.name for parameter in one.parameters}
    assert names < {parameter.name for parameter in two.parameters} < set(spec.shapes())
    assert not [name for name in names if "embed" in name or name.endswith(("wte.weight", "wpe.weight"))]


def test_more_layers_than_there_are_and_shared_layers_are_refused():
    with pytest.raises(InputError, match=r"adaptation\.layers must be at most the 2 layers of the model; received 3"):
        plan_for(tiny_spec("bert"), (), "last_layers", layers=3)
    entries = {**FAMILIES.get("albert").DEFAULTS, **FAMILIES.get("albert").tiny()}
    with pytest.raises(InputError, match="a albert model has none"):
        plan_for(outline("albert", "sequence-classification", entries, ("a", "b")), (), "last_layers")


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_a_run_is_stored_whole_and_opened_as_it_was(work):
    import twinlora

    two = "{model_type: bert, hidden_size: 16, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 24}"
    given = ("adaptation={method: last_layers}", f"model.config={two}", "model.dropout=0.0")
    run = work.train("pytorch", "last", *given)
    arrays = load_arrays(run / "model" / "model.safetensors")[0]
    assert any("layer.0." in name for name in arrays)
    assert main(["eval", str(run)]) == 0
    opened = twinlora.open(run, device="cpu")
    merged = twinlora.open(run).merge(work.folder / "last-merged")
    kept = load_arrays(merged / "model.safetensors")[0]
    assert_identical(kept, arrays)
    assert opened.summary["trainable"]["total"] < opened.summary["model"]["parameters"]
