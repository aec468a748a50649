#!/usr/bin/env bash
# GPT-2 from scratch on WikiText-2 (language modelling), in MindSpore. Options: bash scripts/mindspore/gpt2_wikitext2.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../train.sh" mindspore gpt2_wikitext2 "$@"
