"""A definition is read strictly, and becomes the points that it says, in their order."""

import re
from pathlib import Path

import pytest

from common.errors import InputError
from common.studies.definition import read_definition, shipped_studies, to_yaml
from common.studies.points import axes_of, expand, matching
from common.studies.search.searching import read_space

GRID = """\
axes:
  adaptation.rank: [2, 4]
  targets:
    qv: {adaptation.targets: [query, value]}
    q: {adaptation.targets: [query]}
seeds: [1, 2]
"""


def labels(points):
    return [(*point.label.values(), point.seed, point.backend) for point in points]


def test_a_grid_is_every_combination_with_the_last_axis_fastest(studies):
    points = expand(studies.define(GRID + "backends: [pytorch, mindspore]"))
    assert labels(points)[:5] == [
        (2, "qv", 1, "pytorch"), (2, "qv", 1, "mindspore"), (2, "qv", 2, "pytorch"), (2, "qv", 2, "mindspore"),
        (2, "q", 1, "pytorch"),
    ]  # fmt: skip
    assert len(points) == 16
    assert points[4].config.adaptation.rank == 2
    assert [target.pattern for target in points[4].config.adaptation.targets] == ["query"]
    assert axes_of(points) == {"adaptation.rank": [2, 4], "targets": ["qv", "q"]}


def test_points_have_labels_settings_and_axes_of_their_own(studies):
    text = """\
set: {training.max_steps: 3}
points:
  - label: {model: full}
    set: {adaptation.method: full}
    axes: {optimization.learning_rate: [1.0e-5, 2.0e-5]}
  - label: {model: lora}
    axes: {adaptation.rank: [1, 2]}
axes: {optimization.weight_decay: [0.0, 0.1]}
"""
    points = expand(studies.define(text))
    assert len(points) == 8
    assert points[1].label == {"model": "full", "optimization.learning_rate": 1e-5, "optimization.weight_decay": 0.1}
    assert points[4].label == {"model": "lora", "adaptation.rank": 1, "optimization.weight_decay": 0.0}
    assert {point.config.training.max_steps for point in points} == {3}


def test_several_bases_are_an_axis(studies):
    (studies.folder / "other.yaml").write_text((studies.folder / "base.yaml").read_text().replace("rank: 2", "rank: 3"))
    path = studies.folder / "two.yaml"
    path.write_text("base: {small: base.yaml, large: other.yaml}\n")
    assert [(p.label, p.config.adaptation.rank) for p in expand(read_definition(path))] == [
        ({"base": "small"}, 2), ({"base": "large"}, 3)
    ]  # fmt: skip


def test_the_resolved_definition_gives_the_same_points(studies, tmp_path):
    definition = studies.define(GRID + "limits: {seconds: 5, memory: 2 GiB}", **{"training.max_steps": 4})
    elsewhere = tmp_path / "inside" / "study.yaml"
    elsewhere.parent.mkdir()
    elsewhere.write_text(to_yaml(definition))
    again = read_definition(elsewhere.parent)
    assert again == definition
    assert [point.config for point in expand(again)] == [point.config for point in expand(definition)]
    assert again.limits.bytes == 2 * 2**30


FAULTS = {
    "axis: {}": "line 2: axis is unknown. Nearest: axes",
    "axes: {adaptation.rank: [2, 2]}": "adaptation.rank has the value 2 twice",
    "axes: {adaptation.rank: 2}": "must be a key path with a list",
    "axes: {adaptation.targets: [[query], [value]]}": "has a list or mapping as a value",
    "axes: {ranks: [2, 4]}": "must be a key path with a list",
    "axes: {ranks: {a: 2}}": "each of its labels must be a mapping",
    "axes: {adaptation.rank: [2], r: {a: {adaptation.rank: 3}}}": "adaptation.rank is set by both",
    "axes: {adaptation.rnak: [2]}": "adaptation.rnak is unknown",
    "{set: {adaptation.rank: 2}, axes: {adaptation.rank: [4]}}": "is set by both",
    "points: [{label: {a: 1}}, {label: {a: 1}}]": "must have a label of its own",
    "points: [{label: {adaptation.rank: 1}, axes: {adaptation.rank: [1]}}]": "adaptation.rank is a label and an axis of the point",
    "seeds: [1, 1]": "must be different integers",
    "backends: [pytorh]": "Nearest: pytorch",
    "limits: {memory: a lot}": "must be a size such as 8 GiB",
    "limits: {memory: 0 GiB}": "limits.memory must be greater than 0",
    f"limits: {{memory: {'9' * 400} GiB}}": "limits.memory must be a size such as 8 GiB",
    f"limits: {{memory: {'9' * 20} GiB}}": "less than 1024 TiB",
    "limits: {seconds: 0}": "limits.seconds must be greater than 0",
    "tables: [{title: T, rows: [], columns: [steps]}]": "must name at least one axis",
    "tables: [{title: T, rows: [a], columns: [{name: x}]}]": "must be a field such as validation.accuracy",
    "tables: [{title: T, rows: [a], columns: [steps], published: [{match: {a: 1}, values: {stesp: 1}}]}]":
        "must be a field of the table's columns",
    "{set: {seed: 3}, seeds: [1, 2]}": "set (or --set) and seeds set one key",
    "{axes: {x: {a: {seed: 5}}}, seeds: [1]}": "the axis x and seeds set one key",
    "{points: [{label: {m: 1}, set: {adaptation.rank: 2}}], axes: {adaptation.rank: [4]}}":
        "the set of the point and the axis adaptation.rank set one key",
    "{points: [{label: {m: 1}, axes: {adaptation.rank: [2]}}], axes: {adaptation.rank: [4]}}":
        "adaptation.rank is an axis of the point and an axis",
    "{axes: {z: {a: {adaptation: {method: head}}}, adaptation.rank: [2]}}":
        "they set adaptation and adaptation.rank",
    'set: {"seed=7 #": 3}': "received 'seed=7 #'",
    'set: {" seed": 3}': "received ' seed'",
    "points: [{label: {seed: 5}}]": "received seed",
    "axes: {backend: {a: {adaptation.rank: 4}}}": "received backend",
    "axes: {base: {a: {adaptation.rank: 4}}}": "received base",
    "points: [{label: {a: [1, 2]}}]": "a label must be text, a number, true, false or null",
    "{axes: {adaptation.rank: [2]}, tables: [{title: T, rows: [adaptation.rnk], columns: [steps]}]}":
        "received adaptation.rnk. Nearest: adaptation.rank",
    "tables: [{title: T, rows: [seed], where: {rank: 2}, columns: [steps]}]": "The table T: rows, where, select",
    "tables: [{title: T, rows: [seed], columns: [steps], select: {by: steps}}]": "The table T: steps is no metric of",
    "search: {trials: 2, workers: 0, space: {}}": "search.workers must be greater than 0",
    "search: {trials: 2, startup_trials: -1, space: {}}": "search.startup_trials must be a non-negative integer",
    "search: {trials: 2, prune: {startup_trials: -1}, space: {}}": "search.prune.startup_trials must be a non-negative",
    "search: {trials: 2, prune: {warmup_steps: -1}, space: {}}": "search.prune.warmup_steps must be a non-negative",
    "{axes: {m: {a: {adaptation.alpha: 3}}}, search: {trials: 2, space: {m: {choices: {a: {adaptation.rank: 3}}}}}}":
        "m is an axis and a searched entry",
    "search: {trials: 0, space: {a.b: {low: 0, high: 1}}}": "search.trials must be greater than 0",
}  # fmt: skip


@pytest.mark.parametrize("text", FAULTS)
def test_a_fault_is_named_with_its_place_and_remedy(studies, text):
    path = studies.write(text if not text.startswith("{") else "")
    if text.startswith("{"):
        path.write_text(f"{{base: base.yaml, {text[1:]}")
    with pytest.raises(InputError) as caught:
        expand(read_definition(path))
    assert FAULTS[text] in str(caught.value)


def test_filters_choose_by_axis_seed_and_number(studies):
    points = expand(studies.define(GRID))
    assert labels(matching(points, {"rank": ["2.0"], "targets": ["q"]})) == [
        (2, "q", 1, "pytorch"),
        (2, "q", 2, "pytorch"),
    ]
    assert len(matching(points, {"seed": ["1", "2"], "adaptation.rank": ["4"]})) == 4
    with pytest.raises(InputError, match=r"Nearest: .*targets"):
        matching(points, {"target": ["q"]})
    with pytest.raises(InputError, match="No point"):
        matching(points, {"rank": ["3"]})


@pytest.mark.parametrize(
    ("name", "count"),
    [("emotion", 18), ("emotion_minilm", 20), ("lora_rank", 21), ("targets", 21), ("methods", 54), ("peft_sst2", 26)],
)
def test_a_shipped_study_is_valid(name, count):
    definition = read_definition(name)
    assert len(expand(definition)) == count
    assert definition.tables
    known = {*axes_of(expand(definition)), "seed", "backend"}
    assert {axis for table in definition.tables for axis in (*table.rows, *(table.where or {}))} <= known
    for page in ("studies.md", "studies.zh-CN.md"):
        text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
        assert re.search(rf"^\| `{name}` \|.*\| {count} \|$", text, re.MULTILINE), page


@pytest.mark.parametrize("page", ["studies.md", "studies.zh-CN.md"])
def test_the_examples_of_the_documents_are_valid(page, tmp_path):
    text = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    examples = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    for number, example in enumerate(examples):
        path = tmp_path / f"{number}.yaml"
        path.write_text(example, encoding="utf-8")
        definition = read_definition(path)
        points = expand(definition)
        assert len(points) > 1 or (definition.search and len(read_space(definition.search)) > 1)
        assert {axis for table in definition.tables for axis in (*table.rows, *(table.where or {}))} <= {
            *axes_of(points)
        }


def test_every_shipped_study_is_tested():
    assert shipped_studies() == ["emotion", "emotion_minilm", "lora_rank", "methods", "peft_sst2", "targets"]
