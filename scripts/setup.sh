# shellcheck shell=bash
# Sourced by the other scripts: finds Python 3.10 to 3.13, makes .venv beside setup.cfg and installs twinlora with the tested versions.
# Sets ROOT (the checkout) and VENV (its environment). Does nothing when the last successful installation is still up to date.
#
#   PYTHON           the interpreter to use; the default is the first supported one on PATH
#   TWINLORA_EXTRAS  what to install; the default is all,dev. One framework alone: TWINLORA_EXTRAS=pytorch (or mindspore)

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
VENV="$ROOT/.venv"

stop() {
    echo "$1" >&2
    exit 2
}

supported() { # does this interpreter start, and is it 3.10 to 3.13?
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3.11 python3.12 python3.10 python3.13 python3 python; do
        if supported "$candidate"; then
            echo "$candidate"
            return
        fi
        [[ "$candidate" != "${PYTHON:-}" ]] || break
    done
    local found
    found="$("${PYTHON:-python3}" --version 2>&1)" || found="none that starts"
    stop "twinlora needs Python 3.10 to 3.13; found ${found}. Install one of them, or name it: PYTHON=/path/to/python3.11 bash $0"
}

make_environment() {
    local python options=()
    if "$VENV/bin/python" -c '' 2>/dev/null; then
        supported "$VENV/bin/python" || stop "$VENV holds $("$VENV/bin/python" --version), which is not 3.10 to 3.13. Remove that folder and run this again."
        "$VENV/bin/python" -m pip --version >/dev/null 2>&1 && return
        python="$VENV/bin/python"
    else
        python="$(find_python)"
        options=(--clear) # of what an interrupted attempt or a removed interpreter left behind
    fi
    "$python" -c 'import venv, ensurepip' 2>/dev/null || stop "$python has no venv module. Install it (on Debian and Ubuntu: apt install python3-venv) and run this again."
    echo "Making $VENV with $("$python" --version) ..."
    "$python" -c 'import sys; sys.exit(sys.version_info[:2] > (3, 12))' ||
        echo "MindSpore has no wheel for this Python, so PyTorch alone is installed. For both: PYTHON=/path/to/python3.11 bash $0" >&2
    "$python" -m venv "${options[@]}" "$VENV"
}

install_twinlora() {
    local extras="${TWINLORA_EXTRAS:-all,dev}" stamp="$VENV/.installed" wanted
    wanted="$extras $ROOT $(cat "$ROOT/setup.cfg" "$ROOT/pyproject.toml" "$ROOT/constraints.txt" | cksum)"
    [[ "$(cat "$stamp" 2>/dev/null)" != "$wanted" ]] || return 0
    rm -f "$stamp"
    echo "Installing twinlora[$extras] into $VENV; the first time this downloads the frameworks and takes minutes ..."
    "$VENV/bin/python" -m pip install --disable-pip-version-check -e "${ROOT}[$extras]" -c "$ROOT/constraints.txt" ||
        stop "The installation failed; pip's message stands above. Running the same command again continues it."
    echo "$wanted" >"$stamp"
}

make_environment
install_twinlora
