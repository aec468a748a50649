"""The demonstration's text: real prose from this Python, the same every time, with nothing shared between splits and
domains."""

import pytest

from common.data.readers import read_table
from common.demo import corpus
from common.errors import InputError


@pytest.fixture(scope="module")
def domains():
    return corpus.gather()


def test_there_is_enough_text_in_both_domains(domains):
    docstrings, reference = domains
    assert docstrings.name == "docstrings"
    assert reference.name == "reference"
    assert docstrings.characters > 500_000
    assert reference.characters > 150_000
    assert all(sum(map(len, domain.validation)) > 10_000 for domain in domains)


def test_no_paragraph_stands_twice_anywhere(domains):
    everything = [paragraph for domain in domains for paragraph in (*domain.train, *domain.validation)]
    assert len(set(everything)) == len(everything)


def test_the_text_is_known_documentation(domains):
    docstrings, reference = domains
    assert "Record of phased-in incompatible language changes." in docstrings.train + docstrings.validation
    assert any(
        paragraph.startswith("Assert statements are a convenient way")
        for paragraph in reference.train + reference.validation
    )


def test_documents_are_held_out_whole():
    documents = {f"document {index}": [f"{index} {part}" for part in range(3)] for index in range(200)}
    domain = corpus._split("any", documents, set())
    owners = [{paragraph.split()[0] for paragraph in split} for split in (domain.train, domain.validation)]
    assert owners[0].isdisjoint(owners[1])
    assert len(domain.train) + len(domain.validation) == 600


def test_what_a_held_out_document_shares_with_others_is_held_out():
    documents = {f"document {index}": ["shared", f"own {index}"] for index in range(200)}
    domain = corpus._split("any", documents, {"own 7"})
    assert domain.validation.count("shared") == 1
    assert "shared" not in domain.train
    assert "own 7" not in domain.train + domain.validation


@pytest.mark.parametrize(
    "block",
    [
        "Too short a sentence here.",
        "a sentence that begins with no capital letter at all.",
        "A heading of many words but without an end",
        ">>> Call this function with many words and see.",
        "The rule is name ::= letter and many more words here.",
        "Values are 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15.",
        "Parameters `x` {y} [z] <w> |v| =u= #t# @s@ %r% ^q^ end.",
        "Na\u00efve words of another language in one long sentence.",
    ],
)
def test_what_is_no_prose_is_left_out(block):
    assert corpus.paragraphs(block) == []


def test_paragraphs_lose_line_breaks_and_typographic_quotes():
    text = "Return the \u201clargest\u201d\n    item of the\titerable given.\n \n\nTitle\n=====\n\nIt\u2019s an error if there is nothing in it."
    assert corpus.paragraphs(text) == [
        'Return the "largest" item of the iterable given.',
        "It's an error if there is nothing in it.",
    ]


def test_broken_and_foreign_source_is_passed_over(tmp_path):
    (tmp_path / "broken.py").write_text("def (")
    (tmp_path / "latin.py").write_bytes(b'# coding: nonsense\n"""Caf\xe9."""')
    (tmp_path / "nul.py").write_bytes(b"\0")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "skipped.py").write_text('"""The tests of the library are not read at all."""')
    (tmp_path / "good.py").write_text(
        'raise SystemExit\nclass A:\n    def f(self):\n        """The source is read and never run by the reader."""\n'
    )
    documents = corpus._docstrings(tmp_path)
    assert {title: texts for title, texts in documents.items() if texts} == {
        "good.py": ["The source is read and never run by the reader."]
    }


def test_an_installation_without_source_is_refused(tmp_path):
    with pytest.raises(InputError, match="found no docstrings text"):
        corpus._split("docstrings", corpus._docstrings(tmp_path), set())


def test_written_files_are_read_back_as_the_same_paragraphs(domains, tmp_path):
    folder = corpus.write_domain(domains[1], tmp_path)
    assert read_table(folder / "train.txt").columns["text"] == list(domains[1].train)
    assert read_table(folder / "validation.txt").columns["text"] == list(domains[1].validation)
