#!/usr/bin/env bash
# BERT with LoRA on CoLA (acceptability), in MindSpore. Options: bash scripts/mindspore/bert_cola.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" mindspore bert_cola "$@"
