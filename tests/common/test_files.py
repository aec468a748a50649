"""Array files: the same bytes for the same content, arrays as they were, every damage found, and nothing cast that is
no weight."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.errors import InputError
from common.files import ANY, load_arrays, refuse_quantised, save_arrays
from tests.mutations import EXAMPLES
from tests.support import refusal


def write_safetensors(path, tensors):
    """The format by hand: name to (dtype tag, shape, bytes)."""
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


@settings(deadline=None, max_examples=30)
@given(
    st.dictionaries(
        st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=12).filter(
            lambda name: name != "__metadata__"
        ),
        st.sampled_from(["f4", "f8", "f2", "i4", "i8", "u1", "?"]).flatmap(
            lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
        ),
        min_size=1,
        max_size=4,
    ),
    st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=3),
)
def test_arrays_come_back_as_they_were_scalars_and_empty_ones_included(tmp_path_factory, arrays, metadata):
    folder = tmp_path_factory.mktemp("arrays")
    save_arrays(folder / "a", arrays, metadata)
    save_arrays(folder / "b", dict(reversed(arrays.items())), dict(reversed(metadata.items())))
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    loaded, found = load_arrays(folder / "a", ANY)
    assert found == metadata
    assert set(loaded) == set(arrays)
    for name, array in arrays.items():
        assert (loaded[name].dtype, loaded[name].shape, loaded[name].tobytes()) == (
            array.dtype,
            array.shape,
            array.tobytes(),
        )


def test_transposed_and_strided_arrays_are_stored_by_value(tmp_path):
    array = np.arange(24, dtype=np.float32).reshape(4, 6)
    save_arrays(tmp_path / "x", {"t": array.T, "s": array[::2, ::3]})
    loaded, _ = load_arrays(tmp_path / "x")
    assert np.array_equal(loaded["t"], array.T)
    assert np.array_equal(loaded["s"], array[::2, ::3])


def test_bfloat16_is_widened_without_loss_for_every_bit_pattern(tmp_path):
    patterns = np.arange(2**16, dtype="<u2")
    half = np.float16([0.5, -2.0])
    write_safetensors(
        tmp_path / "x", {"h": ("F16", (2,), half.tobytes()), "b": ("BF16", (256, 256), patterns.tobytes())}
    )
    loaded, _ = load_arrays(tmp_path / "x")
    widened = loaded["b"]
    assert (widened.dtype, widened.shape) == (np.float32, (256, 256))
    assert np.array_equal(widened.view(np.uint32).ravel() >> 16, patterns)
    assert not (widened.view(np.uint32) & 0xFFFF).any()
    assert np.array_equal(loaded["h"], half)


@pytest.mark.parametrize(
    "content", [b"", b"short", b"\xff" * 100, struct.pack("<Q", 10**12) + b"{}", struct.pack("<Q", 2) + b"[]"]
)
def test_what_is_no_safetensors_file_is_said_to_be_none(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as a safetensors file"):
        load_arrays(tmp_path / "x")


def test_a_truncated_file_is_refused(tmp_path):
    save_arrays(tmp_path / "x", {"a": np.ones((10, 10), np.float32)})
    (tmp_path / "x").write_bytes((tmp_path / "x").read_bytes()[:-1])
    with pytest.raises(InputError, match="truncated"):
        load_arrays(tmp_path / "x")


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_missing_file_is_named(tmp_path, name):
    with pytest.raises(InputError, match="there is none"):
        load_arrays(tmp_path / name)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "dtype", "shape", "data_offsets", "__metadata__"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def bits(size, count, seed):
    """``count`` different positions of bits among ``size`` bytes."""
    return np.random.default_rng(seed).choice(8 * size, count, replace=False)


def flipped(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_flipped_bit_of_the_head_and_forty_of_the_arrays_are_found(tmp_path):
    path = tmp_path / "adapter_model.safetensors"
    arrays = {
        "a.lora_A.weight": np.linspace(-1, 1, 4096, dtype=np.float32),
        "a.lora_B.weight": np.ones((8, 8), np.float32),
    }
    save_arrays(path, arrays, {"twinlora": '{"seed": "1"}'})
    whole = path.read_bytes()
    head = 8 + int.from_bytes(whole[:8], "little")
    for bit in [*range(8 * head), *(8 * head + bits(len(whole) - head, 40, 7))]:
        path.write_bytes(flipped(whole, bit))
        with pytest.raises(InputError, match=r"adapter_model\.safetensors"):
            load_arrays(path)
    path.write_bytes(whole)
    assert load_arrays(path)[0].keys() == arrays.keys()


def test_a_changed_array_is_said_to_be_damaged(tmp_path):
    save_arrays(tmp_path / "x", {"a": np.zeros(3, np.float32)})
    content = (tmp_path / "x").read_bytes()
    (tmp_path / "x").write_bytes(content[:-1] + b"\x01")
    with pytest.raises(InputError, match=r"do not have the sha256 .* copy it again"):
        load_arrays(tmp_path / "x")


def test_a_file_of_another_program_is_read_and_said_once_to_have_no_checksum(tmp_path, capsys):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(3, np.float32)}, tmp_path / "theirs", {"format": "pt"})
    for _ in range(3):
        arrays, metadata = load_arrays(tmp_path / "theirs")
    assert metadata == {"format": "pt"}
    assert arrays["a"].tolist() == [1, 1, 1]
    assert capsys.readouterr().err.count("carries no checksum") == 1


def test_a_file_of_ours_is_read_by_safetensors_and_without_a_note(tmp_path, capsys):
    from safetensors.numpy import load_file

    save_arrays(tmp_path / "ours", {"b": np.ones(3, np.float32), "a": np.zeros((2, 0), np.float32)}, {"format": "pt"})
    assert {name: array.shape for name, array in load_file(tmp_path / "ours").items()} == {"b": (3,), "a": (2, 0)}
    load_arrays(tmp_path / "ours")
    assert capsys.readouterr().err == ""


def test_the_name_of_the_checksum_is_taken(tmp_path):
    with pytest.raises(ValueError, match="checksum"):
        save_arrays(tmp_path / "x", {"a": np.ones(1)}, {"checksum": "mine"})


def sized(dtype):
    return {
        "I8": 1,
        "U8": 1,
        "BOOL": 1,
        "F8_E4M3": 1,
        "F8_E5M2": 1,
        "F8_E8M0": 1,
        "C64": 8,
        "I64": 8,
        "I32": 4,
        "F4": 0.5,
    }[dtype]


@pytest.mark.parametrize(
    ("name", "dtype", "said"),
    [
        ("encoder.query.weight", "I8", "8-bit integers without scales"),
        ("encoder.query.weight", "BOOL", r"weight \(BOOL\)"),
        ("encoder.query.weight", "C64", r"weight \(C64\)"),
        ("base_model.model.query.lora_A.weight", "I64", r"lora_A\.weight \(I64\)"),
        ("optimizer.exp_avg.query", "I8", r"exp_avg\.query \(I8\)"),
        ("encoder.query.weight", "F8_E4M3", "quantised checkpoint, 8-bit or smaller"),
        ("encoder.query.weight", "F8_E5M2", "quantised checkpoint"),
        ("encoder.query.weight", "F8_E8M0", "quantised checkpoint"),
        ("encoder.query.weight", "F4", "quantised checkpoint"),
        ("encoder.query.qweight", "I32", "AWQ or GPTQ"),
        ("encoder.query.g_idx", "I32", "GPTQ"),
        ("encoder.query.weight.absmax", "U8", r"bitsandbytes \(4 bits\)"),
        ("encoder.query.weight_format", "U8", r"bitsandbytes \(8 bits\)"),
        ("embeddings.position_ids", "F8_E4M3", "F8_E4M3"),
    ],
)
def test_what_is_no_floating_point_number_is_refused_by_name(tmp_path, name, dtype, said):
    write_safetensors(tmp_path / "x", {name: (dtype, (4,), bytes(int(4 * sized(dtype)))), "b": ("F32", (1,), bytes(4))})
    with pytest.raises(InputError, match=said):
        load_arrays(tmp_path / "x")


def test_constants_and_counters_of_models_may_be_integers(tmp_path):
    names = (
        "bert.embeddings.position_ids",
        "h.0.attn.bias",
        "transformer.h.11.attn.masked_bias",
        "norm.num_batches_tracked",
    )
    write_safetensors(tmp_path / "x", {name: ("I64", (1,), bytes(8)) for name in names})
    assert load_arrays(tmp_path / "x")[0].keys() == set(names)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "f/x"])
def test_a_name_that_no_file_can_have_is_missing(tmp_path, name):
    (tmp_path / "f").write_text("")
    with pytest.raises(InputError, match="there is none"):
        load_arrays(tmp_path / name)


@settings(deadline=None, max_examples=EXAMPLES)
@given(st.data())
def test_a_mutated_file_is_read_or_refused_in_one_sentence(tmp_path_factory, data):
    """Headers that are JSON of any form, sizes, shapes and offsets of any value, and single bytes of a good file."""
    folder = tmp_path_factory.mktemp("mutated")
    save_arrays(folder / "good", {"a": np.ones((2, 3), np.float32), "b": np.ones(2, np.float16)})
    good = (folder / "good").read_bytes()
    kind = data.draw(st.sampled_from(["header", "entry", "bytes", "cut"]))
    if kind == "header":
        header = json.dumps(data.draw(json_values)).encode()
        content = struct.pack("<Q", len(header)) + header + bytes(data.draw(st.integers(0, 40)))
    elif kind == "entry":
        entry = {
            "dtype": data.draw(st.sampled_from(["F32", "BF16", "F16", "f32", "F7", "", None, 3, ["F32"]])),
            "shape": data.draw(
                st.lists(st.integers(-2, 2**64) | st.sampled_from([0, 1, 2, None, 1.5, "2"]), max_size=40)
            ),
            "data_offsets": data.draw(st.lists(st.integers(-2, 2**64) | st.sampled_from([0, 8, 12, None]), max_size=3)),
        }
        header = json.dumps({"a": entry}).encode()
        content = struct.pack("<Q", len(header)) + header + bytes(data.draw(st.sampled_from([0, 8, 12])))
    elif kind == "bytes":
        content = bytearray(good)
        for place, value in data.draw(
            st.lists(st.tuples(st.integers(0, len(good) - 1), st.integers(0, 255)), max_size=4)
        ):
            content[place] = value
    else:
        content = good[: data.draw(st.integers(0, len(good)))]
    (folder / "x").write_bytes(content)
    message = refusal(lambda: load_arrays(folder / "x"))
    assert message is None or str(folder / "x") in message


@pytest.mark.parametrize("settings", [{"quant_method": "gptq", "bits": 4}, {"load_in_8bit": True}, "fp8", [1]])
def test_a_configuration_of_a_quantised_model_is_refused(settings):
    with pytest.raises(InputError, match=r"config\.json: Weights must be floating-point .* quantised"):
        refuse_quantised({"model_type": "bert", "quantization_config": settings}, "config.json")
    refuse_quantised({"model_type": "bert", "quantization_config": None}, "config.json")
