"""Reports: which run directories are refused, the numbers behind a comparison, and what the self-contained pages
say."""

import copy
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from common.errors import InputError
from common.report import compare_runs, run_page
from common.report.figures import Line, drawn, line_chart
from common.report.runs import flatten, labels, read_run, relative_difference, smooth
from tests.mutations import EXAMPLES, mutated
from tests.support import refusal

SUMMARY = {
    "name": "tiny",
    "backend": "pytorch",
    "device": "cpu",
    "seed": 42,
    "status": "finished",
    "model": {"source": None, "family": "gpt2", "parameters": 1_000_000, "fingerprint": "00"},
    "method": "lora",
    "data": {"name": "files", "sizes": {"train": 120, "validation": 30}},
    "steps": 80,
    "epochs": 2.0,
    "best_step": 80,
    "first_loss": 3.0,
    "final_loss": 2.0,
    "validation": {"loss": 2.125, "perplexity": 8.373},
    "test": None,
    "before": {"loss": 3.5, "perplexity": 33.12},
    "trainable": {"lora_A": 1024, "lora_B": 2048, "head": 0, "bias": 0, "other": 0, "total": 3072},
    "adapter_bytes": 12_800,
    "seconds": {"total": 130.0, "training": 100.0, "evaluation": 20.0, "compile": 0.0},
    "seconds_per_step": 0.125,
    "peak_memory_bytes": 3 * 1024**3,
    "versions": {"python": "3.11.7", "framework": "2.13.0"},
    "hardware": {"cpu": "Some CPU", "cores": 2, "memory_bytes": 8, "accelerator": None},
    "settings": {
        "seed": 42,
        "adaptation": {"rank": 8, "targets": [{"pattern": "*.c_attn[q,v]"}]},
        "optimization": {"learning_rate": 0.001},
    },
}


def write_run(folder, steps=80, noise=0.0, every=1, **changes):
    """A run directory whose loss falls from 3.5; ``noise`` is the relative offset of every loss."""
    folder.mkdir()
    summary = copy.deepcopy(SUMMARY) | changes
    (folder / "summary.json").write_text(json.dumps(summary))
    lines = []
    for step in range(every, steps + 1, every):
        loss = (2 + 1.5 * float(np.exp(-step / 20))) * (1 + noise)
        common = {"step": step, "epoch": step / 40}
        lines.append(
            {
                "event": "step",
                **common,
                "loss": loss,
                "grad_norm": 1.0,
                "learning_rate": 1e-3 * (1 - step / 100),
                "tokens": 512,
                "seconds": 0.1 * step,
                "duration": 0.1,
            }
        )
        if step % 40 == 0:
            lines.append(
                {
                    "event": "evaluation",
                    **common,
                    "split": "validation",
                    "loss": loss,
                    "perplexity": 8.0,
                    "best": True,
                    "seconds": 0.1 * step,
                }
            )
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


@pytest.fixture
def pair(tmp_path):
    return write_run(tmp_path / "a"), write_run(tmp_path / "b", noise=2e-6, backend="mindspore")


class Reader(HTMLParser):
    """Checks that tags close in order, and gathers the visible text and every address."""

    VOID = frozenset({"meta", "br", "path", "use", "rect"})

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.addresses = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.addresses += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "title"):
            self.words.append(data.strip())


def read(path):
    return Reader(path.read_text(encoding="utf-8"))


def test_the_comparison_states_the_largest_relative_difference(pair, tmp_path):
    words = read(compare_runs(*pair, tmp_path / "compare.html")).words
    assert words[words.index("largest relative loss difference, first 50 steps") + 1] == "2.0e-06"
    assert words[words.index("largest relative loss difference, all 80 common steps") + 1] == "2.0e-06"
    assert "Both runs have the same settings." in words


def test_settings_that_differ_are_shown_with_both_values(tmp_path):
    changed = copy.deepcopy(SUMMARY["settings"])
    changed["optimization"]["learning_rate"] = 0.0375
    a, b = write_run(tmp_path / "a"), write_run(tmp_path / "b", settings=changed)
    words = read(compare_runs(a, b, tmp_path / "out.html")).words
    start = words.index("Settings that differ")
    assert [word for word in words[start : words.index("All 4 settings")] if word][-3:] == [
        "optimization.learning_rate",
        "0.001",
        "0.0375",
    ]


def test_curves_of_different_length_are_compared_on_common_steps_and_that_is_said(tmp_path):
    a, b = write_run(tmp_path / "a", steps=80), write_run(tmp_path / "b", steps=60, every=3, backend="mindspore")
    text = " ".join(read(compare_runs(a, b, tmp_path / "out.html")).words)
    assert (
        "MindSpore 20 up to step 60" in text.replace("steps up", "up").replace("logged ", "")
        or "MindSpore 20 up to 60" in text
    )
    assert "20 steps that both logged, up to step 60" in text


def test_runs_that_share_no_step_are_refused(tmp_path):
    a, b = write_run(tmp_path / "a", steps=1), write_run(tmp_path / "b", steps=4, every=2)
    with pytest.raises(InputError, match="share none"):
        compare_runs(a, b, tmp_path / "out.html")
    assert not (tmp_path / "out.html").exists()


@pytest.mark.parametrize("pages", ["one", "two"])
def test_a_page_loads_nothing_and_runs_no_script(pair, tmp_path, pages):
    path = run_page(pair[0]) if pages == "one" else compare_runs(*pair, tmp_path / "out.html")
    text = path.read_text(encoding="utf-8")
    assert "<script" not in text
    assert "url(http" not in text
    assert "@import" not in text
    assert all(address.startswith("#") for address in Reader(text).addresses)


def test_charts_follow_the_colours_of_the_page(pair):
    text = run_page(pair[0]).read_text(encoding="utf-8")
    drawings = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    assert len(drawings) == 4
    colours = {colour for drawing in drawings for colour in re.findall(r"(?:stroke|fill): ([^;\"]+)", drawing)}
    assert colours <= {"none", "var(--a)", "var(--b)", "var(--ink)", "var(--rule)"}


def test_text_from_the_run_is_escaped(tmp_path):
    evil = '<script>alert("1")</script>&'
    settings = {"data": {"name": evil, evil: 1}}
    a = write_run(
        tmp_path / "a", name=evil, device=evil, settings=settings, versions={evil: evil}, validation={evil: 1.0}
    )
    for path in (run_page(a), compare_runs(a, a, tmp_path / "out.html")):
        text = path.read_text(encoding="utf-8")
        assert "<script" not in text
        assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;" in text
        read(path)


def test_the_page_of_one_run_shows_every_evaluation_and_the_parameters(pair):
    words = read(run_page(pair[0])).words
    assert [word for word in words if "best so far" in word] == ["40 (best so far)", "80 (best so far)"]
    assert words[words.index("perplexity") : words.index("perplexity") + 3] == ["perplexity", "33.12", "8.3730"]
    assert words[words.index("trainable parameters, lora_B") + 1] == "2,048"
    assert "3.00 GiB" in words
    assert "0.31 % of 1,000,000" in words


def test_the_metric_that_decides_and_the_gradient_norm_have_curves_where_they_were_logged(tmp_path):
    settings = {"training": {"metric": "perplexity"}}
    with_metric = run_page(write_run(tmp_path / "a", settings=settings)).read_text(encoding="utf-8")
    assert 'aria-label="perplexity by step"' in with_metric
    assert 'aria-label="Gradient norm by step"' in with_metric
    log = tmp_path / "a" / "metrics.jsonl"
    log.write_text(log.read_text().replace('"grad_norm": 1.0', '"grad_norm": null'))
    assert "Gradient norm" not in run_page(tmp_path / "a").read_text(encoding="utf-8")


def test_the_same_runs_give_the_same_bytes(pair, tmp_path):
    assert (
        compare_runs(*pair, tmp_path / "1.html").read_bytes() == compare_runs(*pair, tmp_path / "2.html").read_bytes()
    )


def test_a_run_compared_with_itself_is_equal_to_the_last_digit(pair, tmp_path):
    words = read(compare_runs(pair[0], pair[0], tmp_path / "out.html")).words
    assert "The two curves are equal to the last digit." in words
    assert "run 1" in words


def test_one_step_is_enough_for_a_page(tmp_path):
    assert "Learning rate" in read(run_page(write_run(tmp_path / "a", steps=1))).words


def test_a_report_is_not_written_over_a_directory(pair, tmp_path):
    with pytest.raises(InputError, match="is a directory"):
        compare_runs(*pair, tmp_path)


def rewrite(run, **changes):
    summary = json.loads((run / "summary.json").read_text()) | changes
    (run / "summary.json").write_text(json.dumps({key: value for key, value in summary.items() if value != "gone"}))


def append(run, text):
    with open(run / "metrics.jsonl", "a") as file:
        file.write(text)


BREAKAGES = {
    "missing directory": (lambda run: run.rename(run.with_name("moved")), "run directory was expected"),
    "no summary": (
        lambda run: (run / "summary.json").unlink(),
        r"summary\.json: the summary of a run was expected here",
    ),
    "summary is no JSON": (lambda run: (run / "summary.json").write_text("{"), "must be JSON"),
    "summary is a list": (lambda run: (run / "summary.json").write_text("[]"), "must be an object; received a list"),
    "summary without trainable": (lambda run: rewrite(run, trainable="gone"), "lacks 'trainable'"),
    "run failed": (lambda run: rewrite(run, status="failed"), "status .* is 'failed'"),
    "no metrics": (lambda run: (run / "metrics.jsonl").unlink(), r"metrics\.jsonl: the log of a run was expected here"),
    "empty metrics": (lambda run: (run / "metrics.jsonl").write_text("\n"), "at least one training step"),
    "evaluations only": (
        lambda run: (run / "metrics.jsonl").write_text('{"event": "evaluation", "step": 0, "split": "validation"}\n'),
        "at least one training step",
    ),
    "line cut off": (lambda run: append(run, '{"event": "st'), "line 6, column 11: the log of a run must be JSON"),
    "line is a number": (lambda run: append(run, "3\n"), "line 6: .* must be an object; received an integer, 3"),
    "loss is NaN": (
        lambda run: append(run, '{"event": "step", "step": 6, "loss": NaN}\n'),
        "line 6: .*NaN is no number",
    ),
    "loss is text": (
        lambda run: append(run, '{"event": "step", "step": 6, "loss": "2"}\n'),
        "line 6: .*loss must be a number; received text, '2'",
    ),
    "no duration": (
        lambda run: append(run, '{"event": "step", "step": 6, "loss": 2, "learning_rate": 0}\n'),
        "line 6: .*lacks 'duration'",
    ),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_a_broken_run_is_refused_with_the_reason(tmp_path, name):
    run = write_run(tmp_path / "run", steps=5)
    breakage, message = BREAKAGES[name]
    breakage(run)
    with pytest.raises(InputError, match=message):
        read_run(run)


def test_steps_repeated_after_a_resume_count_once_and_the_later_one_wins(tmp_path):
    run = write_run(tmp_path / "run", steps=5)
    append(run, '{"event": "step", "step": 4, "loss": 7.5, "learning_rate": 0.1, "duration": 9}\n')
    loaded = read_run(run)
    assert loaded.step.tolist() == [1, 2, 3, 4, 5]
    assert loaded.loss[3] == 7.5


def test_labels_are_the_shortest_names_that_tell_runs_apart(tmp_path):
    one = read_run(write_run(tmp_path / "1"))
    backend = read_run(write_run(tmp_path / "2", backend="mindspore"))
    name = read_run(write_run(tmp_path / "3", name="other"))
    seed = read_run(write_run(tmp_path / "4", seed=7))
    assert labels([one, backend]) == ["PyTorch", "MindSpore"]
    assert labels([one, name]) == ["tiny", "other"]
    assert labels([one, seed]) == ["tiny, seed 42", "tiny, seed 7"]
    assert labels([one, one]) == ["run 1", "run 2"]


finite = arrays(np.float64, 5, elements=st.floats(-1e6, 1e6))


@given(finite, finite)
def test_relative_difference_is_symmetric_bounded_and_zero_only_for_equal_values(a, b):
    difference = relative_difference(a, b)
    assert np.array_equal(difference, relative_difference(b, a))
    assert (difference >= 0).all()
    assert (difference <= 2).all()
    assert np.array_equal(difference == 0, a == b)


@given(st.integers(1, 40), st.floats(-100, 100), st.data())
def test_smoothing_leaves_a_constant_curve_alone(length, value, data):
    span = data.draw(st.integers(1, length))
    np.testing.assert_allclose(smooth(np.full(length, value), span), value, rtol=1e-9, atol=1e-9)


def test_smoothing_averages_the_neighbours_that_exist():
    np.testing.assert_allclose(smooth(np.array([2.0, 4.0, 9.0, 1.0]), 3), [3, 5, 14 / 3, 5])


def test_settings_are_flattened_to_dotted_names():
    assert flatten({"a": {"b": {"c": 1}, "d": []}, "e": {}}) == {"a.b.c": 1, "a.d": [], "e": {}}


@settings(
    deadline=None,
    max_examples=EXAMPLES // 4,  # a page takes a while to draw
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), whole=st.booleans())
def test_a_mutated_run_is_reported_or_refused(tmp_path, data, whole):
    """A summary, or the lines of a log, that went wrong somewhere."""
    folders = [tmp_path / name for name in "ab"]
    for folder in folders:
        if not folder.exists():
            write_run(folder, steps=45)
            (folder / "good.jsonl").write_bytes((folder / "metrics.jsonl").read_bytes())
    summary, log = SUMMARY, [json.loads(line) for line in (folders[1] / "good.jsonl").read_text().splitlines()]
    if whole:
        summary = data.draw(mutated(summary))
    else:
        log = data.draw(mutated(log))
    (folders[1] / "summary.json").write_text(json.dumps(summary))
    lines = log if isinstance(log, list) else [log]
    (folders[1] / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for action in (lambda: run_page(folders[1]), lambda: compare_runs(*folders, tmp_path / "c.html")):
        message = refusal(action)
        assert message is None or message.strip()


@pytest.mark.parametrize("values", [[1.996e-6, 2.0e-6, 2.004e-6], [1e-6, 1e-6], [3e-8, 4e-3], [0.0, 2e-5]])
def test_ticks_of_a_logarithmic_axis_are_told_apart(values):
    """Within a decade all labels would read 2 x 10^-6."""
    y = np.array(values)
    svg = line_chart("a difference", [Line("ink", np.arange(len(y)), y)], "", log=True)
    labels = [label for label in re.findall(r"<!-- (.*?) -->", svg) if "10^" in label]
    assert len(labels) >= 2
    assert len(labels) == len(set(labels))


def test_a_wide_drawing_is_scrolled_where_the_page_is_narrow():
    narrow, wide = (drawn("one", lambda axes: None, "x", "y", size) for size in ((4.4, 2.75), (8.4, 3.0)))
    assert narrow.startswith("<svg")
    assert wide.startswith('<div class="scroll" tabindex="0"><svg class="wide"')
