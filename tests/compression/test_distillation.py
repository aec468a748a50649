"""A compressed student that learns from the run it was made of."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from common import backend as backends
from common.backend.capabilities import Capabilities
from common.backend.distillation import Distillation
from common.cli.main import main
from common.config import from_yaml, load_config, to_yaml
from common.config.schema import ExperimentConfig
from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.training.assembly import encode_split, prepare
from common.training.checkpoint import INTEGERS
from common.training.teachers import open_source, reader, write_logits
from common.training.teaching import open_teacher, taught
from tests.support import assert_near

pytestmark = [pytest.mark.slow, pytest.mark.needs_pytorch, pytest.mark.interpreted]
BACKENDS = ["pytorch", pytest.param("mindspore", marks=pytest.mark.needs_mindspore)]
QUIET = ("model.dropout=0.0", "adaptation={method: full}")


@pytest.fixture(scope="module")
def small(work, base):
    folder = work.folder / "student"
    assert main(["compress", str(base), "--with", "svd", "--set", "rank=2", "-o", str(folder)]) == 0
    return folder


def configured(work, small, base, *overrides) -> ExperimentConfig:
    given = [f"distillation.teacher={base}", *QUIET, *overrides]
    arguments = work.experiment(*given, model=small)
    return load_config(arguments[0], arguments[2::2])


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_student_is_trained_with_its_teacher_scored_and_resumed(work, base, small, backend):
    terms = ("distillation.hidden=mse", "distillation.hidden_states=all")
    run = work.train(backend, "taught", f"distillation.teacher={base}", *terms, *QUIET, model=small)
    alone = work.train(backend, "alone", *QUIET, model=small)
    stored = (run / "config.yaml").read_text()
    assert from_yaml(stored).distillation == Distillation(str(base), hidden="mse", hidden_states="all")
    assert "distillation" not in (alone / "config.yaml").read_text()
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in (run, alone)]
    assert summaries[0]["final_loss"] > summaries[1]["final_loss"]  # it has further terms
    assert summaries[0]["before"] == summaries[1]["before"]  # scores are the task's own
    fingerprints = json.loads((run / "fingerprints.json").read_text())
    assert "teacher" in fingerprints
    assert main(["eval", str(run)]) == 0


@pytest.mark.needs_mindspore
@pytest.mark.parametrize("method", ["{method: full}", "{method: prompt, tokens: 3}"])
def test_both_backends_train_the_same_student(work, base, small, method):
    losses = []
    for backend in ("pytorch", "mindspore"):
        terms = (f"distillation.teacher={base}", "distillation.hidden=cos", "model.dropout=0.0")
        run = work.train(backend, f"both_{len(method)}", *terms, f"adaptation={method}", model=small)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        losses.append([line["loss"] for line in lines if "loss" in line and "step" in line])
    assert len(losses[0]) >= 6
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


def test_the_columns_are_the_teachers_outputs_for_the_examples(work, base, small):
    config = configured(work, small, base, "distillation.hidden=mse")
    inputs = prepare(config)
    split = encode_split(inputs, "train")
    package = backends.load("pytorch")
    found_inputs, found = taught(inputs, {"train": split}, open_teacher(inputs), package, "cpu")
    assert [field.name for field in found_inputs.spec.schema.fields][-2:] == ["teacher_logits", "teacher_hidden"]
    columns = found["train"].columns
    assert columns["teacher_logits"].shape == (len(split), 2)
    assert columns["teacher_hidden"][3].shape == (split.lengths[3], 2, 16)
    from twinlora import open as opened

    run = opened(base)
    texts = list(inputs.data.splits["train"]["text"])
    for index in (0, 7):
        [answer] = run.predict([texts[index]])
        logits = columns["teacher_logits"][index].astype(np.float64)
        powers = np.exp(logits - logits.max())
        given = [answer["probabilities"][name] for name in inputs.data.label_names]
        assert_near(powers / powers.sum(), np.array(given), 1e-5, absolute=True)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["distillation.temperature=0"], "distillation.temperature must be greater than 0"),
        (["distillation.logits_weight=-1"], "distillation.logits_weight must be 0 or more"),
        (["distillation.logits=none"], "nothing is taken from the teacher"),
        (["distillation.logits_weight=0"], "nothing is taken from the teacher"),
        (["distillation.task_weight=0", "distillation.logits_weight=0"], "so that nothing is learned"),
        (["distillation.teacher=null", "distillation.hidden=mse"], "distillation.teacher must name a run directory"),
        (["distillation.teacher=null", "distillation.temperature=4"], "distillation.teacher must name a run directory"),
        (["distillation.logits=hard"], "must be one of none, mse, soft, kl"),
        (["distillation.attention=dot"], "distillation.attention must be one of none, mse, cos"),
    ],
)
def test_what_does_not_fit_is_refused(overrides, message, work, base, small):
    with pytest.raises(InputError, match=message):
        open_teacher(prepare(configured(work, small, base, *overrides)))


def test_hidden_states_of_other_tokens_are_refused(work, base):
    wide = "{model_type: bert, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 24}"
    overrides = [
        f"distillation.teacher={base}",
        "distillation.hidden=mse",
        f"model.config={wide}",
        "adaptation={method: full}",
    ]
    arguments = work.experiment(*overrides, "model.tokenizer=bpe:265")
    config = load_config(arguments[0], arguments[2::2])
    with pytest.raises(InputError, match="its tokenizer is another one, so that its hidden states are those of other"):
        open_teacher(prepare(config))


def test_a_configuration_with_a_teacher_reads_back_as_it_was(work, base, small):
    config = configured(work, small, base, "distillation.hidden=cos", "distillation.temperature=4")
    assert from_yaml(to_yaml(config)) == config
    assert config.distillation.temperature == 4.0


SIZES = "hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24"


def test_a_teacher_of_fewer_positions_is_refused(work, small):
    short = f"model.config={{model_type: bert, {SIZES}, max_position_embeddings: 4}}"
    teacher = work.train("pytorch", "short", short, "data.max_length=4", *QUIET)
    with pytest.raises(InputError, match=r"it takes 4 tokens at most, and data.max_length is 16"):
        open_teacher(prepare(configured(work, small, teacher, "distillation.hidden=cos")))


def test_a_teacher_that_reads_what_the_students_batches_lack_is_refused(work, base):
    student = "model.config={model_type: gpt2, n_embd: 16, n_layer: 1, n_head: 2, n_positions: 32}"
    arguments = work.experiment(
        f"distillation.teacher={base}", student, "adaptation={method: full}", "distillation.hidden=mse"
    )
    with pytest.raises(InputError, match="it reads token_type_ids, which batches of the family gpt2 do not hold"):
        open_teacher(prepare(load_config(arguments[0], arguments[2::2])))


def test_a_teacher_that_the_backend_cannot_compute_is_refused_before_it_is_built(small):
    """A model folder, whose network no engine stands around."""
    teacher = open_source(str(small), "sequence-classification")
    lacking = SimpleNamespace(
        capabilities=lambda device: Capabilities("mindspore", {"family:bert": "its kernels are missing"}),
        model_problems=lambda spec: [],
    )
    with pytest.raises(InputError, match=r"(?s)mindspore backend cannot compute this on cpu.*its kernels are missing"):
        reader(teacher, False, lacking, "cpu")


def test_hidden_states_of_real_tokens_are_compared_where_virtual_ones_come_first():
    torch = pytest.importorskip("torch")
    from pytorch_impl.distillation import _hidden_term

    states = torch.randn(2, 3 + 5, 4)
    teacher = states[:, 3:, None] + 2.0
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    assert _hidden_term([states], teacher, mask, "mse", None).tolist() == pytest.approx([4.0, 4.0], rel=1e-5)


@pytest.mark.parametrize(
    "backend", ["pytorch", pytest.param("mindspore", marks=[pytest.mark.needs_mindspore, pytest.mark.nightly])]
)
def test_a_teacher_of_another_family_and_tokenizer_reads_the_same_texts_as_its_own_tokens(
    work, base, backend, tmp_path
):
    sizes = "{model_type: distilbert, n_layers: 1, dim: 16, n_heads: 2, hidden_dim: 24, max_position_embeddings: 32}"
    student = (
        f"model.config={sizes}",
        "model.tokenizer=wordpiece:200",
        "adaptation={method: full}",
        "model.dropout=0.0",
    )
    given = (*student, f"distillation.teacher={base}", "distillation.logits=mse", "data.label_names=[b, a]")
    run = work.train(backend, "other-family", *given)
    assert main(["eval", str(run)]) == 0
    arguments = work.experiment(*given)
    inputs = prepare(load_config(arguments[0], arguments[2::2]))
    split = encode_split(inputs, "train")
    _, found = taught(inputs, {"train": split}, open_teacher(inputs), backends.load(backend), "cpu")
    texts = list(inputs.data.splits["train"]["text"])
    from twinlora import open as opened

    for index, answer in ((0, 0), (9, 9)):
        told = opened(base, device="cpu").predict([texts[answer]])[0]["probabilities"]
        logits = found["train"].columns["teacher_logits"][index].astype(np.float64)
        powers = np.exp(logits - logits.max())
        assert_near(powers / powers.sum(), np.array([told["b"], told["a"]]), 1e-5, absolute=True)  # the data's order


def test_an_exported_graph_and_a_file_of_logits_teach_as_the_run_does(work, base, small, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    assert main(["export", str(base), str(tmp_path / "graph")]) == 0
    columns = []
    for teacher in (base, tmp_path / "graph"):
        inputs = prepare(configured(work, small, teacher))
        split = encode_split(inputs, "train")
        _, found = taught(inputs, {"train": split}, open_teacher(inputs), backends.load("pytorch"), "cpu")
        columns.append(found["train"].columns["teacher_logits"])
    assert_near(columns[1], columns[0], 1e-4, absolute=True)
    write_logits(tmp_path / "logits.safetensors", columns[0], inputs.data)
    damaged, metadata = load_arrays(tmp_path / "logits.safetensors")
    damaged["logits"][1, 0] = -np.inf
    save_arrays(tmp_path / "damaged.safetensors", damaged, metadata)
    with pytest.raises(InputError, match="must hold finite logits"):
        open_teacher(prepare(configured(work, small, tmp_path / "damaged.safetensors")))
    inputs = prepare(configured(work, small, tmp_path / "logits.safetensors"))
    _, found = taught(inputs, {"train": split}, open_teacher(inputs), backends.load("pytorch"), "cpu")
    assert (found["train"].columns["teacher_logits"] == columns[0]).all()
    with pytest.raises(InputError, match="it gives logits alone"):
        open_teacher(prepare(configured(work, small, tmp_path / "graph", "distillation.hidden=mse")))
    fewer = configured(work, small, tmp_path / "logits.safetensors", "data.max_examples={train: 7}")
    with pytest.raises(InputError, match="it holds logits of other texts than those of the training split"):
        open_teacher(prepare(fewer))


def test_attention_is_learned_from_layers_of_as_many_heads_and_a_projection_resumes(work, base):
    wide = "{model_type: bert, hidden_size: 24, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 24}"
    teacher = work.train("pytorch", "wide-teacher", f"model.config={wide}", *QUIET)
    terms = ("distillation.hidden=mse", "distillation.attention=mse", f"distillation.teacher={teacher}", *QUIET)
    run = work.train("pytorch", "wide-taught", *terms)
    assert main(["eval", str(run)]) == 0
    state, _ = load_arrays(run / "checkpoint" / "state.safetensors", INTEGERS)
    assert state["optimizer.beside.distillation.projection.weight"].shape == (24, 16)
    assert not [name for name in load_arrays(run / "model" / "model.safetensors")[0] if "projection" in name]
    four = "{model_type: bert, hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 4, intermediate_size: 24}"
    arguments = work.experiment(*terms, f"model.config={four}")
    with pytest.raises(InputError, match="a layer of the student has 4 heads, and the teacher's 2"):
        open_teacher(prepare(load_config(arguments[0], arguments[2::2])))
