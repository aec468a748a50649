#!/usr/bin/env bash
# BERT with LoRA on CoLA (acceptability), in PyTorch. Options: bash scripts/pytorch/bert_cola.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" pytorch bert_cola "$@"
