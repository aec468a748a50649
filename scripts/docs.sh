#!/usr/bin/env bash
# Builds the documentation site into runs/site (or the folder given); a broken link or reference is an error.
set -euo pipefail
# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
cd "$ROOT"
"$VENV/bin/pip" install -q -e ".[docs]" -c constraints.txt
"$VENV/bin/sphinx-build" -W --keep-going -q -b html -c docs/site docs "${1:-runs/site}"
echo "${1:-runs/site}/index.html"
