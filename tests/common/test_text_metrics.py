"""Metrics of generated texts equal those of the programs that define them."""

from __future__ import annotations

import importlib.util
import itertools
import random
import shutil
import subprocess

import numpy as np
import pytest

from common.errors import InputError
from common.metrics.intervals import compare, interval
from common.metrics.text import TEXT_METRICS
from common.metrics.text.rouge_l import common_length
from common.metrics.text.scoring import score_texts
from common.metrics.text.tokens import mteval, penn

WORDS = """the a cat cats sat on mat , . Café 5-star it's isn't £20-25 (near) restaurant serves serving food The"""


def texts(seed: int, examples: int = 24, shortest: int = 1) -> tuple[list[str], list[list[str]]]:
    """Outputs and one to four references each, made of few words, so that n-grams agree by chance."""
    random_words = random.Random(seed)

    def text() -> str:
        return " ".join(random_words.choices(WORDS.split(), k=random_words.randint(shortest, 14)))

    return [text() for _ in range(examples)], [
        [text() for _ in range(random_words.randint(1, 4))] for _ in range(examples)
    ]


def value(name: str, outputs, references) -> float:
    metric = TEXT_METRICS.get(name)
    return float(metric.score(metric.statistics(outputs, references).sum(0)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("name", "function", "options"),
    [("bleu", "corpus_bleu", {"force": True}), ("chrf", "corpus_chrf", {"word_order": 2}), ("ter", "corpus_ter", {})],
)
def test_sums_of_statistics_give_sacrebleus_scores_of_references_that_vary_in_number(name, function, options, seed):
    sacrebleu = pytest.importorskip("sacrebleu")
    outputs, references = texts(seed)
    expected = getattr(sacrebleu, function)(outputs, list(itertools.zip_longest(*references)), **options).score
    assert value(name, outputs, references) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_the_e2e_scripts_bleu_is_unsmoothed_lower_case_bleu_of_its_tokens(seed):
    sacrebleu = pytest.importorskip("sacrebleu")
    outputs, references = texts(seed, 60, shortest=5)
    plain = [" ".join(mteval(output)) for output in outputs]
    given = [[" ".join(mteval(text)) for text in each] for each in references]
    streams = list(itertools.zip_longest(*given))
    expected = sacrebleu.corpus_bleu(plain, streams, tokenize="none", smooth_method="none", force=True).score
    assert expected > 0
    assert value("bleu-e2e", outputs, references) == pytest.approx(expected, rel=1e-12)


def test_bleu_without_any_hit_is_not_an_error_but_nearly_nothing():
    assert 0 <= value("bleu-e2e", ["x y"], [["a b c d e"]]) < 1e-6
    assert 0 <= value("bleu-e2e", [""], [["a b c d e"]]) < 1e-6


def test_short_outputs_do_not_raise_bleu_beyond_the_whole(capsys):
    """The script takes fewer n-grams than none from a text of fewer tokens, so that few are left to be right."""
    outputs, references = ["a b c d", "x"], [["a b c d"], ["x"]]
    assert value("bleu-e2e", outputs, references) == pytest.approx(100)
    assert "1 of 2 outputs has fewer than 3 tokens" in capsys.readouterr().err
    assert value("bleu-e2e", ["", "the cat sat", "x"], [["a b c"], ["the cat sat"], ["y"]]) <= 100


@pytest.mark.parametrize("seed", range(3))
def test_nist_of_one_reference_is_nltks(seed):
    nist = pytest.importorskip("nltk.translate.nist_score")
    outputs, references = texts(seed, 40, shortest=5)
    single = [each[:1] for each in references]
    expected = nist.corpus_nist([[mteval(each[0])] for each in single], list(map(mteval, outputs)), n=5)
    assert value("nist", outputs, single) == pytest.approx(expected, rel=1e-9)


def test_nist_takes_the_mean_length_and_the_largest_counts_of_several_references():
    # 10 words of references; "a a" twice in one: log2(10/4) for each of 2 hits of "a", log2(4/2) for "a a"
    references = [["a a b b", "a a c d e f"]]
    expected = (2 * np.log2(10 / 4)) / 2 + np.log2(4 / 2) / 1
    penalty = np.exp(np.log(0.5) / np.log(1.5) ** 2 * np.log(2 / 5) ** 2)
    assert value("nist", ["a a"], references) == pytest.approx(expected * penalty, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "module", "factor"), [("cider", "cider.cider:Cider", 1), ("rouge-l", "rouge.rouge:Rouge", 100)])  # fmt: skip
def test_cider_and_rouge_l_are_those_of_the_coco_caption_code(name, module, factor, seed):
    pytest.importorskip("pycocoevalcap")
    path, _, attribute = module.partition(":")
    theirs = getattr(importlib.import_module(f"pycocoevalcap.{path}"), attribute)()
    outputs, references = texts(seed)
    given = {number: [" ".join(penn(text)) for text in each] for number, each in enumerate(references)}
    mine = {number: [" ".join(penn(output))] for number, output in enumerate(outputs)}
    expected, _ = theirs.compute_score(given, mine)
    assert value(name, outputs, references) == pytest.approx(factor * expected, rel=1e-9)


def test_the_longest_common_subsequence_is_that_of_googles_rouge():
    rouge = pytest.importorskip("rouge_score.rouge_scorer")
    outputs, references = texts(5, 50)
    for output, each in zip(outputs, references, strict=True):
        first, second = output.split(), each[0].split()
        table = rouge._lcs_table(first, second)
        assert common_length(first, second) == table[len(first)][len(second)]


def test_meteor_without_data_counts_exact_words_and_stems():
    pytest.importorskip("nltk")
    # one chunk of four matches, "sitting" by its stem: mean 1, penalty 0.5 * (1/4)^3
    assert value("meteor-stem", ["the cat sitting there"], [["the cat sits there"]]) == pytest.approx(
        100 * (1 - 0.5 / 64)
    )
    assert value("meteor-stem", ["large"], [["big"]]) == 0


@pytest.mark.nightly
def test_meteors_score_of_summed_counts_is_that_of_its_own_program():
    metric = TEXT_METRICS.get("meteor")
    if metric.missing():
        pytest.skip(metric.missing())
    folder = importlib.util.find_spec("pycocoevalcap").submodule_search_locations[0]
    outputs, references = texts(3)
    rows = metric.statistics(outputs, references)
    lines = [f"EVAL ||| {' '.join(map(str, row))}" for row in rows]
    every = f"EVAL ||| {' ||| '.join(' '.join(map(str, row)) for row in rows)}"
    command = [shutil.which("java"), "-jar", f"{folder}/meteor/meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"]
    done = subprocess.run(
        command,
        cwd=f"{folder}/meteor",
        input="\n".join([*lines, every]) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    found = [float(line) for line in done.stdout.split()]
    singles = found[: 2 * len(rows) : 2]
    assert metric.score(rows) / 100 == pytest.approx(np.array(singles), abs=1e-9)
    assert float(metric.score(rows.sum(0))) / 100 == pytest.approx(found[-1], abs=1e-9)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("It's near the Café Adriatic, isn't it?", "it 's near the café adriatic is n't it"),
        ("A family-friendly 5-star pub (cheap) for £20-25.", "a family-friendly 5-star pub -lrb- cheap -rrb- for # 20-25"),
        ("St. Mary's in the U.S. cannot serve 1,000 people.", "st. mary 's in the u.s. can not serve 1,000 people"),
    ],
)  # fmt: skip
def test_penn_tokens_are_those_of_stanfords_tokenizer(text, tokens):
    assert " ".join(penn(text)) == tokens


@pytest.mark.parametrize("name", TEXT_METRICS.names())
def test_every_metric_rates_a_text_that_equals_its_reference_best(name):
    metric = TEXT_METRICS.get(name)
    if metric.missing() or name == "meteor":
        pytest.skip(metric.missing() or "its program is slow; see the nightly test")
    _, references = texts(1)
    perfect = value(name, [each[0] for each in references], references)
    other = value(name, [each[0][::-1] for each in references], references)
    assert (perfect > other) == metric.higher_is_better
    assert metric.definition


def test_intervals_hold_the_value_and_are_the_same_everywhere():
    outputs, references = texts(2, 60)
    metric = TEXT_METRICS.get("bleu-e2e")
    rows = metric.statistics(outputs, references)
    found = interval(rows, metric.score, 200, seed=3)
    assert found.low < found.value < found.high
    assert found == interval(rows, metric.score, 200, seed=3)
    assert found != interval(rows, metric.score, 200, seed=4)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(size=400)
    found = interval(np.stack([values, np.ones(400)], 1), lambda sums: sums[..., 0] / sums[..., 1], 4000)
    half = 1.96 * values.std() / 20
    assert found.low == pytest.approx(values.mean() - half, abs=0.012)
    assert found.high == pytest.approx(values.mean() + half, abs=0.012)


def test_equal_systems_do_not_differ_and_a_constant_advantage_is_found():
    rows = np.stack([np.random.default_rng(1).normal(size=50), np.ones(50)], 1)

    def mean(sums):
        return sums[..., 0] / sums[..., 1]

    same = compare(rows, rows, mean, 200)
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    better = compare(rows, rows + np.array([0.5, 0]), mean, 500)
    assert better.low == pytest.approx(0.5)
    assert better.high == pytest.approx(0.5)
    assert better.p_value == pytest.approx(1 / 501)


def test_p_values_under_the_null_hypothesis_are_uniform():
    generator = np.random.default_rng(7)
    found = []
    for _ in range(120):
        first, second = (np.stack([generator.normal(size=30), np.ones(30)], 1) for _ in range(2))
        found.append(compare(first, second, lambda sums: sums[..., 0] / sums[..., 1], 100).p_value)
    assert 0.35 < np.mean(found) < 0.65
    assert np.mean(np.array(found) < 0.1) < 0.25


def test_scores_of_several_systems_are_compared_with_the_first():
    outputs, references = texts(4)
    scores = score_texts([outputs, [each[0] for each in references]], references, resamples=50)
    assert set(scores.systems[0]) == {"bleu-e2e", "cider", "nist", "rouge-l"}
    change = scores.comparisons[0]["bleu-e2e"]
    assert change.difference == pytest.approx(scores.systems[1]["bleu-e2e"].value - scores.systems[0]["bleu-e2e"].value)
    assert change.low > 0


def test_standard_metrics_need_no_further_package():
    assert [metric.name for metric in TEXT_METRICS if metric.standard and metric.missing()] == []
    assert all(type(metric).missing is type(metric).__mro__[1].missing for metric in TEXT_METRICS if metric.standard)


def test_defects_are_named():
    with pytest.raises(InputError, match="received 1 outputs and references of 2"):
        score_texts([["a"]], [["a"], ["b"]])
    with pytest.raises(InputError, match="Example 2 has no reference"):
        score_texts([["a", "b"]], [["a"], [" "]])
    with pytest.raises(InputError, match="must be one of"):
        score_texts([["a"]], [["a"]], ["bluee"])
