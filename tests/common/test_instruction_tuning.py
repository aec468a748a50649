"""Instruction data: which tokens are predicted, against `transformers`' own marks and a naive implementation."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from datasets import Dataset

from common.backend.batch import IGNORE
from common.data import TextData, load_tokenizer
from common.data.chat import TEMPLATES, Template, template_of
from common.data.conversations import conversation
from common.errors import InputError
from common.tasks import TASKS
from common.tasks.instruction_tuning import InstructionTuning, InstructionTuningOptions
from common.training import fingerprints
from tests.support import tiny_spec

WORDS = ["the user asks what a token is", "a token is a part of a text , and so on .", "Write a poem about rivers."]
TALK = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is a token?"},
    {"role": "assistant", "content": "A part of a text."},
    {"role": "user", "content": "And a text?"},
    {"role": "assistant", "content": "Many tokens,\n\nin order."},
]
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start|>' + m['role'] + '<|stop|>\n\n' }}"
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] + '<|eot|>' }}{% endgeneration %}"
    "{% else %}{{ m['content'] + '<|eot|>' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start|>assistant<|stop|>\n\n' }}{% endif %}"
)
FORGETS = (  # as templates that leave earlier reasoning out
    "{% for m in messages %}<|start|>{{ m['role'] }}<|stop|>"
    "{% if m['role'] == 'assistant' and loop.last %}{{ '(thought) ' }}{% endif %}{{ m['content'] }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|start|>assistant<|stop|>{% endif %}"
)
ENDLESS = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
SPECIAL = ("<|im_start|>", "<|im_end|>", "<|start|>", "<|stop|>", "<|eot|>")


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer("bpe:400", WORDS * 5, SPECIAL)


def unmarked(source: str) -> str:
    return source.replace("{% generation %}", "").replace("{% endgeneration %}", "")


def task(**options) -> InstructionTuning:
    return InstructionTuning(InstructionTuningOptions(**options))


def encoded(tokenizer, rows, max_length=200, **options):
    columns, truncated = task(**options).encode(Dataset.from_list(rows), tokenizer, max_length)
    pairs = [(columns["input_ids"][i].tolist(), columns["labels"][i].tolist()) for i in range(len(rows))]
    return pairs, truncated


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("source", [*TEMPLATES.values(), LLAMA3], ids=[*TEMPLATES, "llama3"])
def test_answers_are_those_that_transformers_marks(tokenizer, source, last, monkeypatch):
    """Found without marks, by what a template adds to a prompt; and naively, answer by answer."""
    monkeypatch.setattr(tokenizer, "chat_template", unmarked(source))
    ids, chosen = template_of(tokenizer, "tokenizer").answers(TALK, "here", last)
    theirs = tokenizer.apply_chat_template(
        TALK, chat_template=source, return_dict=True, return_assistant_tokens_mask=True
    )
    marks = np.array(theirs["assistant_masks"])
    if last:
        marks[: len(marks) - int(np.argmax(marks[::-1] == 1)) - _last_run(marks)] = 0
    assert ids.tolist() == theirs["input_ids"]
    assert chosen.astype(int).tolist() == marks.tolist()
    text = tokenizer.apply_chat_template(TALK, chat_template=unmarked(source), tokenize=False)
    answers = [message["content"] for message in TALK if message["role"] == "assistant"][-1 if last else 0 :]
    found = [tokenizer.decode(run) for run in _runs(ids, chosen)]
    assert [part[: len(answer)] for part, answer in zip(found, answers, strict=True)] == answers
    assert all(part in text and len(part) > len(answer) for part, answer in zip(found, answers, strict=True))


def _last_run(marks) -> int:
    count, backwards = 0, marks[::-1][int(np.argmax(marks[::-1] == 1)) :]
    for mark in backwards:
        if not mark:
            break
        count += 1
    return count


def _runs(ids, chosen):
    runs, before = [], False
    for token, one in zip(ids, chosen, strict=True):
        if one:
            runs = runs if before else [*runs, []]
            runs[-1].append(int(token))
        before = one
    return runs


SPACED = "def f(x):\n    y = x\n\n  \n        return y   \n   #  end"


@pytest.mark.parametrize("marked", [False, True])
@pytest.mark.parametrize("trimmed", [False, True])
def test_tokens_of_spaces_alone_are_predicted(trimmed, marked):
    """Where a tokenizer leaves spaces out of what its tokens stand for, as Llama 3's and GPT-2's, too."""
    from tokenizers import processors

    tokenizer = load_tokenizer("bpe:400", [SPACED] * 5, SPECIAL)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=trimmed)
    space = "{{ ' ' }}" if marked else ""  # a mark may begin and end with one
    source = LLAMA3.replace("{% generation %}", "{% generation %}" + space).replace(
        "{% endgeneration %}", space + "{% endgeneration %}"
    )
    template = Template(tokenizer, source if marked else unmarked(source))
    talk = [*TALK[:2], {"role": "assistant", "content": SPACED}, *TALK[3:]]
    ids, chosen = template.answers(talk, "a talk")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(int), [0]])))
    found = [tokenizer.decode(ids[start:stop]).strip() for start, stop in edges.reshape(-1, 2)]
    assert found == [f"{SPACED}<|eot|>", f"{TALK[4]['content']}<|eot|>"]


@pytest.mark.parametrize("mark", ["{% generation %}", "{%- generation -%}", "{%generation%}"])
def test_every_spelling_of_a_mark_is_one(tokenizer, mark):
    whole = "{% generation %}{{ m['content'] + '<|eot|>' }}{% endgeneration %}"
    source = LLAMA3.replace(whole, mark + "{{ m['content'] }}{% endgeneration %}<|eot|>")
    ids, chosen = Template(tokenizer, source).answers(TALK[1:3], "a talk")
    assert tokenizer.decode(ids[chosen]) == TALK[2]["content"]


@pytest.mark.parametrize("answer", [">", "|>", "t|>", "e"])
def test_an_answer_may_read_as_the_end_of_its_end(tokenizer, answer):
    template = Template(tokenizer, unmarked(LLAMA3))
    ids, chosen = template.answers([TALK[1], {"role": "assistant", "content": answer}], "a talk")
    assert tokenizer.decode(ids[chosen]) == f"{answer}<|eot|>"


@pytest.mark.parametrize("trimmed", [False, True])
@pytest.mark.parametrize("marked", [False, True])
def test_an_answer_that_takes_in_a_space_of_the_template_is_refused(marked, trimmed):
    """In training its first token is " yes", and a model is asked with the space alone."""
    from tokenizers import processors

    tokenizer = load_tokenizer("bpe:400", ["user: yes assistant: yes yes yes"] * 5, SPECIAL)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=trimmed)
    said = "{% generation %}{{ m['content'] + '<|eot|>' }}{% endgeneration %}"
    for space, refused in ((" ", True), ("\n", False), ("", False)):
        source = f"{{% for m in messages %}}{{{{ m['role'] + ':{space}' }}}}{said}{{% endfor %}}"
        source += f"{{% if add_generation_prompt %}}assistant:{space}{{% endif %}}"
        template = Template(tokenizer, source if marked else unmarked(source))
        talk = [{"role": "user", "content": "yes"}, {"role": "assistant", "content": "yes"}]
        if refused:
            with pytest.raises(InputError, match="a talk: an answer must begin with a token of its own"):
                template.answers(talk, "a talk")
        else:
            assert tokenizer.decode(template.answers(talk, "a talk", last=True)[0]).endswith("yes<|eot|>")


@pytest.mark.parametrize("marked", [False, True])
def test_the_last_answer_is_that_of_the_last_message(tokenizer, marked):
    """Also where it follows another without a token between them, and where a template marks two parts of it."""
    source = "{% for m in messages %}{% generation %}{{ m['content'] + '<|eot|>' }}{% endgeneration %}{% endfor %}"
    talk = [{"role": "assistant", "content": "A token."}, {"role": "assistant", "content": "Many tokens."}]
    template = Template(tokenizer, source if marked else unmarked(source))
    ids, chosen = template.answers(talk, "a talk", last=True)
    assert tokenizer.decode(ids[chosen]) == "Many tokens.<|eot|>"
    if marked:
        parts = source.replace("m['content'] +", "m['content'] }}{% endgeneration %}<|stop|>{% generation %}{{")
        ids, chosen = Template(tokenizer, parts).answers(talk, "a talk", last=True)
        assert tokenizer.decode(ids[chosen]) == "Many tokens.<|eot|>"


def test_labels_are_the_tokens_that_follow(tokenizer):
    [(inputs, labels)], truncated = encoded(tokenizer, [{"text": TALK}], template="plain")
    ids, chosen = template_of(tokenizer, "plain").answers(TALK, "here")
    stop = np.flatnonzero(chosen)[-1] + 1
    assert inputs == ids[: stop - 1].tolist()  # what stands after the last answer is left out
    assert labels == [int(ids[t + 1]) if chosen[t + 1] else IGNORE for t in range(stop - 1)]
    assert labels[-1] == tokenizer.eos_token_id
    assert truncated == 0


def test_an_instruction_is_a_conversation_of_two(tokenizer):
    rows = [{"prompt": "Name a river.", "text_pair": "In Europe.", "text": "The Rhine."}]
    rows += [{"prompt": "Name a river.", "text_pair": "", "text": "The Nile."}]
    talks = [
        [{"role": "user", "content": "Name a river.\n\nIn Europe."}, {"role": "assistant", "content": "The Rhine."}],
        [{"role": "user", "content": "Name a river."}, {"role": "assistant", "content": "The Nile."}],
    ]
    found, _ = encoded(tokenizer, rows, template="plain", system="Be brief.")
    begun = [[{"role": "system", "content": "Be brief."}, *talk] for talk in talks]
    assert found == encoded(tokenizer, [{"text": talk} for talk in begun], template="plain")[0]
    assert found != encoded(tokenizer, rows, template="plain")[0]


def test_a_prompt_is_what_an_answer_follows_in_training(tokenizer):
    chosen = task(template="chatml", system="Be brief.")
    [(inputs, labels)], _ = encoded(tokenizer, [{"text": TALK[1:3]}], template="chatml", system="Be brief.")
    [alone], [turns] = (
        chosen.prompt_ids([prompt], tokenizer, ["text"]) for prompt in ("What is a token?", [dict(TALK[1])])
    )
    first = next(number for number, label in enumerate(labels) if label != IGNORE)
    assert alone == turns == inputs[: first + 1]
    ends, texts = chosen.ends(tokenizer)
    assert set(ends) == {tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert texts == ()
    assert labels[-1] in ends


def test_a_template_that_alters_earlier_turns_is_refused_or_trains_the_last(tokenizer, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", FORGETS)
    with pytest.raises(
        InputError, match=r"Example 1: the chat template writes earlier messages in another way.*turns: last"
    ):
        encoded(tokenizer, [{"text": TALK}])
    [(_, labels)], _ = encoded(tokenizer, [{"text": TALK}], turns="last")
    answer = tokenizer.decode([label for label in labels if label != IGNORE])
    assert answer == "(thought) Many tokens,\n\nin order.<|eot|>"


@pytest.mark.parametrize(
    ("source", "rows", "message"),
    [
        (None, [{"text": TALK}], "has no chat template.*plain, chatml"),
        (ENDLESS, [{"text": TALK}], "writes no end after an answer"),
        (LLAMA3, [{"text": TALK[:2]}], "Example 1: a conversation with an answer"),
        (LLAMA3, [{"text": [{"role": "user", "content": "a <|eot|> b"}, TALK[2]]}], r"special tokens.*<\|eot\|>"),
        (
            "{{ raise_exception('roles must alternate') }}",
            [{"text": TALK}],
            "refuses the messages: roles must alternate",
        ),
    ],
)
def test_what_cannot_be_written_is_refused(tokenizer, source, rows, message, monkeypatch):
    monkeypatch.setattr(tokenizer, "chat_template", source)
    with pytest.raises(InputError, match=message):
        encoded(tokenizer, rows)


def test_what_is_too_long_is_cut_and_counted_or_refused(tokenizer):
    [(inputs, labels)], truncated = encoded(tokenizer, [{"text": TALK}], 60, template="plain")
    assert (len(inputs), len(labels), truncated) == (60, 60, 1)
    with pytest.raises(InputError, match=r"Example 1: its first answer begins after \d+ tokens"):
        encoded(tokenizer, [{"text": TALK}], 20, template="plain")


def test_both_forms_of_messages_are_read_and_others_refused():
    sharegpt = [{"from": "human", "value": " Hi "}, {"from": "gpt", "value": "Hello!"}]
    assert conversation(sharegpt, "here") == [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
    ]
    for wrong, message in (
        ([{"role": "tool", "content": "x"}], "here, message 1: the role must be one of"),
        ([{"role": "user"}], '"role" and "content", or "from" and "value"'),
        ([{"role": "assistant", "content": "x", "tool_calls": [1]}], "without calls of tools"),
        ([{"role": "user", "content": "  "}], "a text was expected"),
        ("Hi", "a list of messages was expected"),
    ):
        with pytest.raises(InputError, match=message):
            conversation(wrong, "here")


def test_another_template_is_another_start_of_a_run(tokenizer, monkeypatch):
    """Of a task that writes with it: what a run reads is compared when it is resumed, and identifies it in a study."""
    data = TextData({"train": Dataset.from_dict({"text": ["a"]})}, None, frozenset())
    found = {}
    for task in ("instruction-tuning", "language-modeling"):
        for name in ("plain", "chatml"):
            monkeypatch.setattr(tokenizer, "chat_template", TEMPLATES[name])
            given = SimpleNamespace(
                spec=tiny_spec("gpt2"), tokenizer=tokenizer, data=data, task=TASKS.get(task), teacher=None
            )
            found[task, name] = fingerprints.of_inputs(given)
    assert found["instruction-tuning", "plain"] != found["instruction-tuning", "chatml"]
    assert found["language-modeling", "plain"] == found["language-modeling", "chatml"]


def test_another_template_is_another_entry_of_the_cache(tokenizer, monkeypatch):
    from common.data.encoding import _cache_path

    rows, paths = Dataset.from_list([{"text": "x"}]), set()
    for source in (None, LLAMA3, FORGETS):
        monkeypatch.setattr(tokenizer, "chat_template", source)
        paths.add(_cache_path("task", rows, tokenizer, 8))
    assert len(paths) == 3


ALPACA = [
    {"instruction": f"Say {n} in words.", "input": "" if n % 2 else "loudly", "output": f"The number {n}."}
    for n in range(12)
]
MESSAGES = [
    {"messages": [{"role": "user", "content": f"Say {n}."}, {"role": "assistant", "content": f"It is {n}."}]}
    for n in range(12)
]
SHAREGPT = [
    {"id": f"x{n}", "conversations": [{"from": "human", "value": f"Say {n}."}, {"from": "gpt", "value": f"It is {n}."}]}
    for n in range(12)
]


@pytest.mark.parametrize(("rows", "suffix"), [(ALPACA, "json"), (MESSAGES, "jsonl"), (SHAREGPT, "json")])
def test_init_recognises_instruction_data(rows, suffix, tmp_path, monkeypatch, capsys):
    from common.cli.main import main
    from common.config import load_config
    from common.data import load_dataset

    monkeypatch.chdir(tmp_path)
    lines = "\n".join(map(json.dumps, rows)) if suffix == "jsonl" else json.dumps(rows)
    (tmp_path / f"data.{suffix}").write_text(lines)
    assert main(["init", f"data.{suffix}"]) == 0
    config = load_config(str(tmp_path / "data.yaml"), [])
    assert config.model.task == "instruction-tuning"
    data = load_dataset(config.data, TASKS.get(config.model.task))
    assert sum(map(len, data.splits.values())) == 12
    named = {"prompt", "text", "text_pair"} if rows is ALPACA else {"text"}
    assert set(data.splits["train"].column_names) == named
    assert "instruction-tuning" in capsys.readouterr().out


def test_perplexity_through_a_window_is_none_of_conversations(tmp_path):
    """They are no packed text; a table of messages has one column too."""
    from common.config.schema import DataConfig
    from common.training.perplexity import corpus_perplexity

    (tmp_path / "train.jsonl").write_text((json.dumps({"text": TALK}) + "\n") * 3)
    data = DataConfig("files", None, {"train": str(tmp_path / "train.jsonl")}, "text", None, None, None, 64, 8, {})
    trained = SimpleNamespace(
        config=SimpleNamespace(data=data), task=TASKS.get("instruction-tuning"), spec=SimpleNamespace(head=None)
    )
    with pytest.raises(InputError, match=r"Perplexity with a stride is that of packed text.*Leave --stride out"):
        corpus_perplexity(trained, None, "validation", 8)
