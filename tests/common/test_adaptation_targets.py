"""The target grammar: what patterns match, and what is said when they do not."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import InputError
from common.methods.coverage import coverage_table, partial_coverage
from common.methods.targets import Target
from common.models.modules import LAYER_NORM
from tests.support import plan_for, tiny_spec, unfrozen

BERT, GPT2, CLASSIFIER = tiny_spec("bert"), tiny_spec("gpt2"), tiny_spec("gpt2-classifier")
ADAPTABLE = [module.path for module in BERT.modules if module.kind.adaptable and module.path != "classifier"]


def paths(plan):
    return [step.path for step in plan.edits]


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(ADAPTABLE), min_size=1, max_size=6, unique=True),
    st.lists(
        st.sampled_from(["*.query", "*.key", "*.dense", "*.layer.1.*", "*embeddings*", "*", "bert.pooler.?ense"]),
        min_size=0,
        max_size=3,
    ),
)
def test_a_plan_holds_exactly_the_matched_modules_once_each_in_the_order_of_the_model(exact, globs):
    patterns = [*exact, *globs]
    wanted = {path for path in ADAPTABLE if any(fnmatchcase(path, pattern) for pattern in patterns)}
    taken: set[str] = set()
    useless = []
    for pattern in patterns:
        fresh = {path for path in ADAPTABLE if fnmatchcase(path, pattern)} - taken
        useless += [pattern] if not fresh else []
        taken |= fresh
    if useless:
        with pytest.raises(InputError, match="must add a module"):
            plan_for(BERT, patterns)
        return
    plan = plan_for(BERT, patterns)
    assert paths(plan) == [path for path in ADAPTABLE if path in wanted]
    assert plan.counts()["total"] == sum(
        int(a * b) for a, b in ((s[0], s[1] if len(s) > 1 else 1) for s in plan.shapes().values())
    )


def test_a_star_crosses_dots_and_a_question_mark_stands_for_one_character():
    assert paths(plan_for(BERT, ["bert.*.query"])) == [f"bert.encoder.layer.{i}.attention.self.query" for i in (0, 1)]
    assert paths(plan_for(BERT, ["*.layer.?.output.dense"])) == [f"bert.encoder.layer.{i}.output.dense" for i in (0, 1)]


@pytest.mark.parametrize(
    ("spec", "pattern", "message"),
    [
        (BERT, "*.qeury", "Nearest: .*query"),
        (BERT, "*.self.querry", "Nearest: self.query"),
        (BERT, "*.Query", "query"),
        (BERT, "uery", "query"),
        (GPT2, "*.c_atn[q,v]", "Nearest: .*c_attn"),
        (BERT, "*.LayerNorm", "matches none"),
        (GPT2, "lm_head", "matches none"),
        (BERT, "classifier", "matches only the task head"),
        (CLASSIFIER, "score", "matches only the task head"),
        (BERT, "*.zzz", "Module paths"),
    ],
)
def test_a_pattern_that_matches_nothing_names_what_is_near(spec, pattern, message):
    with pytest.raises(InputError, match=message) as caught:
        plan_for(spec, [pattern])
    assert repr(pattern) in str(caught.value)
    assert "adaptation.targets" in str(caught.value)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        " ",
        "*.c_attn[]",
        "*.c_attn[,]",
        "*.c_attn[ ]",
        "*.c_attn[q,]",
        "*.c_attn[q",
        "*.c_attn]q[",
        "a b",
        "*.c_attn[q][v]",
        "[q]",
    ],
)
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(InputError, match="A target is a glob"):
        plan_for(GPT2, [pattern])


def test_slices_are_the_named_ranges_in_the_order_of_the_projection():
    for pattern in ("*.attn.c_attn[q,v]", "*.attn.c_attn[v,q]", "*.attn.c_attn[ q , v ]", "*.attn.c_attn[q,v,q]"):
        for step in plan_for(GPT2, [pattern]).edits:
            assert step.arguments.slices == (("q", 0, 16), ("v", 32, 48))
            assert step.shapes() == {f"{step.path}.lora_A": (4, 16), f"{step.path}.lora_B": (32, 2)}


def test_all_slices_are_the_whole_projection():
    assert plan_for(GPT2, ["*.c_attn[q,k,v]"]).edits == plan_for(GPT2, ["*.c_attn"]).edits
    assert plan_for(GPT2, ["*.c_attn"]).edits[0].arguments.slices == ()


def test_unknown_slices_name_those_there_are():
    with pytest.raises(InputError, match=r"slice 'w', but transformer\.h\.0\.attn\.c_attn has the slices q, k, v"):
        plan_for(GPT2, ["*.c_attn[q,w]"])
    with pytest.raises(InputError, match="is not a fused projection"):
        plan_for(GPT2, ["*.c_fc[q]"])
    with pytest.raises(InputError, match="is not a fused projection"):
        plan_for(BERT, ["*.query[q]"])


def test_the_first_pattern_takes_a_module_and_its_rank_with_it():
    plan = plan_for(BERT, [Target("*.0.attention.self.query", rank=4, alpha=1.0), Target("*.query")], rank=2, alpha=6.0)
    assert [(step.arguments.rank, step.arguments.scaling) for step in plan.edits] == [(4, 0.25), (2, 3.0)]
    assert [pattern for pattern, _ in plan.patterns] == ["*.0.attention.self.query", "*.query"]


def test_a_pattern_that_adds_nothing_is_refused():
    for targets in (["*.query", "*.query"], ["*.query", "*.self.query"]):
        with pytest.raises(InputError, match="must add a module"):
            plan_for(BERT, targets)
    with pytest.raises(InputError, match="must add a module"):
        plan_for(BERT, ["*.query"], exclude=("*.attention.self.*",))


def test_excluded_modules_stay_as_they_are_and_a_useless_exclusion_is_refused():
    plan = plan_for(BERT, ["*.query", "*.value"], exclude=("*.layer.1.*",))
    assert paths(plan) == [f"bert.encoder.layer.0.attention.self.{name}" for name in ("query", "value")]
    with pytest.raises(InputError, match=r"adaptation\.exclude.*'\*\.layers\.1\.\*'"):
        plan_for(BERT, ["*.query"], exclude=("*.layers.1.*",))


@pytest.mark.parametrize(
    ("pattern", "limit"),
    [("*.query", 16), ("*.intermediate.dense", 16), ("*.token_type_embeddings", 2), ("*.word_embeddings", 16)],
)
def test_a_rank_above_the_smaller_side_is_refused(pattern, limit):
    assert plan_for(BERT, [pattern], rank=limit).edits
    with pytest.raises(InputError, match=f"Use at most {limit}"):
        plan_for(BERT, [pattern], rank=limit + 1)


def test_a_star_reaches_everything_but_norms_heads_and_tied_weights():
    assert paths(plan_for(BERT, ["*"], rank=1)) == ADAPTABLE
    owners = {module.path for module in GPT2.modules if module.shapes() and module.kind is not LAYER_NORM}
    assert set(paths(plan_for(GPT2, ["*"]))) == owners - {"lm_head"}


def test_partial_coverage_is_seen_and_full_coverage_is_not():
    spec = tiny_spec("bert", num_hidden_layers=4)
    partial = plan_for(spec, ["*.layer.1.*.query", "*.value"])
    assert partial_coverage(partial, spec) == ["*.layer.1.*.query reaches 1 of 4 layers; not 0,2,3."]
    assert "warning: *.layer.1.*.query" in coverage_table(partial, spec)
    assert partial_coverage(plan_for(spec, ["*.query", "bert.pooler.dense"]), spec) == []
    assert "warning" not in coverage_table(plan_for(spec, ["*.query"]), spec)


def test_the_coverage_table_counts_every_pattern_and_every_trained_parameter():
    plan = plan_for(BERT, ["*.query", "*.pooler.dense"], bias="all")
    table = coverage_table(plan, BERT)
    rows = [line.split() for line in table.splitlines()]
    assert ["*.query", "2", "0-1", "2", "128"] in rows
    assert ["*.pooler.dense", "1", "-", "2", "64"] in rows
    counts = plan.counts()
    assert counts["lora_A"] + counts["lora_B"] == 192
    for component in ("lora_A", "lora_B", "head", "bias", "total"):
        assert [component, f"{counts[component]:,}"] in rows
    assert f"{plan.bytes():,} bytes in fp32" in table
    assert plan.bytes() == 4 * counts["total"]


def test_the_coverage_table_of_full_and_head_training_has_no_patterns():
    for method in ("full", "head"):
        plan = plan_for(BERT, (), method=method)
        assert "pattern" not in coverage_table(plan, BERT)
        assert plan.edits == ()
    assert plan_for(BERT, (), method="full").counts()["total"] == BERT.parameter_count()
    assert plan_for(BERT, (), method="head").counts() == {"head": 51, "total": 51}


def test_a_language_model_has_no_head_of_its_own_to_train():
    with pytest.raises(InputError, match="has no head of its own"):
        plan_for(GPT2, (), method="head")


@pytest.mark.parametrize("bias", ["none", "lora_only", "all"])
def test_biases_are_trained_as_asked_and_never_decayed(bias):
    plan = plan_for(BERT, ["*.query"], bias=bias)
    biases = {name for name in unfrozen(plan) if name.endswith(".bias") and name != "classifier.bias"}
    every = {name for module in BERT.modules for name in module.shapes() if name.endswith(".bias")} - {
        "classifier.bias"
    }
    assert (
        biases
        == {
            "none": set(),
            "lora_only": {f"bert.encoder.layer.{i}.attention.self.query.bias" for i in (0, 1)},
            "all": every,
        }[bias]
    )
    assert {"classifier.weight", "classifier.bias"} <= set(unfrozen(plan))
    assert not any(name in plan.decayed for name in unfrozen(plan) if name.endswith(".bias"))
    assert all(name in plan.decayed for name in plan.shapes() if ".lora_" in name)
    full = plan_for(BERT, (), method="full")
    assert {name for name in full.shapes() if name not in full.decayed} == {
        n for n in full.shapes() if n.endswith(".bias") or "LayerNorm" in n
    }


def test_a_pattern_without_a_star_matches_at_the_end_of_a_path_as_in_peft():
    assert paths(plan_for(BERT, ["query"])) == paths(plan_for(BERT, ["*.query"]))
    assert paths(plan_for(BERT, ["attention.output.dense"])) == paths(plan_for(BERT, ["*.attention.output.dense"]))
    assert plan_for(GPT2, ["c_attn[q,v]"]).edits == plan_for(GPT2, ["*.c_attn[q,v]"]).edits


def test_all_linear_is_every_matrix_but_the_head():
    assert set(paths(plan_for(BERT, ["all-linear"]))) == {path for path in ADAPTABLE if "embeddings" not in path}
