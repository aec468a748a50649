#!/usr/bin/env python3
"""Train taggers with and without characters and a chain; keep what came out in docs/studies/taggers.json and write
docs/studies/taggers.md.

    python scripts/bench/taggers.py --train DATA [JOB ...] [--backend mindspore] [--runs RUNS]
    python scripts/bench/taggers.py --take [--runs RUNS]
    python scripts/bench/taggers.py

DATA is a folder with wnut17, ud_pos and glove/*.txt. A job that has been trained is left out. --take reads the summaries
of RUNS (default: runs/taggers); without it the page is made of what is kept.
"""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from trainings import BACKENDS, Jobs, Seeded, Trainings, essence, every_seed, seeds_of

from common.errors import run_script

SEEDS = (1, 2, 3)
_SPANS, _TAGS = "bilstm_cnn_crf_wnut17", "bilstm_cnn_ud_pos"
_VECTORS = ("model.vectors={glove}", "model.vectors_vocabulary=true", "model.config.word_size=25")
_SINGLE = ("model.task=token-classification", "model.task_options={scheme: bioes}")
_WORDS = ("model.config.character_filters=0",)
_SEEDED: Seeded = {
    "spans_chain": (_SPANS, "wnut17", _VECTORS, SEEDS),
    "spans_characters": (_SPANS, "wnut17", (*_VECTORS, *_SINGLE), SEEDS),
    "spans_words": (_SPANS, "wnut17", (*_VECTORS, *_SINGLE, *_WORDS), SEEDS),
    "tags_chain": (_TAGS, "ud_pos", (*_VECTORS, "model.task=crf-tagging"), SEEDS),
    "tags_characters": (_TAGS, "ud_pos", _VECTORS, SEEDS),
    "tags_words": (_TAGS, "ud_pos", (*_VECTORS, *_WORDS), SEEDS),
}
JOBS: Jobs = every_seed(_SEEDED)
NETWORKS = {"words": "BiLSTM", "characters": "BiLSTM-CNN", "chain": "BiLSTM-CNN-CRF"}
_TEXT = """\
# Taggers

The network of Ma and Hovy (2016), [BiLSTM-CNN-CRF](../networks.md#bilstm-cnn-crf), beside the same network with a softmax for
every word in the place of the chain, and without characters too. Scores in percent, of the state with the best validation
score; the changes of each row and this page are made by [`scripts/bench/taggers.py`](../../scripts/bench/taggers.py) from
[taggers.json](taggers.json).

All start from the same word vectors (Twitter's GloVe, 25 dimensions, 11,925 words), which are trained on. Words are looked up
in lower case, and every word of that file is known, also those that the training split lacks
(`model.vectors_vocabulary`): capitals reach the network through its characters alone.

## Spans
WNUT-17, named entities in noisy text: F1 of spans, which are learned as BIOES. {spans_budget}

{spans}

{spans_notes}

## Parts of speech
Universal Dependencies, English-LinES, accuracy of words. {tags_budget}

{tags}

{tags_notes}

## Beside the source
| network | its data | published | ours |
|---|---|--:|--:|
| BiLSTM-CNN-CRF | CoNLL-2003, F1 of spans | 91.21 | {spans_best} (WNUT-17) |
| BiLSTM-CNN-CRF | Penn Treebank (WSJ), accuracy | 97.55 | {tags_best} (English-LinES) |

{source_notes}
"""
