#!/usr/bin/env bash
# Builds a release of the committed state: source archive and wheel in dist/, checked and tried. Publishes nothing.
# usage: scripts/release.sh [FOLDER]. Needs a package index; the rest of the checklist is in CONTRIBUTING.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python="${PYTHON:-python3}"
[[ -x .venv/bin/python ]] && python=.venv/bin/python
refuse() { echo "release.sh: $1" >&2; exit 2; }

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' common/__init__.py)
[[ -z $(git status --porcelain) ]] || refuse "there are changes that are not committed. Commit them, or take them back."
grep -q "^## \[$version\] - [0-9-]*$" CHANGELOG.md || refuse "CHANGELOG.md has no section \"## [$version] - DATE\". Write it."
tagged=$(git rev-parse -q --verify "v$version^{commit}" || true)
[[ -z $tagged || $tagged == $(git rev-parse HEAD) ]] || refuse "v$version is another commit. Raise __version__ in common/__init__.py."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
out=$(realpath -m "${1:-dist}")
git archive --prefix=source/ HEAD | tar -x -C "$work"
"$python" -m venv "$work/tools"
"$work/tools/bin/pip" install --quiet --disable-pip-version-check build twine
"$work/tools/bin/python" -m build --outdir "$work/dist" "$work/source" >"$work/build.log" || { cat "$work/build.log" >&2; exit 1; }
"$work/tools/bin/twine" check --strict "$work"/dist/*

# The wheel is made from the source archive; every file of the packages in the repository must have come through both.
"$python" - "$work" <<'PYTHON'
import sys, zipfile
from pathlib import Path

work = Path(sys.argv[1])
[wheel] = (work / "dist").glob("*.whl")
have = set(zipfile.ZipFile(wheel).namelist())
packages = ("common", "pytorch_impl", "mindspore_impl", "twinlora")
wanted = {str(p.relative_to(work / "source")) for name in packages for p in (work / "source" / name).rglob("*") if p.is_file()}
wanted |= {f"common/configs/{p.relative_to(work / 'source' / 'configs')}" for p in (work / "source/configs").rglob("*.yaml")}
if wanted - have:
    sys.exit("release.sh: the wheel lacks " + ", ".join(sorted(wanted - have)))
PYTHON

"$python" -m venv "$work/user"
"$work/user/bin/pip" install --quiet --disable-pip-version-check numpy pyyaml rich "$work"/dist/*.whl --no-deps
(cd "$work" && PYTHONPATH="" "$work/user/bin/twinlora" --version | grep -F "$version")
mkdir -p "$out"
cp "$work"/dist/* "$out"
(cd "$out" && sha256sum -- *"$version"*)
[[ -n $tagged ]] || echo "Next: git tag -a v$version -m 'twinlora $version'"
