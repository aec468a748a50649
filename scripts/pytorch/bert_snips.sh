#!/usr/bin/env bash
# BERT with LoRA on SNIPS (intent), in PyTorch. Options: bash scripts/pytorch/bert_snips.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" pytorch bert_snips "$@"
