#!/usr/bin/env bash
# GPT-2 with LoRA on E2E (meaning representation to text), in MindSpore. Options: bash scripts/mindspore/gpt2_e2e.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" mindspore gpt2_e2e "$@"
