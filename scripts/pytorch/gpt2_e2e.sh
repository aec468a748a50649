#!/usr/bin/env bash
# GPT-2 with LoRA on E2E (meaning representation to text), in PyTorch. Options: bash scripts/pytorch/gpt2_e2e.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" pytorch gpt2_e2e "$@"
