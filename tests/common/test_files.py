"""Files: whole or not there, the same bytes for the same content, and arrays as they were."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from common.errors import InputError
from common.files import load_arrays, save_arrays, write_atomic, write_json


def write_safetensors(path, tensors):
    """The format by hand: name to (dtype tag, shape, bytes)."""
    header, offset = {}, 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "new" / "folder" / "file.txt"
    write_atomic(path, "first")
    write_atomic(path, "zweite äöü")
    assert path.read_text(encoding="utf-8") == "zweite äöü"
    write_atomic(path, b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_a_write_that_fails_keeps_the_old_file_and_leaves_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    write_atomic(path, "old")

    def full(*_):
        raise OSError("no space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {"a": [1.0, float("-inf")]}])
def test_json_has_no_nan(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        write_json(tmp_path / "x.json", value)
    assert not list(tmp_path.iterdir())


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
    st.dictionaries(st.text(max_size=5), st.text(max_size=8), max_size=1),
)
def test_arrays_come_back_as_they_were_scalars_and_empty_ones_included(tmp_path_factory, arrays, metadata):
    folder = tmp_path_factory.mktemp("arrays")
    save_arrays(folder / "a", arrays, metadata)
    save_arrays(folder / "b", dict(reversed(arrays.items())), metadata)
    assert (folder / "a").read_bytes() == (folder / "b").read_bytes()
    loaded, found = load_arrays(folder / "a")
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
