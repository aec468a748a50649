"""Text data: from a data set's name to batches of NumPy arrays that are the same bytes for both backends."""

from common.data.batching import BatchPlan, evaluation_batches
from common.data.encoding import Encoded, Ragged, encode, encode_rows
from common.data.loading import TextData, load_dataset
from common.data.registry import DATASETS
from common.data.sources import resolve_folder
from common.data.tokenization import load_tokenizer, save_tokenizer

__all__ = [
    "DATASETS",
    "BatchPlan",
    "Encoded",
    "Ragged",
    "TextData",
    "encode",
    "encode_rows",
    "evaluation_batches",
    "load_dataset",
    "load_tokenizer",
    "resolve_folder",
    "save_tokenizer",
]
