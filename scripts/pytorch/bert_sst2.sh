#!/usr/bin/env bash
# BERT with LoRA on SST-2 (sentiment), in PyTorch. Options: bash scripts/pytorch/bert_sst2.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" pytorch bert_sst2 "$@"
