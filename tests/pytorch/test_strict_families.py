"""Models of families that transformers builds are read as strictly as those described here."""

from __future__ import annotations

import json

import pytest

from common.config.schema import ModelConfig
from common.errors import InputError
from common.files import load_arrays
from common.models.loading import load_model_spec

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 32,
}


@pytest.fixture
def folder(tmp_path):
    """An ERNIE with a classifier of two classes."""
    torch.manual_seed(0)
    config = transformers.ErnieConfig(**SIZES, id2label={0: "no", 1: "yes"})
    transformers.ErnieForSequenceClassification(config).save_pretrained(tmp_path)
    return tmp_path


def load(folder, labels=("no", "yes"), **entries):
    return load_model_spec(ModelConfig(str(folder), "sequence-classification", None, None, entries), labels, 40, 0, 0)


def change(folder, **entries):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | entries))


def test_code_that_comes_with_a_model_is_not_run(folder, monkeypatch):
    (folder / "own.py").write_text(f"open({str(folder / 'ran')!r}, 'w')\n")
    change(
        folder,
        auto_map={"AutoConfig": "own.Config", "AutoModelForSequenceClassification": "own.Model"},
        model_type="own",
    )
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    with pytest.raises(InputError, match=r"brings Python code of its own .*, which is never run"):
        load(folder)
    assert not (folder / "ran").exists()


def test_pickles_are_refused_and_the_advice_keeps_the_head(folder):
    model = transformers.ErnieForSequenceClassification.from_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"a pickle.*transformers\.ErnieForSequenceClassification\.from_pretrained"):
        load(folder)


@pytest.mark.parametrize("part", [100, 1000, 3000])
def test_weights_that_are_cut_off_are_named(folder, part):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-part])
    with pytest.raises(InputError, match=r"model\.safetensors cannot be read as a safetensors file"):
        load(folder)


def test_a_head_with_another_number_of_classes_is_drawn_anew(folder):
    spec = load(folder, ("a", "b", "c"))
    assert spec.arrays["classifier.weight"].shape == (3, 16)
    assert "classifier.weight" in spec.new_parameters
    assert "newly initialised" in str(spec.head_origin)


@pytest.mark.parametrize(
    "entries",
    [
        {"num_attention_heads": 0},
        {"hidden_act": "none"},
        {"hidden_size": "a"},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 2},
        {"num_hidden_layers": 0},
        {"num_attention_heads": 3},
    ],
)
def test_a_configuration_that_cannot_be_built_is_one_sentence(folder, entries):
    change(folder, **entries)
    with pytest.raises(
        InputError, match=r"transformers cannot build|leaves .* at random|have other shapes|lacks .* of layers"
    ):
        load(folder)


def test_an_index_that_points_outside_its_folder_is_refused(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other") / "model.safetensors"
    (folder / "model.safetensors").rename(other)
    names = load_arrays(other)[0]
    for target in (str(other), f"../{other.parent.name}/{other.name}", "a\\b", "x\n"):
        content = {"metadata": {}, "weight_map": dict.fromkeys(names, target)}
        (folder / "model.safetensors.index.json").write_text(json.dumps(content))
        with pytest.raises(InputError, match="must be relative names inside"):
            load(folder)


def test_a_masked_language_model_of_bert_gets_a_new_pooler_that_is_announced(tmp_path):
    sizes = {
        "vocab_size": 40,
        "hidden_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    transformers.BertForMaskedLM(transformers.BertConfig(**sizes)).save_pretrained(tmp_path)
    spec = load(tmp_path)
    assert "bert.pooler.dense.weight" in spec.new_parameters
    assert "bert.pooler.dense" in str(spec.head_origin)


def test_an_activation_that_transformers_lacks_is_refused_before_anything_is_built():
    from pytorch_impl.capabilities import model_problems

    def spec(**entries):
        return type("Spec", (), {"config": entries})

    assert model_problems(spec(hidden_act="gelu")) == []
    assert "no activation 'foo', which hidden_act names" in model_problems(spec(hidden_act="foo"))[0]
    assert "activation_function" in model_problems(spec(activation_function="foo"))[0]
