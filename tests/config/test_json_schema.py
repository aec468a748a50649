"""The JSON schema of experiment files accepts what the project accepts, and refuses what it refuses of each entry."""

import dataclasses
import json
import re

import jsonschema
import pytest

from common.cli.main import main
from common.config.json_schema import experiment_schema
from common.config.schema import DataConfig, TrainingConfig
from common.config.yaml_text import parse
from common.methods import METHODS
from common.optimizers import OPTIMIZERS
from common.resources import configs_folder

SHIPPED = sorted(path for path in configs_folder().glob("*.yaml") if path.stem != "defaults")


@pytest.fixture(scope="module")
def validator():
    schema = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_experiments_are_valid(path, validator):
    assert list(validator.iter_errors(parse(path.read_text(encoding="utf-8"), str(path)).values)) == []


WRONG = {
    "an unknown section": {"modle": {}},
    "an unknown entry": {"model": {"sorce": "x"}},
    "an entry of another method": {"adaptation": {"method": "ia3", "rank": 4}},
    "an entry of no method": {"adaptation": {"rnak": 4}},
    "an unknown method": {"adaptation": {"method": "lroa"}},
    "an unknown task": {"model": {"task": "x"}},
    "text for a number": {"adaptation": {"rank": "eight"}},
    "a fraction for a count": {"training": {"epochs": 1, "global_batch_size": 1.5}},
    "a choice that there is not": {"training": {"dtype": "fp16"}},
    "null where there must be a value": {"optimization": {"beta1": None}},
    "an entry of another optimizer": {"optimization": {"optimizer": "sgd", "beta1": 0.9}},
    "an entry of no optimizer": {"optimization": {"momentmu": 0.9}},
    "an unknown optimizer": {"optimization": {"optimizer": "sdg"}},
    "a list for text": {"data": {"text_column": ["a"]}},
}


@pytest.mark.parametrize("case", WRONG)
def test_what_no_experiment_may_hold_is_refused(case, validator):
    assert list(validator.iter_errors(WRONG[case])) != []


def test_both_forms_of_a_target_are_valid(validator):
    targets = ["query", {"pattern": "*.dense", "rank": 2}]
    assert list(validator.iter_errors({"adaptation": {"rank": 4, "alpha": 8, "targets": targets}})) == []


def test_every_method_has_its_entries_and_every_entry_its_meaning():
    properties = experiment_schema()["properties"]
    for section, members in (("adaptation", METHODS), ("optimization", OPTIMIZERS)):
        branches = properties[section]["allOf"]
        assert [set(branch["then"]["properties"]) for branch in branches] == [
            {field.name for field in dataclasses.fields(member.Options)} for member in members
        ]
    assert properties["optimization"]["allOf"][1]["then"]["properties"]["beta1"]["default"] == 0.9
    for section, cls in (("data", DataConfig), ("training", TrainingConfig)):
        assert set(properties[section]["properties"]) == {field.name for field in dataclasses.fields(cls)}
    described = properties["data"]["properties"]["splits"]["description"]
    assert re.fullmatch(r"for ``hub``: ours \(train, ...\) to what they are called there", described)
    assert properties["training"]["properties"]["epochs"]["default"] == 3


def test_the_command_writes_what_the_function_gives(tmp_path, capsys):
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == experiment_schema()
    assert main(["schema", "-o", str(tmp_path / "schema.json")]) == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == experiment_schema()
