"""``moxing.file``, as far as it is used."""

import fcntl
import os
import shutil
import time
from pathlib import Path

_STORE = Path(os.environ["FAKE_STORE"])


def exists(url):
    _spoiled("exists", url)
    return _path(url).exists()


def is_directory(url):
    _spoiled("is_directory", url)
    return _path(url).is_dir()


def list_directory(url, recursive=False, skip_dir=False):
    half = _spoiled("list_directory", url)
    found = sorted(path for path in _path(url).glob("**/*" if recursive else "*") if path.is_file() or not skip_dir)
    names = [path.relative_to(_path(url)).as_posix() for path in found]
    return names[: len(names) // 2] if half else names


def get_size(url, recursive=False):
    half = _spoiled("get_size", url)
    path = _path(url)
    size = sum(file.stat().st_size for file in path.rglob("*")) if recursive else path.stat().st_size
    return size // 2 if half else size


def copy(src_url, dst_url):
    _copy(_path(src_url), _path(dst_url), _spoiled("copy", src_url, dst_url))


def copy_parallel(src_url, dst_url):
    half = _spoiled("copy_parallel", src_url, dst_url)
    source, target = _path(src_url), _path(dst_url)
    files = [path for path in sorted(source.rglob("*")) if path.is_file()]
    if not files:
        raise ValueError("No files to copy")
    for path in files:
        _copy(path, target / path.relative_to(source), half and path == files[-1])


def _copy(source, target, half):
    target.parent.mkdir(parents=True, exist_ok=True)
    if half:
        target.write_bytes(source.read_bytes()[: source.stat().st_size // 2])
    else:
        shutil.copyfile(source, target)


def _path(url):
    for scheme in ("obs://", "s3://"):
        if url.startswith(scheme):
            return _STORE / url[len(scheme) :]
    return Path(url)


def _spoiled(*call):
    """Count the call; raise, hang, or return whether only half of it is to be done."""
    with open(_STORE / "calls", "a+", encoding="utf-8") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        log.write(" ".join(call) + "\n")
        log.seek(0)
        calls = log.read().splitlines()
    how, _, which = os.environ.get("FAKE_FAULT", "").partition(" ")
    first, lasting = int(which.rstrip("-") or 0), which.endswith("-")
    if not first or not (len(calls) == first or (lasting and len(calls) > first)):
        return False
    if how == "raise":
        raise OSError(f"the store broke down in call {len(calls)}, {call[0]}")
    if how == "hang":
        time.sleep(600)
    return how == "half" and call[0] == calls[first - 1].split()[0]  # sizes and copies that are wrong alike would agree
