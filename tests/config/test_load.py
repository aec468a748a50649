"""An experiment file means exactly what it says, and every mistake in it is shown at once, with its place and a way
out."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.config import CONFIG_DIRECTORY, ExperimentConfig, from_yaml, load_config, to_yaml
from common.config.convert import field_types
from common.config.rules import RANGES
from common.errors import InputError
from common.methods.targets import Target
from common.tasks import TASKS

MINIMAL = """\
model: {source: somewhere/bert}
data: {name: sst2}
adaptation: {rank: 8, alpha: 16, targets: ["*.query"]}
training: {global_batch_size: 32}
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="trial.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def faults(path, overrides=()):
    with pytest.raises(InputError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_a_file_holds_only_differences_from_the_defaults(write):
    config = load_config(write(MINIMAL))
    assert config.name == "trial"
    assert (config.seed, config.optimization.schedule, config.training.epochs) == (42, "linear", 3.0)
    assert config.adaptation.targets == (Target("*.query"),)


def test_name_comes_from_argument_then_file_then_stem(write):
    assert load_config(write("name: inside\n" + MINIMAL)).name == "inside"
    assert load_config(write("name: inside\n" + MINIMAL), name="outside").name == "outside"


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-3", 1e-3), ("1E-3", 1e-3), ("2", 2.0), (".5", 0.5), ("1.e-2", 0.01), ("+3e2", 300.0), ("010", 10.0)],
)
def test_every_usual_spelling_of_a_number_is_a_number(write, text, value):
    from_file = load_config(write(MINIMAL + f"optimization: {{learning_rate: {text}}}\n"))
    from_override = load_config(write(MINIMAL), [f"optimization.learning_rate={text}"])
    assert from_file.optimization.learning_rate == from_override.optimization.learning_rate == value


@pytest.mark.parametrize("text", ["yes", "'true'", "1", "null", ".nan", ".inf", "1_000", "[1]", "9" * 5000])
def test_what_is_not_a_number_is_refused_where_a_number_belongs(write, text):
    value = {"1": "true"}.get(text, text)
    assert "line 5: optimization.learning_rate must be a" in faults(
        write(MINIMAL + f"optimization: {{learning_rate: {value}}}\n")
    )


@pytest.mark.parametrize("text", ["yes", "no", "on", "1", "'true'"])
def test_only_true_and_false_are_booleans(write, text):
    assert "must be true or false" in faults(write(MINIMAL), [f"adaptation.rank_stabilized={text}"])


def test_whole_numbers_stay_whole(write):
    assert "adaptation.rank must be a whole number; received 8.0" in faults(write(MINIMAL), ["adaptation.rank=8.0"])
    assert "must be a whole number; received True" in faults(write(MINIMAL), ["adaptation.rank=true"])


def test_targets_may_carry_their_own_rank(write):
    config = load_config(write(MINIMAL), ["adaptation.targets=[a, {pattern: b, rank: 2, alpha: 3}]"])
    assert config.adaptation.targets == (Target("a"), Target("b", 2, 3.0))


def test_all_faults_of_a_file_are_shown_together_each_with_its_line(write):
    text = """\
model: {source: x, task: clasification}
data:
  name: sst2
  max_lenght: 3
adaptation:
  method: lora
  rank: 8.5
  targets: "*.query"
optimization: {warmup_steps: 3, warmup_ratio: 0.1, beta1: 1.0}
training:
  global_batch_size: 32
  micro_batch_size: 5
  evaluate_every_steps: 3
  evaluate_every_epochs: 3
optimisation: {}
"""
    message = faults(write(text), ["training.epochs=-1", "trainin.x=1", "seed=1=2"])
    expected = [
        f"line 1: model.task must be one of {', '.join(TASKS.names())}; received 'clasification'. Nearest: ",
        "line 4: data.max_lenght is unknown. Nearest: max_length",
        "line 7: adaptation.rank must be a whole number; received 8.5",
        "line 8: adaptation.targets must be a list; received '*.query'",
        "line 9: optimization.warmup_ratio and warmup_steps exclude each other",
        "line 9: optimization.beta1 must be at least 0 and less than 1; received 1.0",
        "line 12: training.micro_batch_size must divide training.global_batch_size = 32; received 5",
        "line 13: training.evaluate_every_steps and evaluate_every_epochs: exactly one",
        "line 15: optimisation is unknown. Nearest: optimization",
        "--set training.epochs=-1: training.epochs must be greater than 0",
        "--set trainin.x=1: trainin is unknown. Nearest: training",
        "--set seed=1=2: seed must be a whole number; received '1=2'",
    ]
    for line in expected:
        assert line in message
    assert f"{len(expected)} errors" in message


def test_an_empty_file_is_told_everything_that_must_be_given(write):
    message = faults(write(""))
    for path in (
        "data.name",
        "training.global_batch_size",
        "model.source",
        "model.tokenizer",
        "adaptation.rank",
        "adaptation.alpha",
        "adaptation.targets",
    ):
        assert path in message


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["training.metric=perplexity"], "training.metric must be one of loss, accuracy"),
        (["training.metric=acuracy"], "training.metric must be one of"),
        (["model.task=language-modeling", "training.metric=accuracy"], "must be one of loss, perplexity"),
        (["model.task=language-modeling", "adaptation.method=head"], "use one of"),
        (["data.name=files"], "data.files must name at least a train file"),
        (["data.files={train: x}"], "belongs to data.name: files"),
        (["data.max_examples.dev=3"], "data.max_examples.dev is no split"),
        (["data.max_examples.train=0"], "must be greater than 0"),
        (["data.max_examples.train=many"], "data.max_examples.train must be a whole number"),
        (["adaptation.targets=[{pattern: a, rank: 0}]"], "adaptation.targets.0.rank must be greater than 0"),
        (["adaptation.targets=[{patern: a}]"], "adaptation.targets.0.patern is unknown. Nearest: pattern"),
        (["adaptation.targets=[{rank: 4}]"], "adaptation.targets.0.pattern must be given"),
        (["seed=4294967296"], "seed must be between"),
        (["seed.x=1"], "seed has no keys of its own"),
        (["training.evaluate_every_epochs=null"], "exactly one must be given; received None and None"),
        (
            ["training.shard=true", "adaptation.method=full"],
            "training.shard divides frozen weights, and adaptation.method: full trains them all",
        ),
        (["training.shard=true", "training.compile=true"], "training.shard gathers the weights layer by layer"),
        (["noequals"], "must have the form"),
        (["a..b=1"], "must have the form"),
        (["seed=[1"], "not valid YAML"),
        (["data=null"], "data must be a section"),
    ],
)
def test_each_rule_answers_its_own_violation(write, overrides, part):
    assert part in faults(write(MINIMAL), overrides)


@pytest.mark.parametrize("name", ["a/b", "..", "", " x", "."])
def test_a_name_that_is_no_folder_name_is_refused(write, name):
    with pytest.raises(InputError, match="plain folder name"):
        load_config(write(MINIMAL), name=name)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("seed: 1\nseed: 2\n", "line 2: seed is given twice; the first is on line 1"),
        ("model:\n  source: a\n  source: b\n", "line 3: model.source is given twice"),
        ("1: 2\n", "keys must be text"),
        ("- a\n", "must be a YAML mapping"),
        ("a: [\n", "line 2, column 1: this is not valid YAML"),
        ("a: &x [*x]\n", "anchors and aliases are not supported"),
        ("a: !!python/object:os.system {}\n", "line 1"),
        ("model: {config: {a: !!timestamp 2020-01-01}}\n", "must be text, a number"),
        ("seed: 1\n---\nseed: 2\n", "not valid YAML"),
        ("seed:\t1\n\tx: 2", "not valid YAML"),
    ],
)
def test_yaml_that_would_be_read_wrongly_is_refused_with_its_line(write, text, part):
    assert part in faults(write(text))


def test_bytes_that_are_not_utf8_are_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_bytes(b"name: caf\xe9\n")
    assert "UTF-8" in faults(path)


def test_an_unknown_file_is_answered_with_the_nearest_shipped_name(tmp_path):
    assert "Nearest: bert_sst2" in faults("bert_sst")
    assert "is a folder" in faults(tmp_path)


def test_giving_one_of_two_exclusive_settings_displaces_the_layer_below(write):
    steps = load_config(write(MINIMAL), ["training.evaluate_every_steps=10"]).training
    assert (steps.evaluate_every_steps, steps.evaluate_every_epochs) == (10, None)
    path = write(MINIMAL.replace("32}", "32, evaluate_every_steps: 5}") + "optimization: {warmup_ratio: 0.1}\n")
    config = load_config(path, ["training.evaluate_every_epochs=0.5", "optimization.warmup_steps=3"])
    assert (config.training.evaluate_every_steps, config.training.evaluate_every_epochs) == (None, 0.5)
    assert (config.optimization.warmup_steps, config.optimization.warmup_ratio) == (3, None)


def test_later_overrides_win_and_reach_into_free_mappings(write):
    config = load_config(
        write(MINIMAL + "seed: 1\n"), ["seed=2", "seed=3", "model.config.n_layer=2", "data.max_examples.train=7"]
    )
    assert (config.seed, config.model.config, config.data.max_examples) == (3, {"n_layer": 2}, {"train": 7})


TRAPS = [
    "1e-3",
    "010",
    "08",
    "yes",
    "no",
    "null",
    "~",
    "0x1F",
    "1_000",
    "1:30",
    "2020-01-01",
    "=",
    "<<",
    "",
    " ",
    "# x",
    "- a",
    "true",
    ".5",
    "5.",
]


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False, allow_infinity=False)
            | st.text(st.characters(exclude_categories=["Cs"]))
            | st.sampled_from(TRAPS),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
            ),
            max_leaves=6,
        ),
        max_size=4,
    ),
    st.floats(min_value=1e-300, max_value=1e300),
    st.integers(0, 2**32 - 1),
)
def test_writing_and_reading_back_gives_the_same_configuration(extra, rate, seed):
    base = load_config(CONFIG_DIRECTORY / "bert_sst2.yaml")
    config = dataclasses.replace(
        base,
        seed=seed,
        model=dataclasses.replace(base.model, config=extra),
        optimization=dataclasses.replace(base.optimization, learning_rate=rate),
    )
    assert from_yaml(to_yaml(config)) == config


def test_every_numeric_field_has_a_range():
    numeric = set()
    for section, annotation in field_types(ExperimentConfig).items():
        fields = field_types(annotation) if dataclasses.is_dataclass(annotation) else {None: annotation}
        numeric |= {
            f"{section}.{name}" if name else section
            for name, kind in fields.items()
            if "int" in str(kind) or "float" in str(kind)
        }
    assert numeric - {"data.max_examples"} <= RANGES.keys()


@pytest.mark.parametrize("name", sorted({path.stem for path in CONFIG_DIRECTORY.glob("*.yaml")} - {"defaults"}))
def test_every_shipped_experiment_loads_and_round_trips(name):
    config = load_config(name)
    assert config.name == name
    assert from_yaml(to_yaml(config)) == config
