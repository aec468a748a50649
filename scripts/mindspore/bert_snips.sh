#!/usr/bin/env bash
# BERT with LoRA on SNIPS (intent), in MindSpore. Options: bash scripts/mindspore/bert_snips.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" mindspore bert_snips "$@"
