"""The registered data sets: where each lives on the hub, its columns, label names and local file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["DATASETS", "FILES", "HUB", "OWN", "SPLITS", "DatasetEntry"]

SPLITS = ("train", "validation", "test")
_PARQUET = "refs/convert/parquet"  # the hub's own conversion of data sets that were published as a script
FILES = "files"  #: the name under which users bring their own files
HUB = "hub"  #: the name under which they bring a data set of the hub that is not registered
OWN = (FILES, HUB)  #: names under which users name the columns


@dataclass(frozen=True)
class DatasetEntry:
    """One data set.

    ``roles`` says what its columns are for: role (``text``, ``text_pair``, ``label``, ``prompt``, ...; a task reads the
    roles it names) to every accepted column name, the hub's first, then those of local forms.
    """

    roles: Mapping[str, tuple[str, ...]]
    label_names: tuple[str, ...] | None = None  #: by class index; None: the sorted labels of the training split
    hub: str = ""
    hub_config: str | None = None
    splits: tuple[str, ...] = SPLITS  #: as published; a missing validation split is carved from train
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  #: what splits, and further ones, are called
    separator: str | None = None  #: of fields in local .txt and .tsv files
    columns: tuple[str, ...] = ()  #: of local files that have no header
    optional: int = 0  #: how many of the last ``columns`` a line may lack
    label_first: bool = False  #: local files may also hold ``label text`` lines
    hub_revision: str | None = None  #: branch of the hub's repository
    files: Mapping[str, str] = field(default_factory=dict)  #: split to the publisher's file name, a glob
    word_lines: bool = False  #: local files that are no tables hold one word a line, with ``columns``
    held_out: tuple[str, tuple[str, ...]] | None = None  #: a file with the ids of the training rows that are the
    #: validation split, where no file has these, and the columns of the training file that hold ids
    damaged: bool = False  #: lines that lack fields are left out, as in the hub's copy, and texts may be empty
    label_separator: str | None = None  #: between the labels of one example, where a field holds several
    counted: str | None = None  #: column of local files that holds the number of the class, from 1
    joined: tuple[str, ...] = ()  #: columns of local files that make up the text, with a space between them
    folders: Mapping[str, str] = field(default_factory=dict)  #: subfolder of a split, of one file a text, to class
    reader: str | None = None  #: module of `common.data.formats` that reads the publisher's files
    layout: str = ""  #: what that module looks for, for messages

    def all_splits(self) -> tuple[str, ...]:
        """The usual splits, then the further ones."""
        return tuple(dict.fromkeys((*SPLITS, *self.names)))


def _glue(config: str, text: tuple[str, ...], pair: tuple[str, ...], classes: tuple[str, ...], **more) -> DatasetEntry:
    """Sentence pairs of GLUE (Wang et al. 2019): on the hub, or in GLUE's own folders of unquoted .tsv files."""
    label = {"label": more.pop("label", ("label",))} if classes else {}
    roles = {"text": text, "text_pair": pair} | label | more.pop("roles", {})
    return DatasetEntry(roles, classes or None, "nyu-mll/glue", config, separator="\t", **more)


_SENTENCES = (("sentence1",), ("sentence2",))
_ENTAILMENT = ("entailment", "not_entailment")

DATASETS = {
    "sst2": DatasetEntry(
        roles={"text": ("sentence", "text"), "label": ("label",)},
        label_names=("negative", "positive"),
        hub="stanfordnlp/sst2",
        separator="\t",
        columns=("text", "label"),
        label_first=True,
    ),
    "cola": DatasetEntry(
        roles={"text": ("sentence",), "label": ("label",)},
        label_names=("unacceptable", "acceptable"),
        hub="nyu-mll/glue",
        hub_config="cola",
        separator="\t",
        columns=("source", "label", "mark", "sentence"),
    ),
    "rte": _glue("rte", *_SENTENCES, _ENTAILMENT),
    "qnli": _glue("qnli", ("question",), ("sentence",), _ENTAILMENT),
    "wnli": _glue("wnli", *_SENTENCES, ("not_entailment", "entailment")),
    "mnli": _glue(
        "mnli",
        ("premise", "sentence1"),
        ("hypothesis", "sentence2"),
        ("entailment", "neutral", "contradiction"),
        label=("label", "gold_label"),
        names={
            "validation": ("validation_matched", "dev_matched"),
            "test": ("test_matched",),
            "validation_mismatched": ("dev_mismatched",),
            "test_mismatched": (),
        },
    ),
    "qqp": _glue(
        "qqp",
        ("question1",),
        ("question2",),
        ("not_duplicate", "duplicate"),
        label=("label", "is_duplicate"),
        damaged=True,
    ),
    "mrpc": _glue(
        "mrpc",
        ("sentence1", "#1 String"),
        ("sentence2", "#2 String"),
        ("not_equivalent", "equivalent"),
        label=("label", "Quality"),
        names={"train": ("msr_paraphrase_train",), "test": ("msr_paraphrase_test",)},
        held_out=("dev_ids.tsv", ("#1 ID", "#2 ID")),
    ),
    "stsb": _glue(
        "stsb",
        *_SENTENCES,
        (),
        roles={"score": ("label", "score")},
        names={"train": ("sts-train",), "validation": ("sts-dev",), "test": ("sts-test",)},
        columns=("genre", "filename", "year", "id", "score", "sentence1", "sentence2", "source1", "source2"),
        optional=2,
    ),
    "imdb": DatasetEntry(
        roles={"text": ("text",), "label": ("label",)},
        label_names=("negative", "positive"),
        hub="stanfordnlp/imdb",
        splits=("train", "test"),
        folders={"neg": "negative", "pos": "positive"},
    ),
    "ag_news": DatasetEntry(
        roles={"text": ("text",), "label": ("label",)},
        label_names=("World", "Sports", "Business", "Sci/Tech"),
        hub="fancyzhx/ag_news",
        splits=("train", "test"),
        columns=("Class Index", "Title", "Description"),
        counted="Class Index",
        joined=("Title", "Description"),
    ),
    "emotion": DatasetEntry(
        roles={"text": ("text",), "label": ("label", "label_name")},
        label_names=("sadness", "joy", "love", "anger", "fear", "surprise"),
        hub="dair-ai/emotion",
        hub_config="split",
        separator=";",
        columns=("text", "label"),
    ),
    "snips": DatasetEntry(
        roles={"text": ("text",), "label": ("category", "label")},
        label_names=(
            "AddToPlaylist",
            "BookRestaurant",
            "GetWeather",
            "PlayMusic",
            "RateBook",
            "SearchCreativeWork",
            "SearchScreeningEvent",
        ),
        hub="benayas/snips",
        splits=("train", "test"),  # on the hub; the usual local form has a validation file, which is then used
        separator="\t",
        columns=("text", "label"),
    ),
    "wikitext2": DatasetEntry(roles={"text": ("text",)}, hub="Salesforce/wikitext", hub_config="wikitext-2-v1"),
    "e2e": DatasetEntry(
        roles={"text": ("human_reference", "ref", "completion"), "prompt": ("meaning_representation", "mr", "context")},
        hub="tuetschek/e2e_nlg",
        reader="e2e_lines",
        layout="train.txt, valid.txt and test.txt of lines context||completion",
    ),
    "webnlg": DatasetEntry(
        roles={"text": ("completion",), "prompt": ("context",)},
        names={"test_seen": (), "test_unseen": ()},
        reader="webnlg",
        layout="the folders train, dev and test of the challenge of 2017, or train.json, dev.json and test.json",
    ),
    "dart": DatasetEntry(
        roles={"text": ("completion",), "prompt": ("context",)},
        reader="dart",
        layout="dart-v1.1.1-full-train.json, -dev.json and -test.json",
    ),
    "multi30k": DatasetEntry(
        roles={"prompt": ("de",), "text": ("en",)},
        hub="bentrevett/multi30k",
        reader="multi30k",
        layout="train.de, train.en, val.de, val.en, test_2016_flickr.de and test_2016_flickr.en (or .gz)",
    ),
    "wnut17": DatasetEntry(
        roles={"words": ("tokens",), "tags": ("ner_tags", "tags")},
        label_names=(
            "O",
            *("B-corporation", "I-corporation", "B-creative-work", "I-creative-work", "B-group", "I-group"),
            *("B-location", "I-location", "B-person", "I-person", "B-product", "I-product"),
        ),
        hub="leondz/wnut_17",
        hub_revision=_PARQUET,
        separator="\t",
        columns=("tokens", "tags"),
        files={"train": "wnut17train.conll", "validation": "emerging.dev.conll", "test": "emerging.test.annotated"},
        word_lines=True,
    ),
    "conll2003": DatasetEntry(
        roles={"words": ("tokens",), "tags": ("ner_tags",)},
        label_names=("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC"),
        hub="eriktks/conll2003",
        hub_revision=_PARQUET,
        separator=" ",
        columns=("tokens", "pos_tags", "chunk_tags", "ner_tags"),
        word_lines=True,
    ),
    "ud_pos": DatasetEntry(
        roles={"words": ("tokens",), "tags": ("upos",)},
        label_names=(
            *("ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT"),
            *("SCONJ", "SYM", "VERB", "X"),
        ),
        files={"train": "*-ud-train.conllu", "validation": "*-ud-dev.conllu", "test": "*-ud-test.conllu"},
    ),  # any treebank of Universal Dependencies
    "jsb": DatasetEntry(
        roles={"frames": ("frames",)},
        reader="piano_rolls",
        layout="one JSON file with the splits train, valid and test, lists of frames, each the list of its keys",
    ),
}
