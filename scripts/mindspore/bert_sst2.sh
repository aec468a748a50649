#!/usr/bin/env bash
# BERT with LoRA on SST-2 (sentiment), in MindSpore. Options: bash scripts/mindspore/bert_sst2.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" mindspore bert_sst2 "$@"
