"""The server's socket and its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

from common.errors import InputError
from common.serving.app import Application, build
from common.serving.model import Named, Served, serve
from common.serving.options import ServingOptions, is_local
from common.terminal import notice, printable

__all__ = ["ended_by_signals", "listening", "run", "server_of"]

_PACKAGES = ("starlette", "uvicorn")
_BACKLOG = 2048  #: connections that wait to be accepted


def run(artifacts: Sequence[Named], options: ServingOptions, backend: str | None, device: str | None) -> None:
    """Open the artifacts, then answer until SIGTERM or SIGINT; what was accepted by then is answered.

    Raises:
        InputError: a package is missing, an artifact cannot be opened, or the address is taken. Nothing was served.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(f"The server needs {' and '.join(missing)}. Run: pip install 'twinlora[serve]'")
    if not is_local(options.host):
        notice(
            f"{options.host} can be reached by other machines, and whoever reaches it is answered: there are no "
            "passwords and no encryption here. Put a proxy before it that has both."
        )
    with ThreadPoolExecutor(1, "model") as executor:  # frameworks are asked in the thread that they began in
        models = executor.submit(_open, artifacts, options, backend, device).result()
        with listening(options) as listener:
            host, port = listener.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            server = server_of(Application(models, options, executor))
            with ended_by_signals(server):
                for model in models:
                    print(f"{model.name}: {model.task.name}", flush=True)
                print(printable(f"Answering at http://{shown}:{port}"), flush=True)
                try:
                    asyncio.run(server.serve([listener]))
                finally:
                    for model in models:
                        model.end()  # the thread is waited for, which may have a long text to write


def _open(artifacts: Sequence[Named], options: ServingOptions, backend: str | None, device: str | None) -> list[Served]:
    return [serve(one.name, one.path, backend, device, options.max_batch) for one in artifacts]


@contextlib.contextmanager
def listening(options: ServingOptions) -> Iterator[socket.socket]:
    """A socket that listens at the address of the options.

    Raises:
        InputError: it cannot be had.
    """
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((options.host, options.port))
        listener.listen(_BACKLOG)  # from now on connections wait for the server instead of being refused
    except OSError as error:
        raise InputError(
            f"The server must be able to listen at {options.host}, port {options.port}: {error.strerror or error}. "
            "Give another --port (0: one that is free) or --host."
        ) from error
    with listener:
        yield listener


def server_of(application: Application) -> Any:
    """A `uvicorn.Server` of the application, which ends when ``should_exit`` is set or a signal comes."""
    import uvicorn

    class Server(uvicorn.Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            application.ending = True
            await super().shutdown(sockets)

    config = uvicorn.Config(
        build(application),
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(application.options.grace)),
    )
    return Server(config)


@contextlib.contextmanager
def ended_by_signals(server: Any) -> Iterator[None]:
    """While uvicorn has not begun, and when it is done and raises the signal again that ended it: otherwise the first
    would end the process at once, and the second with the signal's status."""

    def end(number: int, frame: object) -> None:
        server.should_exit = True

    kept = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
