"""Combinations of LoRA adapters against PEFT's ``add_weighted_adapter``, and the command."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from common.artifacts.combining import combine_folders, read_folder
from common.cli.main import main
from common.errors import InputError
from common.files import load_arrays, save_arrays
from common.methods.combining import Combination, Factors, combine
from tests.support import assert_near

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24, "vocab_size": 40}
NAMES = ("first", "second")
WAYS = {
    "linear": {},
    "cat": {},
    "svd": {},
    "ties": {"density": 0.4},
    "ties_svd": {"density": 0.4},
    "magnitude_prune": {"density": 0.4},
    "magnitude_prune_svd": {"density": 0.4},
    "dare_linear": {"density": 1.0},
    "dare_ties": {"density": 1.0},
    "dare_linear_svd": {"density": 1.0},
    "dare_ties_svd": {"density": 1.0},
}


def library():
    return [pytest.importorskip(name) for name in ("torch", "transformers", "peft")]


def written(folder, ranks=(4, 4), **entries):
    """A model of PEFT's with one adapter for each rank, of which each has a folder."""
    torch, transformers, peft = library()
    torch.manual_seed(0)
    base = transformers.BertModel(transformers.BertConfig(**SIZES))
    model = None
    for number, rank in enumerate(ranks):
        modules = ["query", "value"] if number == 0 else ["query", "output.dense"]
        config = peft.LoraConfig(r=rank, lora_alpha=2 * rank + number, target_modules=modules, **entries)
        if model is None:
            model = peft.get_peft_model(base, config, adapter_name=NAMES[number])
        else:
            model.add_adapter(NAMES[number], config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, 0.0, 0.3)
    for number in range(len(ranks)):
        model.save_pretrained(folder, selected_adapters=[NAMES[number]])
    return model, [folder / NAMES[number] for number in range(len(ranks))]


def updates_of(model, name):
    """B A s of every module that the adapter ``name`` adapts."""
    found = {}
    for path, module in model.base_model.model.named_modules():
        if hasattr(module, "lora_A") and name in module.lora_A:
            found[path] = module.get_delta_weight(name).detach().numpy()
    return found


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("weights", [(0.7, 0.5), (1.5, -0.4)])
@pytest.mark.parametrize("way", WAYS)
def test_a_combination_is_pefts(way, weights, tmp_path):
    model, folders = written(tmp_path)
    given = {"density": 1.0 if way.startswith("dare") else WAYS[way].get("density")}
    model.base_model.add_weighted_adapter([*NAMES], list(weights), "mixed", combination_type=way, **given)
    combine_folders(folders, tmp_path / "out", Combination(way, weights, WAYS[way].get("density")))
    ours = read_folder(tmp_path / "out")
    theirs = updates_of(model, "mixed")
    assert set(ours.factors) == set(theirs)
    for path, factors in ours.factors.items():
        assert_near(factors.scale * factors.b @ factors.a, theirs[path], 1e-5, what=path)


@pytest.mark.needs_pytorch
def test_peft_opens_a_combination_of_different_ranks(tmp_path):
    torch, transformers, peft = library()
    model, folders = written(tmp_path, (4, 2), rank_pattern={"0.attention.self.query": 3}, use_rslora=True)
    combine_folders(folders, tmp_path / "out", Combination("cat", (0.7, 0.5)))
    torch.manual_seed(0)
    base = transformers.BertModel(transformers.BertConfig(**SIZES)).eval()
    again = peft.PeftModel.from_pretrained(base, tmp_path / "out")
    first, second = (updates_of(model, name) for name in NAMES)
    found = updates_of(again, "default")
    assert set(found) == {*first, *second}
    for path, update in found.items():
        exact = 0.7 * first.get(path, np.zeros_like(update)) + 0.5 * second.get(path, np.zeros_like(update))
        assert_near(update, exact, 1e-5, what=path)


def test_random_entries_are_kept_as_often_as_said_and_the_same_every_time():
    rng = np.random.default_rng(0)
    given = {0: Factors(rng.normal(size=(8, 4000)), rng.normal(size=(40, 8)), 1.0)}
    combination = Combination("dare_linear", (1.0,), 0.3)
    found, again = combine("m", given, combination), combine("m", given, combination)
    assert found.a.tobytes() == again.a.tobytes()
    kept = found.a != 0
    assert abs(kept.mean() - 0.3) < 0.01
    np.testing.assert_allclose(found.a[kept], given[0].a[kept] / 0.3, rtol=1e-6)
    other = combine("m", given, Combination("dare_linear", (1.0,), 0.3, seed=1))
    assert (other.a != found.a).any()


@pytest.mark.needs_pytorch
def test_the_command_writes_a_folder_and_refuses_by_name(tmp_path, capsys):
    _, folders = written(tmp_path)
    command = ["combine", *map(str, folders), "-o", str(tmp_path / "out"), "--method", "ties"]
    for more, said in (
        (["--weights", "1"], "one weight for each of the 2 adapters; received 1"),
        ([], "needs a density"),
        (["--density", "0.2", "--rank", "3"], "rank is for methods that end in svd"),
        (["--density", "0.2", "--head", "3"], "head must be the number of an adapter, 1 to 2; received 3"),
    ):
        assert main([*command, *more]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
    assert main([*command, "--density", "0.2", "--weights", "0.5", "0.5"]) == 0
    assert "combined 2 adapters by ties" in capsys.readouterr().out
    assert json.loads((tmp_path / "out" / "adapter_config.json").read_text())["lora_alpha"] == 4
    assert main([*command, "--density", "0.2"]) == 2
    path = folders[1] / "adapter_config.json"
    good = path.read_text()
    for entries, said in (
        ({"use_dora": True}, "use_dora = True is not supported"),
        ({"peft_type": "LOHA"}, "peft_type must be 'LORA'; received 'LOHA'"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights 'pissa'"),
    ):
        path.write_text(json.dumps(json.loads(good) | entries))
        with pytest.raises(InputError, match=said):
            combine_folders(folders, tmp_path / "other", Combination("cat", (1.0, 1.0)))


@pytest.mark.needs_pytorch
def test_ranks_that_differ_are_not_added_factor_by_factor(tmp_path):
    _, folders = written(tmp_path, (4, 2))
    with pytest.raises(InputError, match="have the ranks 2, 4"):
        combine_folders(folders, tmp_path / "out", Combination("linear", (0.5, 0.5)))


@pytest.mark.needs_pytorch
def test_heads_that_differ_are_not_combined_but_chosen(tmp_path):
    torch, transformers, peft = library()
    folders = []
    for number in range(2):
        torch.manual_seed(number)
        base = transformers.BertForSequenceClassification(transformers.BertConfig(**SIZES, num_labels=3))
        config = peft.LoraConfig(r=4, target_modules=["query"], task_type="SEQ_CLS")
        peft.get_peft_model(base, config).save_pretrained(tmp_path / str(number))
        folders.append(tmp_path / str(number))
    with pytest.raises(InputError, match="Say whose are kept: --head 1"):
        combine_folders(folders, tmp_path / "out", Combination("cat", (0.5, 0.5)))
    combine_folders(folders, tmp_path / "out", Combination("cat", (0.5, 0.5)), head=2)
    kept, second = read_folder(tmp_path / "out").others, read_folder(folders[1]).others
    assert set(kept) == set(second)
    for key, array in second.items():
        assert np.array_equal(kept[key], array)


def test_peft_finds_the_biases_of_modules_that_another_adapter_adapts(tmp_path):
    torch, transformers, peft = library()
    config = transformers.BertConfig(**SIZES)
    for number, module in enumerate(("query", "output.dense")):
        torch.manual_seed(number)
        wanted = peft.LoraConfig(r=2, lora_alpha=4, target_modules=[module], bias="all")
        model = peft.get_peft_model(transformers.BertModel(config), wanted)
        for parameter in model.parameters():
            if parameter.requires_grad:
                torch.nn.init.normal_(parameter)
        model.save_pretrained(tmp_path / NAMES[number])
    folders = [tmp_path / name for name in NAMES]
    combine_folders(folders, tmp_path / "out", Combination("cat", (0.5, 0.5)), head=2)
    opened = peft.PeftModel.from_pretrained(transformers.BertModel(config), tmp_path / "out")
    expected = {name.replace(".base_layer.", "."): array for name, array in model.named_parameters() if "bias" in name}
    found = {name.replace(".base_layer.", "."): array for name, array in opened.named_parameters() if "bias" in name}
    assert set(found) == set(expected)
    for name, array in expected.items():
        assert torch.equal(found[name], array), name


def test_adapters_of_two_models_of_the_hub_are_refused_wherever_they_stand(tmp_path):
    _, folders = written(tmp_path, (4, 4))
    shutil.copytree(folders[0], tmp_path / "third")
    listed = [folders[0], folders[1], tmp_path / "third"]
    for folder, name in zip(listed, ("somebody/bert", "somebody/bert", "somebody/another"), strict=True):
        settings = json.loads((folder / "adapter_config.json").read_text())
        (folder / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": name}))
    for order in ((0, 1, 2), (2, 1), (1, 2, 0)):
        given = [listed[number] for number in order]
        with pytest.raises(InputError, match="somebody/another"):
            combine_folders(given, tmp_path / "out", Combination("cat", (1.0,) * len(given)))
    combine_folders(listed[:2], tmp_path / "out", Combination("cat", (1.0, 1.0)))


@pytest.mark.parametrize("way", ["cat", "svd"])
def test_numbers_that_are_none_are_neither_read_nor_written(tmp_path, way):
    _, folders = written(tmp_path, (4, 4))
    with pytest.raises(InputError, match="finite numbers of float32"):
        combine_folders(folders, tmp_path / "out", Combination(way, (1e39, 1.0)))
    with pytest.raises(InputError, match="must fit into float32"):
        combine_folders(folders, tmp_path / "out", Combination(way, (3e38, 3e38)))
    arrays, metadata = load_arrays(folders[1] / "adapter_model.safetensors")
    key = sorted(arrays)[0]
    arrays[key].flat[0] = np.nan
    save_arrays(folders[1] / "adapter_model.safetensors", arrays, metadata)
    with pytest.raises(InputError, match=f"{key} of .* holds NaN"):
        combine_folders(folders, tmp_path / "out", Combination(way, (1.0, 1.0)))
    assert not (tmp_path / "out").exists()


def plain_folder(folder, factors, **settings):
    """An adapter folder without a model: ``factors`` by module path."""
    folder.mkdir()
    arrays = {f"base_model.model.{key}": np.asarray(array, np.float32) for key, array in factors.items()}
    save_arrays(folder / "adapter_model.safetensors", arrays)
    entries = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 2, "lora_alpha": 4} | settings
    (folder / "adapter_config.json").write_text(json.dumps(entries))
    return folder


def factors_at(*paths, rank=2, seed=0):
    random = np.random.default_rng(seed)
    sides = {"lora_A.weight": (rank, 4), "lora_B.weight": (4, rank)}
    return {f"{path}.{leaf}": random.normal(size=shape) for path in paths for leaf, shape in sides.items()}


@pytest.mark.parametrize(
    ("factors", "settings", "said"),
    [
        (factors_at("a"), {"lora_alpha": None}, "says rank 2 and alpha None for a, whose matrices have rank 2"),
        (factors_at("a", rank=0), {"r": 0}, "says rank 0 and alpha 4 for a, whose matrices have rank 0"),
        (factors_at("a"), {"r": 3}, "says rank 3 and alpha 4 for a, whose matrices have rank 2"),
        (factors_at("a"), {"rank_pattern": {"a": 1}}, "says rank 1 and alpha 4 for a, whose matrices have rank 2"),
        ({**factors_at("a"), "b.lora_B.weight": np.ones((4, 2))}, {}, r"lacks base_model\.model\.b\.lora_A\.weight"),
        (
            {**factors_at("a"), "b.lora_embedding_B": np.ones((4, 2))},
            {},
            r"lacks base_model\.model\.b\.lora_embedding_A",
        ),
    ],
)
def test_a_file_whose_scales_or_matrices_are_not_known_is_not_combined(tmp_path, factors, settings, said):
    first = plain_folder(tmp_path / "first", factors_at("a"))
    second = plain_folder(tmp_path / "second", factors, **settings)
    with pytest.raises(InputError, match=said):
        combine_folders([first, second], tmp_path / "out", Combination("cat", (0.5, 0.5)), head=2)
    assert not (tmp_path / "out").exists()


def test_peft_adapts_no_module_whose_path_ends_like_a_combined_one(tmp_path):
    torch, _, peft = library()

    class Nested(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.ModuleDict({"outer": torch.nn.ModuleDict({"query": torch.nn.Linear(4, 4)})})
            self.outer = torch.nn.ModuleDict({"query": torch.nn.Linear(4, 4)})

    folders = [plain_folder(tmp_path / str(seed), factors_at("outer.query", seed=seed)) for seed in range(2)]
    combine_folders(folders, tmp_path / "out", Combination("cat", (0.5, 0.5)))
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    config.pop("task_type")
    network = peft.inject_adapter_in_model(peft.LoraConfig(**config), Nested())
    assert [name for name, module in network.named_modules() if hasattr(module, "lora_A")] == ["outer.query"]
