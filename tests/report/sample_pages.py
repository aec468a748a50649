"""One page of every kind, with figures that are chosen: what a browser is shown."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

import common
from common.compression.spectrum import spectra
from common.compression.transform import TransformOptions
from common.demo.corpus import Domain
from common.demo.page import Demonstration, demo_page
from common.demo.work import PROMPTS, Adapted, PeftLogits
from common.generation.attention import Attention
from common.language import speaking
from common.metrics.text.scoring import score_texts
from common.parity.compare import compare
from common.parity.page import comparison_page
from common.report import compare_runs, run_page
from common.report.attention import attention_page
from common.report.document import document_page
from common.report.frontier import frontier_page
from common.report.runs import read_run
from common.report.spectrum import spectrum_page
from common.report.study.write import write_report
from common.report.texts import texts_page
from common.tasks.task import Answer
from common.training.documents import Document, ReadSentence, Word
from tests.common.test_parity_traces import changed, make, put, values
from tests.common.test_report_pages import write_run
from tests.common.test_texts_page import written
from tests.report.planted import plant
from tests.report.test_frontier import ACCURACY, MEASURED
from tests.support import tiny_spec

__all__ = ["KINDS", "write_page"]


def write_page(kind: str, folder: Path) -> Path:
    """One of `KINDS`, in ``folder``. The mapping is the document itself."""
    folder.mkdir()
    return _WRITERS[kind](folder)


def _run(folder: Path) -> Path:
    plant(folder / "study")
    return run_page(next((folder / "study" / "runs").glob("*/pytorch")))


def _pair(folder: Path) -> tuple[Path, Path]:
    return write_run(folder / "first"), write_run(folder / "second", noise=2e-6, backend="mindspore")


def _compare(folder: Path) -> Path:
    return compare_runs(*_pair(folder), folder / "compare.html")


def _study(folder: Path) -> Path:
    return write_report(plant(folder / "study", states={3: ("failed", "the loss became NaN at step 12")}))


def _spectrum(folder: Path) -> Path:
    return _kept(folder / "spectrum.html", spectrum_page("a model", spectra(tiny_spec("bert"), TransformOptions())))


def _mapping(folder: Path) -> Path:
    return Path(common.__file__).parents[1] / "docs" / "api_mapping.html"


def _kept(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def _parity(folder: Path) -> Path:
    """One element is wrong."""
    wrong = changed("hidden/02", lambda array: put(array, (1, 2), array[1, 2] + 1e-3))
    trio = (
        make(folder / "baseline", values(1e-7, 1), "model"),
        make(folder / "test", wrong(values(1e-7, 2)), "model"),
        make(folder / "reference", values(dtype=np.float64), "model"),
    )
    return _kept(folder / "parity.html", comparison_page(compare(*trio), *trio))


def _demo(folder: Path) -> Path:
    paths = dict(zip(("pytorch", "mindspore"), _pair(folder), strict=True))
    domains = tuple(Domain(name, ("One paragraph.",) * 9, ("Another one.",)) for name in ("docstrings", "reference"))
    logits = np.ones((2, 5), np.float32)
    adapted = {
        name: Adapted(tuple(f" is written by {name}, and goes on for a while." for _ in PROMPTS), logits)
        for name in paths
    }
    runs = {name: read_run(path) for name, path in paths.items()}
    peft = PeftLogits(logits + 1e-7, logits * 0.5, "0.21")
    before = (" and so on and so on",) * len(PROMPTS)
    found = Demonstration(domains, runs["pytorch"], before, runs, adapted, (), peft, (), {"gathering text": 1.5})
    return _kept(folder / "demo.html", demo_page(found))


def _texts(folder: Path) -> Path:
    first = written(folder, "first-system", ["The A serves fish.", "B is cheap."])
    second = written(folder, "second-system", ["The A sells fish today.", "B is cheap."])
    references = first.references
    scores = score_texts([first.texts, second.texts], references, ["bleu-e2e"], resamples=10)
    return texts_page([first, second], references, scores, folder / "texts.html")


def _document(folder: Path) -> Path:
    """A long text of short and long sentences."""
    texts = [
        "A fine film. ",
        "It is " + "very " * 40 + "long ! ",
        "Averyveryverylongwordthatfitsnowherebutmustnotstickout. ",
        "x",
    ]
    weights = np.random.default_rng(0).dirichlet(np.ones(40))
    sentences = []
    for weight, text in zip(weights, texts * 10, strict=True):
        parts = text.split(" ")
        shares = np.random.default_rng(len(text)).dirichlet(np.ones(len(parts)))
        words = tuple(Word(f"{part} ", float(share)) for part, share in zip(parts, shares, strict=True))
        sentences.append(ReadSentence(float(weight), words))
    found = Document(Answer("positive\t0.9123", {}), tuple(sentences))
    return document_page(found, "Attention of han_imdb", folder / "document.html")


def _frontier(folder: Path) -> Path:
    return _kept(folder / "frontier.html", frontier_page({**MEASURED, "metric": ACCURACY}))


def _attention(folder: Path) -> Path:
    """A pair of sentences in two layers of two heads."""
    read = ("zwei", "alte", "hunde", "rennen", "durch", "einen", "garten", "[EOS]")
    wrote = ("two", "old", "dogs", "run", "through", "a", "garden", "[EOS]")
    weights = np.random.default_rng(0).dirichlet(np.full(len(read), 0.3), (2, 2, len(wrote)))
    found = Attention(read, wrote, weights, " ".join(wrote[:-1]))
    return attention_page(found, "Attention of transformer_multi30k", folder / "attention.html")


def _chinese(writer: Callable[[Path], Path]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        with speaking("zh"):
            return writer(folder)

    return write


_WRITERS = {
    "run": _run, "compare": _compare, "study": _study, "parity": _parity, "demo": _demo, "texts": _texts,
    "spectrum": _spectrum, "mapping": _mapping, "document": _document, "frontier": _frontier, "attention": _attention,
    "run-zh": _chinese(_run), "compare-zh": _chinese(_compare), "document-zh": _chinese(_document),
    "mapping-zh": lambda folder: _mapping(folder).with_name("api_mapping.zh-CN.html"),
}  # fmt: skip
KINDS = tuple(_WRITERS)
