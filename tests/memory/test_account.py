"""The account of a step's memory: what is counted, against torch itself, published figures and the formula."""

from __future__ import annotations

import json

import pytest

from common import backend
from common.cli.main import main
from common.config import load_config
from common.errors import InputError
from common.memory import Account, take
from common.memory.account import PARTS

GIB = 2**30
BASE = ("model.source=null", "model.tokenizer=bpe:30522", "model.dropout=0.1",
        'model.config={"model_type": "bert", "vocab_size": 30522}')  # fmt: skip
TINY = ("model.source=null", "model.tokenizer=bpe:300", "model.dropout=0.1")
TINY_BERT = (*TINY, 'model.config={"model_type": "bert", "hidden_size": 16, "num_hidden_layers": 3, '
                    '"num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32}')  # fmt: skip
TINY_GPT2 = (*TINY, 'model.config={"model_type": "gpt2", "n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 32}')
NARROW = (*TINY, 'model.config={"embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, '
                          '"intermediate_size": 24, "max_position_embeddings": 32, "model_type": "%s"}')  # fmt: skip
TINY_DISTILBERT = (*TINY, 'model.config={"model_type": "distilbert", "dim": 16, "n_layers": 3, "n_heads": 2, '
                          '"hidden_dim": 24, "max_position_embeddings": 32}')  # fmt: skip
DENSE = "adaptation.targets=['*.query', '*.key', '*.value', '*.dense']"
ATTENTION = "adaptation.targets=['*.query', '*.value']"
FULL = 'adaptation={"method": "full"}'


def config(experiment: str, *overrides: str):
    return load_config(experiment, list(overrides), "memory")


def account(backend_name: str, experiment: str, *overrides: str, rows: int = 16, length: int = 512) -> Account:
    return take(backend.load(backend_name), config(experiment, *overrides), rows, length)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((FULL,), 11.39),
        ((ATTENTION, "adaptation.rank=8", "adaptation.dropout=0.1"), 8.82),
        ((DENSE, "adaptation.rank=8", "adaptation.dropout=0.1"), 11.33),
        ((DENSE, "adaptation.rank=8", "adaptation.dropout=0"), 10.17),
    ],
    ids=["full", "query-value", "all", "all-no-dropout"],
)
def test_the_study_of_bert_base_at_16_by_512_is_accounted_for_within_5_percent(overrides, expected):
    pytest.importorskip("peft")
    from common.memory.peer import of_peft

    found = of_peft(config("bert_emotion", *BASE, *overrides), 16, 512)
    assert found.total / GIB == pytest.approx(expected, rel=0.05)


@pytest.mark.needs_pytorch
def test_what_is_counted_without_storage_is_what_real_tensors_keep():
    """The same network with values, its saved tensors counted by other code (`measuring.saved_bytes`)."""
    import torch

    from common.memory.outline import outlined
    from common.models.loading import load_model_spec
    from common.tasks.example import example_batch
    from common.training.assembly import build_engine
    from pytorch_impl import measuring

    settings = config("bert_emotion", *TINY_BERT, DENSE, "adaptation.rank=2", "adaptation.dropout=0.1")
    outline, plan = outlined(settings)
    spec = load_model_spec(settings.model, tuple(outline.config["id2label"].values()), 300, 0, 1)
    pytorch = backend.load("pytorch")
    engine = build_engine(pytorch, "cpu", settings, spec, plan)
    batch = example_batch(spec, [32, 20, 32, 8], "memory")  # with padding, as the account supposes
    expected = measuring.saved_bytes(lambda: engine.train_step([batch], 1e-3), engine.model)
    found = account("pytorch", "bert_emotion", *TINY_BERT, DENSE, "adaptation.rank=2", "adaptation.dropout=0.1",
                    rows=4, length=32)  # fmt: skip
    assert found.part("activations") == expected
    assert found.part("weights") == sum(4 * p.numel() for p in engine.model.parameters())
    assert found.trained == sum(p.numel() for p in engine.model.parameters() if p.requires_grad)
    assert torch.get_default_device().type == "cpu"


@pytest.mark.needs_pytorch
@pytest.mark.parametrize(
    "overrides",
    [
        ("bert_emotion", *TINY_BERT, FULL),
        ("bert_emotion", *TINY_BERT, 'adaptation={"method": "head"}'),
        ("bert_emotion", *TINY_BERT, ATTENTION, "adaptation.rank=4", "adaptation.dropout=0.1"),
        ("bert_emotion", *TINY_BERT, DENSE, "adaptation.rank=4"),
        ("bert_emotion", *TINY_BERT, "adaptation.targets=['*.1.*.dense']", "adaptation.rank=4"),
        ("bert_emotion", *TINY_DISTILBERT, FULL),
        ("bert_emotion", *NARROW[:-1], NARROW[-1] % "electra", FULL),
        ("bert_emotion", *NARROW[:-1], NARROW[-1] % "albert", ATTENTION, "adaptation.rank=4"),
        ("gpt2_e2e", *TINY_GPT2, FULL),
        ("gpt2_e2e", *TINY_GPT2, "adaptation.targets=['*.attn.c_attn[q,v]', '*.mlp.c_fc']", "adaptation.rank=4"),
    ],
    ids=[
        "full",
        "head",
        "query-value",
        "dense",
        "one-layer",
        "distilbert",
        "electra",
        "albert",
        "gpt2-full",
        "gpt2-slices",
    ],
)
def test_the_formula_agrees_with_what_is_counted_of_the_same_layers(overrides):
    """At sizes at which ids and the head, which the formula leaves out, weigh something; it is compared by component."""
    from common.memory.account import assemble, components_of
    from common.memory.formula import kept
    from common.memory.outline import outlined
    from common.training.assembly import engine_settings
    from pytorch_impl.accounting import KEEPS, held

    settings = config(*overrides)
    spec, plan = outlined(settings)
    counted, _ = held(spec, plan, engine_settings(settings), 8, 32)
    by_formula = type(counted)(counted.weights, counted.trained, kept(spec, plan, 8, 32, KEEPS))
    components = components_of(spec, [edit.path for edit in plan.edits])
    left, right = (assemble(one, components, {}).components for one in (counted, by_formula))
    for name in ("attention", "feed-forward", "norms", "adapters"):
        expected, found = (rows.get(name, {}).get("activations", 0) for rows in (left, right))
        assert found == pytest.approx(expected, rel=0.02), name


NETWORKS = {
    "textcnn": ('model.config={"model_type": "textcnn", "embedding_size": 8, "filters": 4}', FULL),
    "bert": (*TINY_BERT[2:], ATTENTION),
}


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("added", [(), ("<new>", "<newer>")])
def test_the_outline_has_the_rows_of_a_tokenizer_that_is_there_and_of_added_tokens(tmp_path, network, added):
    from common.data import load_tokenizer, save_tokenizer
    from common.memory.outline import outlined
    from common.models.checkpoint import save_pretrained
    from common.training.assembly import describe

    save_tokenizer(load_tokenizer("words:12", ["a few words of a small text"]), tmp_path / "words")
    given = ["model.source=null", f"model.tokenizer={tmp_path / 'words'}", "data.max_length=16", *NETWORKS[network]]
    given.append(f"model.add_tokens={json.dumps(added)}")

    def compared(*overrides):
        """The model in full, whose shapes are those of the outline."""
        settings = config("bert_emotion", *overrides)
        tokenizer = load_tokenizer(str(tmp_path / "words"), added=settings.model.add_tokens)
        outline, planned = outlined(settings)
        spec, plan = describe(settings, tuple(outline.config["id2label"].values()), tokenizer)
        assert outline.shapes() == spec.shapes()
        assert planned.shapes() == plan.shapes()
        return spec, tokenizer

    spec, tokenizer = compared(*given)
    save_pretrained(tmp_path / "base", spec, spec.arrays)
    save_tokenizer(tokenizer, tmp_path / "words")
    more = [f"model.source={tmp_path / 'base'}", f"model.add_tokens={json.dumps(['<third>'] if added else [])}"]
    compared(*(entry for entry in given[1:-1] if not entry.startswith("model.config=")), *more)


@pytest.mark.needs_pytorch
def test_recomputing_layers_and_bfloat16_hold_less():
    plain, recomputed, narrow = (
        account("pytorch", "bert_emotion", *BASE, ATTENTION, "adaptation.rank=8", *more)
        for more in ((), ("training.recompute=true",), ("training.dtype=bf16",))
    )
    assert recomputed.part("activations") < 0.2 * plain.part("activations")
    assert recomputed.part("weights") == plain.part("weights")
    assert narrow.total < 0.75 * plain.total


@pytest.mark.needs_mindspore
def test_mindspore_is_accounted_for_by_formula_and_refuses_layers_without_one():
    found = account("mindspore", "bert_emotion", *BASE, ATTENTION, "adaptation.rank=8", "adaptation.dropout=0.1")
    assert found.about["way"] == "by formula"
    probabilities = 4 * 16 * 12 * 512 * 512
    assert found.components["attention"]["activations"] > 11 * 3 * probabilities  # one of twelve reads one position
    with pytest.raises(InputError, match="has no formula"):
        account(
            "mindspore", "bert_emotion", *BASE, 'adaptation={"method": "bottleneck", "targets": ["*.output.dense"]}'
        )


@pytest.mark.needs_pytorch
def test_the_command_prints_a_table_and_json(capsys):
    given = ["memory", "bert_emotion", "--batch", "4", "--length", "32"]
    given += [word for override in TINY_BERT for word in ("--set", override)]
    assert main(given) == 0
    text = capsys.readouterr().out
    assert "4 x 32 tokens" in text
    assert text.splitlines()[-2].startswith("total")
    assert main([*given, "--json", "--peer"]) == 0
    accounts = json.loads(capsys.readouterr().out)
    assert [one["backend"] for one in accounts] == ["pytorch", "transformers, PEFT"]
    assert all(one["total"] == sum(one[part] for part in PARTS) for one in accounts)


@pytest.mark.parametrize(
    ("given", "message"),
    [(["--length", "33"], "32 positions"), (["--batch", "-1"], "at least 1"), (["--backend", "jax"], "jax")],
)
def test_sizes_that_do_not_fit_are_refused(capsys, given, message):
    words = [word for override in TINY_BERT for word in ("--set", override)]
    assert main(["memory", "bert_emotion", "--batch", "4", "--length", "32", *words, *given]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("experiment", ["rnn_characters", "han_imdb", "bilstm_cnn_ud_pos", "seq2seq_copy"])
def test_recurrent_layers_are_refused_since_their_kernels_do_not_show_what_they_keep(experiment):
    with pytest.raises(InputError, match="recurrent layers"):
        account("pytorch", experiment, rows=2, length=8)


@pytest.mark.needs_pytorch
@pytest.mark.parametrize("tokenizer", ["words:50", "tokens:50", "characters:50"])
def test_a_table_of_words_has_the_size_that_its_tokenizer_is_trained_for(tokenizer):
    entries = 'model.config={"model_type": "textcnn", "embedding_size": 4, "filters": 2, "kernel_sizes": [2]}'
    found = account("pytorch", "textcnn_sst2", entries, f"model.tokenizer={tokenizer}", rows=2, length=8)
    assert found.trained == 50 * 4 + (4 * 2 * 2 + 2) + (2 * 2 + 2)


@pytest.mark.needs_pytorch
def test_words_of_a_file_of_vectors_have_rows_too(tmp_path):
    (tmp_path / "v.txt").write_text("one 1 2 3 4\ntwo 1 2 3 4\nthree 1 2 3 4\n")
    entries = 'model.config={"model_type": "textcnn", "embedding_size": 4, "filters": 2, "kernel_sizes": [2]}'
    given = ("model.tokenizer=words:50", f"model.vectors={tmp_path / 'v.txt'}", "model.vectors_vocabulary=true")
    found = account("pytorch", "textcnn_sst2", entries, *given, rows=2, length=8)
    assert found.trained == 53 * 4 + (4 * 2 * 2 + 2) + (2 * 2 + 2)
