#!/usr/bin/env bash
# Known vulnerabilities of the versions in constraints.txt, by pip-audit, which is installed into a folder of its own.
# The package index must offer vulnerability data, as the public one does; packages of which it has none are listed as not audited.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}"
[[ -x .venv/bin/python ]] && python=.venv/bin/python
"$python" -m pip install --quiet --target runs/pip-audit --upgrade pip-audit
PYTHONPATH=runs/pip-audit exec "$python" -m pip_audit --no-deps --disable-pip --requirement constraints.txt "$@"
