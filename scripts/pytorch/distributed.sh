#!/usr/bin/env bash
# Any experiment with several processes, in PyTorch through torchrun. Options: bash scripts/pytorch/distributed.sh --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/../distributed.sh" pytorch "$@"
