"""Singular values of a model's matrices, and the page about them."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from common.cli.main import main
from common.compression.spectrum import Spectrum, spectra
from common.compression.transform import TransformOptions
from common.methods.targets import Target
from common.report.spectrum import spectrum_page
from tests.support import tiny_spec

QUERY = "bert.encoder.layer.1.attention.self.query"


def with_low_rank(spec):
    """One matrix of rank 1 among others."""
    array = np.outer(np.arange(1, 17), np.arange(1, 17)).astype(np.float32)
    return dataclasses.replace(spec, arrays={**spec.arrays, f"{QUERY}.weight": array})


def test_values_are_those_of_the_weights_in_either_layout():
    spec = tiny_spec("gpt2")
    found = spectra(spec, TransformOptions((Target("*.c_attn"), Target("wpe"))))
    assert [one.path for one in found] == ["transformer.wpe", *(f"transformer.h.{i}.attn.c_attn" for i in range(2))]
    for one in found:
        expected = np.linalg.svd(spec.arrays[f"{one.path}.weight"].astype(np.float64), compute_uv=False)
        np.testing.assert_allclose(one.values, expected)
    assert (found[1].rows, found[1].columns) == (48, 16)


def test_ranks_shares_and_energies_follow_from_the_values():
    one = Spectrum("h.3.x.0.w", 10, 6, np.array([3.0, 2.0, 1.0, 1.0, 1.0, 0.0]))
    np.testing.assert_allclose(one.energy, np.array([9, 13, 14, 15, 16, 16]) / 16)
    assert [one.rank(energy) for energy in (0.5, 0.8, 0.9, 0.99, 1.0)] == [1, 2, 4, 5, 5]
    assert one.share(2) == pytest.approx(2 * 16 / 60)
    assert one.stable_rank == pytest.approx(16 / 9)
    assert (one.kind, one.layer) == ("h.*.x.*.w", 3)
    zero = Spectrum("w", 2, 2, np.zeros(2))
    assert (zero.rank(0.9), zero.stable_rank, zero.layer) == (1, 0.0, None)


def test_the_page_names_the_matrix_that_compresses_best_first_and_loads_nothing():
    found = spectra(with_low_rank(tiny_spec("bert")), TransformOptions())
    text = spectrum_page("here", found)
    assert text == spectrum_page("here", found)
    text = text.replace("<wbr>", "")
    assert re.search(rf"compresses best</dt><dd>12.5%</dd><dd>{re.escape(QUERY)}, rank 1</dd>", text)
    rows = re.findall(r'<tr><th scope="row">([^<]+)</th>', text)
    assert rows[0] == QUERY
    assert sorted(rows) == sorted(one.path for one in found)
    assert text.count("<svg") == 1 + 2 * len({one.kind for one in found})
    assert not re.search(r'(?:src|href)="(?!#)', text)


@pytest.mark.slow
@pytest.mark.needs_pytorch
def test_the_command_writes_the_page_of_a_run(base, tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["compress", str(base), "--spectrum", "--targets", "*.query", "*.word_embeddings", "-o", str(out)]) == 0
    assert '<th scope="row">bert.embeddings.word_embeddings</th>' in out.read_text()
    assert capsys.readouterr().out.strip() == str(out)
    for arguments, message in [
        ([], "Give either --with"),
        (["--spectrum", "--with", "svd"], "Give either --with"),
        (["--spectrum", "--set", "rank=2"], "looks at the weights alone and changes nothing"),
        (["--spectrum"], "is there already"),
    ]:
        assert main(["compress", str(base), *arguments, "-o", str(out)]) == 2
        assert message in capsys.readouterr().err
