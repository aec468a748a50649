"""What is set and changes nothing is said before a training begins."""

from __future__ import annotations

import pytest
from test_training_run import setup  # noqa: F401  (a fixture)

from common.config import load_config
from common.training.assembly import prepare
from common.training.unused import unused

SETTINGS = {
    "optimization.final_learning_rate=1e-5": ("schedule is constant", ["optimization.schedule=constant"]),
    "optimization.power=2": ("schedule is linear", []),
    "optimization.head_learning_rate=0.1": (
        "no head of the task is trained",
        [
            "model.task=language-modeling",
            "model.config={model_type: gpt2, n_embd: 8, n_layer: 1, n_head: 1}",
            "data.label_column=null",
            "adaptation={method: full}",
        ],
    ),
    "distillation.temperature=4": ("logits is mse", ["distillation.teacher=there", "distillation.logits=mse"]),
    "distillation.hidden_states=all": ("hidden is none", ["distillation.teacher=there"]),
    "distillation.attention_weight=2": ("attention is none", ["distillation.teacher=there"]),
    "data.label_separator=';'": ("has one label at most", []),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_that_changes_nothing_is_named_with_the_reason(setup, setting):  # noqa: F811
    reason, others = SETTINGS[setting]
    found = unused(prepare(setup.config(*others, setting)))
    entry = setting.partition("=")[0]
    assert [remark for remark in found if remark.startswith(entry)], found
    assert reason in found[0]
    assert found[0].endswith("Remove it.")


def test_a_limit_of_a_split_that_is_not_there(setup, tmp_path):  # noqa: F811
    config = load_config(
        tmp_path / "trial.yaml", [f"data.files.train={tmp_path / 'train.csv'}", "data.max_examples.test=5"]
    )
    assert unused(prepare(config)) == ["data.max_examples.test has no effect, since there is no test split. Remove it."]


def test_a_run_says_so_and_one_whose_settings_all_count_says_nothing(setup):  # noqa: F811
    setup.run(setup.config("training.max_steps=1", "optimization.power=2"))
    assert any("optimization.power has no effect" in said for said in setup.progress.said)
    setup.progress.said.clear()
    setup.run(setup.config("training.max_steps=1", "optimization.schedule=polynomial"), overwrite=True)
    assert not any("no effect" in said for said in setup.progress.said)
