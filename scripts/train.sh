#!/usr/bin/env bash
# One training run: bash scripts/train.sh BACKEND CONFIG [options of twinlora train]. The scripts in pytorch/ and mindspore/ call this one.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

if [[ $# -lt 2 ]]; then
    echo "usage: bash scripts/train.sh pytorch|mindspore CONFIG [options of twinlora train]" >&2
    exit 2
fi
if [[ -x "$root/.venv/bin/twinlora" ]]; then
    twinlora="$root/.venv/bin/twinlora"
elif ! twinlora="$(command -v twinlora)"; then
    echo "twinlora is not installed: run bash scripts/demo.sh once, or pip install -e \".[$1]\" -c constraints.txt in an environment of yours." >&2
    exit 2
fi
backend="$1" config="$2"
shift 2
exec "$twinlora" train "$root/configs/$config.yaml" --backend "$backend" "$@"
