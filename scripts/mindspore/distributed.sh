#!/usr/bin/env bash
# Any experiment with several processes, in MindSpore through msrun. Options: bash scripts/mindspore/distributed.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../distributed.sh" mindspore "$@"
