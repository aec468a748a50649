#!/usr/bin/env bash
# GPT-2 with LoRA on SST-2 (sentiment), in PyTorch. Options: bash scripts/pytorch/gpt2_sst2.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" pytorch gpt2_sst2 "$@"
