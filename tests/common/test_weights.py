"""Models in other numbers than float32 and in several files, against torch and `transformers`."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.models import weights
from common.models.checkpoint import read_checkpoint, save_pretrained
from tests.support import tiny_spec

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def spec():
    return tiny_spec("gpt2")


def rounded(array: np.ndarray, dtype: str) -> np.ndarray:
    """By torch."""
    return torch.from_numpy(np.array(array)).to(getattr(torch, dtype)).float().numpy()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_numbers_are_rounded_as_torch_rounds(dtype, tmp_path):
    halfway = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 1 + 2**-11, 0.0, -0.0, 6e-8, 3e-5], np.float32)
    array = np.concatenate([halfway, np.random.default_rng(0).normal(size=5000).astype(np.float32)])
    save_arrays(tmp_path / "x.safetensors", {"x": array, "scalar": np.float32(0.3)}, None, dtype)
    found, _ = load_arrays(tmp_path / "x.safetensors")
    assert found["x"].astype(np.float32).tobytes() == rounded(array, dtype).tobytes()
    assert found["scalar"].shape == ()
    from safetensors.torch import load_file

    theirs = load_file(tmp_path / "x.safetensors")["x"]
    assert theirs.dtype is getattr(torch, dtype)
    assert theirs.float().numpy().tobytes() == rounded(array, dtype).tobytes()


@pytest.mark.parametrize(
    ("named", "wanted", "exact", "stored"),
    [
        (None, None, False, "float32"),
        ("bfloat16", None, False, "float32"),
        ("bfloat16", None, True, "bfloat16"),
        ("float16", None, True, "float16"),
        ("bfloat16", "float32", True, "float32"),
        (None, "bfloat16", False, "bfloat16"),
        ("float64", None, True, "float32"),
    ],
)
def test_nothing_is_rounded_unless_it_is_asked_for(spec, named, wanted, exact, stored, tmp_path):
    config = dict(spec.config) | ({} if named is None else {"torch_dtype": named})
    kind = named if named in ("bfloat16", "float16") else "bfloat16"
    arrays = {name: rounded(array, kind) if exact else array for name, array in spec.arrays.items()}
    save_pretrained(tmp_path, dataclasses.replace(spec, config=config), arrays, wanted)
    model = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)  # in the dtype that config.json names
    assert model.dtype is getattr(torch, stored)
    expected = {name: rounded(array, stored) for name, array in arrays.items()}
    found = {name: value.detach().float().numpy() for name, value in model.named_parameters()}
    assert {name: array.tobytes() for name, array in found.items()} == {n: a.tobytes() for n, a in expected.items()}
    assert (wanted is not None) or all(np.array_equal(found[name], arrays[name]) for name in found)


def test_large_models_are_several_files_that_transformers_reads(spec, tmp_path):
    save_pretrained(tmp_path, spec, spec.arrays, None, "6KB")
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    assert len(files) > 2
    assert files[0] == f"model-00001-of-{len(files):05d}.safetensors"
    assert index["metadata"]["total_size"] == sum(array.nbytes for array in spec.arrays.values())
    model, report = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    for name, value in model.named_parameters():
        assert value.detach().numpy().tobytes() == spec.arrays[name].tobytes(), name
    assert {name: array.tobytes() for name, array in read_checkpoint(tmp_path).items()} == {
        name: array.tobytes() for name, array in spec.arrays.items()
    }


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_files_that_transformers_divided_are_read(spec, dtype, tmp_path):
    save_pretrained(tmp_path / "ours", spec, spec.arrays)
    model = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "ours", dtype=getattr(torch, dtype))
    model.save_pretrained(tmp_path / "theirs", max_shard_size="6KB")
    assert (tmp_path / "theirs" / "model.safetensors.index.json").is_file()
    found = read_checkpoint(tmp_path / "theirs")
    for name, value in model.named_parameters():
        assert found[name].tobytes() == value.detach().float().numpy().tobytes(), name


def test_values_and_settings_that_do_not_fit_are_refused(spec, tmp_path):
    arrays = {**spec.arrays, "transformer.ln_f.bias": np.full(16, 7e4, np.float32)}
    with pytest.raises(InputError, match=r"largest number of float16 is 6.55e\+04; transformer.ln_f.bias"):
        save_pretrained(tmp_path, spec, arrays, "float16")
    with pytest.raises(InputError, match="stored as float32, bfloat16, float16"):
        weights.chosen({}, arrays, "int8")
    with pytest.raises(InputError, match="number of bytes greater than 0, or such as 5GB"):
        save_pretrained(tmp_path, spec, spec.arrays, None, "large")
    with pytest.raises(InputError, match=r"Store the model as float32\.$"):
        weights.chosen({}, {"weight": np.array([3.4e38], np.float32)}, "bfloat16")


@pytest.mark.parametrize("size", ["0", "0GB", "-1GB", "-5", "nan", "", "1e3", 0, -1, True])
def test_a_size_that_is_none_is_refused(size, tmp_path):
    with pytest.raises(InputError, match="number of bytes greater than 0, or such as 5GB"):
        weights.write_shards(tmp_path, {"weight": np.ones(4, np.float32)}, "float32", size)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", ["16", 16, "0.016KB"])
def test_a_size_may_be_bytes(size, tmp_path):
    arrays = {name: np.ones(4, np.float32) for name in "ab"}
    weights.write_shards(tmp_path, arrays, "float32", size)
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
