"""Models that a server is tried with, and a server of them in a thread. Nothing here imports a framework."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from common.errors import InputError
from common.serving.app import Application
from common.serving.options import ServingOptions
from common.serving.server import listening, server_of
from common.tasks import TASKS
from common.tasks.task import Answer
from tests.support import CLASSIFICATION, HANGS


class Echo:
    """Answers with the length of a text; ``fails`` raises, ``refused`` is an error of the input."""

    def __init__(self, name: str = "echo", rows: int = 4, seconds: float = 0.0, task: str = CLASSIFICATION):
        self.name, self.rows, self.seconds = name, rows, seconds
        self.task = TASKS.get(task)
        self.batches: list[list[str]] = []
        self.go = threading.Event()
        self.go.set()

    @property
    def batched(self) -> bool:
        return not self.task.writes

    def about(self) -> dict[str, Any]:
        return {"task": self.task.name}

    def end(self) -> None:
        self.go.set()

    def answers(self, rows, options):
        assert self.go.wait(HANGS)
        time.sleep(self.seconds)
        self.batches.append([row["text"] for row in rows])
        return [self._answer(row["text"]) for row in rows]

    def _answer(self, text: str) -> Answer | Exception:
        if text == "fails":
            return ValueError("a fault of the model")
        if text == "refused":
            return InputError("This text cannot be read. Send another.")
        return Answer(str(len(text)), {"text": text, "length": len(text)})


class Running:
    """A server in a thread."""

    def __init__(self, application: Application, port: int, server: Any, thread: threading.Thread):
        self.application, self.port, self._server, self._thread = application, port, server, thread

    def stop(self) -> None:
        """Ask it to end, as a signal does."""
        self._server.should_exit = True

    def wait(self) -> None:
        """Until it has ended."""
        self._thread.join(HANGS)
        assert not self._thread.is_alive()

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
        """(status, JSON, headers) of one request."""
        return ask(self.port, method, path, body, **headers)

    def predict(self, *texts: Any, name: str = "echo", **more: Any) -> tuple[int, Any]:
        """(status, JSON) of the answers to some inputs."""
        return self.ask("POST", f"/predict/{name}", {"inputs": list(texts), **more})[:2]

    def connect(self) -> socket.socket:
        """A connection of its own."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=HANGS)


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    """(status, JSON, headers) of one request; a body that is no bytes is sent as JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=HANGS)
    content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    given = {"Content-Type": "application/json"} if content is not None else {}
    with contextlib.closing(connection):
        connection.request(method, path, content, {**given, **{k.replace("_", "-"): v for k, v in headers.items()}})
        found = connection.getresponse()
        return found.status, json.loads(found.read()), dict(found.getheaders())


@contextlib.contextmanager
def serving(*models: Any, **options: Any) -> Iterator[Running]:
    """A server of the models while the block runs."""
    chosen = ServingOptions(port=0, **options)
    with ThreadPoolExecutor(1) as executor, listening(chosen) as listener:
        application = Application(models, chosen, executor)
        server = server_of(application)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        running = Running(application, listener.getsockname()[1], server, thread)
        deadline = time.monotonic() + HANGS
        while not server.started:
            assert thread.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        try:
            yield running
        finally:
            for model in models:
                getattr(model, "go", threading.Event()).set()
            running.stop()
            running.wait()


def until(condition) -> None:
    """Wait until ``condition()`` holds."""
    deadline = time.monotonic() + HANGS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
