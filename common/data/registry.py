"""The registered data sets: where each lives on the hub, its columns, label names and local file format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["DATASETS", "FILES", "SPLITS", "DatasetEntry"]

SPLITS = ("train", "validation", "test")
_PARQUET = "refs/convert/parquet"  # the hub's own conversion of data sets that were published as a script
FILES = "files"  #: the name under which users bring their own files


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
    separator: str | None = None  #: of fields in local .txt and .tsv files
    columns: tuple[str, ...] = ()  #: of local files that have no header
    label_first: bool = False  #: local files may also hold ``label text`` lines
    hub_revision: str | None = None  #: branch of the hub's repository
    files: Mapping[str, str] = field(default_factory=dict)  #: split to the publisher's file name, a glob
    word_lines: bool = False  #: local files that are no tables hold one word a line, with ``columns``


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
    "imdb": DatasetEntry(
        roles={"text": ("text",), "label": ("label",)},
        label_names=("negative", "positive"),
        hub="stanfordnlp/imdb",
        splits=("train", "test"),
    ),
    "ag_news": DatasetEntry(
        roles={"text": ("text",), "label": ("label",)},
        label_names=("World", "Sports", "Business", "Sci/Tech"),
        hub="fancyzhx/ag_news",
        splits=("train", "test"),
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
        roles={"text": ("human_reference", "ref"), "prompt": ("meaning_representation", "mr")},
        hub="tuetschek/e2e_nlg",
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
}
