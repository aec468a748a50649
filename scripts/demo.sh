#!/usr/bin/env bash
# The demonstration: sets up .venv if needed, fine-tunes with LoRA in both frameworks and prints the path of a report. Arguments go to `twinlora demo`.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
exec "$VENV/bin/twinlora" demo "$@"
