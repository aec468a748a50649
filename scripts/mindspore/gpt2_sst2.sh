#!/usr/bin/env bash
# GPT-2 with LoRA on SST-2 (sentiment), in MindSpore. Options: bash scripts/mindspore/gpt2_sst2.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" mindspore gpt2_sst2 "$@"
