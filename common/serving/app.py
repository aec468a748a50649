"""Paths, statuses and limits of the server, as an ASGI application.

    GET  /health           200 while the process lives
    GET  /ready            200 while every queue has room; 503 otherwise, and while the server ends
    GET  /models           what is served
    GET  /metrics          counts and latencies
    POST /predict/NAME     {"inputs": [...], "options": {...}} -> {"model": NAME, "answers": [...]}
    POST /predict          the same, where one artifact is served

Every error is {"error": TEXT}, which states the rule, what was received and what to do.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any

from common.errors import InputError, TwinloraError, nearest
from common.serving.accept import read_request
from common.serving.batching import Batcher, Full
from common.serving.counts import Counts
from common.serving.model import Served
from common.serving.options import ServingOptions, is_local
from common.tasks.task import Answer
from common.terminal import printable

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["Application", "build"]

_JSON = "application/json"
_GONE = 499  #: nginx's status of a client that left before its answer; nobody receives it


class Refused(Exception):  # noqa: N818  (no error of the server)
    """A request that is not answered."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None):
        super().__init__(text)
        self.status, self.text, self.headers = status, text, dict(headers or {})


class Application:
    """The state behind the paths.

    Args:
        models: what is served.
        executor: of one thread, which computes.
    """

    def __init__(self, models: Sequence[Served], options: ServingOptions, executor: Executor):
        self.options, self._executor = options, executor
        self.models = {model.name: model for model in models}
        self.responses: Counter[int] = Counter()
        self.ending = False
        self._begun = time.time()
        self._batchers: dict[str, Batcher] = {}

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Any) -> AsyncIterator[None]:
        """Queues work while the server does; what is accepted then is answered before they end."""
        self._batchers = {name: self._batcher(model) for name, model in self.models.items()}
        tasks = [asyncio.create_task(batcher.run()) for batcher in self._batchers.values()]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _batcher(self, model: Served) -> Batcher:
        async def compute(rows: Any, options: Any) -> Any:
            return await asyncio.get_running_loop().run_in_executor(self._executor, model.answers, rows, options)

        rows = model.rows if model.batched else 1
        return Batcher(compute, rows, self.options.max_wait, self.options.max_queue, Counts())

    # Paths

    async def health(self, request: Request) -> Response:
        """The process lives."""
        return self._json({"status": "ok"})

    async def ready(self, request: Request) -> Response:
        """Requests are taken."""
        full = [name for name, batcher in self._batchers.items() if batcher.full]
        state = "ending" if self.ending else "queue full" if full else "ready"
        return self._json({"status": state}, 200 if state == "ready" else 503)

    async def listed(self, request: Request) -> Response:
        """What is served."""
        return self._json({"models": {name: model.about() for name, model in self.models.items()}})

    async def metrics(self, request: Request) -> Response:
        """Counts and latencies."""
        models = {name: batcher.counts.record(batcher.waiting) for name, batcher in self._batchers.items()}
        responses = {str(status): count for status, count in sorted(self.responses.items())}
        return self._json({"uptime_seconds": time.time() - self._begun, "responses": responses, "models": models})

    async def predict(self, request: Request) -> Response:
        """Answers to the inputs of a request; all of them, or an error."""
        model = self._model(request)
        content = await self._body(request)
        asked = read_request(content, model.task, self.options.max_queue)
        try:
            futures = self._batchers[model.name].submit(asked.rows, asked.options)
        except Full as error:
            raise Refused(
                503,
                f"At most {self.options.max_queue} texts may wait for {model.name}; there is no room for "
                f"{len(asked.rows)} more. Try again in {error.seconds} s.",
                {"Retry-After": str(error.seconds)},
            ) from None
        answers = await _unless_gone(request, futures)
        if answers is None:
            return self._json({"error": "The client left."}, _GONE)
        return self._json({"model": model.name, "answers": [_full(answer, i) for i, answer in enumerate(answers)]})

    def _model(self, request: Request) -> Served:
        name = request.path_params.get("name")
        if name is None:
            if len(self.models) > 1:
                raise Refused(
                    404, f"Several artifacts are served: ask /predict/NAME, with one of {', '.join(self.models)}."
                )
            name = next(iter(self.models))
        if name not in self.models:
            listed = ", ".join(self.models)
            raise Refused(404, f"An artifact must be one of {listed}; received {name!r}.{nearest(name, self.models)}")
        return self.models[name]

    async def _body(self, request: Request) -> bytes:
        """The body, read as far as it is allowed to be."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != _JSON:
            raise Refused(415, f"The content type must be {_JSON}; received {kind or 'none'}.")
        most, closing = self.options.max_body, {"Connection": "close"}
        large = Refused(
            413, f"The body of a request has at most {most:,} bytes; this one has more. Divide it.", closing
        )
        stated = request.headers.get("content-length", "")
        if stated.isdigit() and int(stated) > most:
            raise large

        async def read() -> bytes:
            content = bytearray()
            async for part in request.stream():
                content += part
                if len(content) > most:
                    raise large
            return bytes(content)

        try:
            return await asyncio.wait_for(read(), self.options.read_timeout)
        except asyncio.TimeoutError:
            text = f"The body of a request must arrive within {self.options.read_timeout:g} s; this one did not."
            raise Refused(408, text, closing) from None

    # Answers

    def _json(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        from starlette.responses import JSONResponse

        self.responses[status] += 1
        return JSONResponse(content, status, dict(headers or {}))

    async def on_error(self, request: Request, error: Exception) -> Response:
        """Every exception as a status and {"error": TEXT}."""
        from starlette.exceptions import HTTPException
        from starlette.requests import ClientDisconnect

        if isinstance(error, Refused):
            return self._json({"error": error.text}, error.status, error.headers)
        if isinstance(error, InputError):
            return self._json({"error": str(error)}, 400)
        if isinstance(error, ClientDisconnect):
            return self._json({"error": "The client left."}, _GONE)
        if isinstance(error, HTTPException):
            text = (
                "What is answered: GET /health, /ready, /models and /metrics, POST /predict/NAME; received "
                f"{request.method} {request.url.path[:100]}."
            )
            return self._json({"error": text}, error.status_code, error.headers)
        text = str(error) if isinstance(error, TwinloraError) else f"The model failed with {type(error).__name__}."
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        print(f"error: {printable(''.join(lines))}", file=sys.stderr, flush=True)
        return self._json({"error": f"{text} The server's standard error says more."}, 500)

    def refuse_foreign(self, host: str) -> None:
        """A page in a browser that calls this machine by a name of its own is not answered (DNS rebinding).

        Raises:
            Refused: the server is for this machine alone, and was called by another name.
        """
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name and is_local(self.options.host) and not is_local(name.strip("[]")):
            raise Refused(421, f"This server answers to the names of this machine alone; received {host!r}.")


async def _unless_gone(request: Request, futures: list[asyncio.Future[Any]]) -> list[Any] | None:
    """The answers; None where the client leaves before them, whose texts are then not computed."""
    everything = asyncio.gather(*futures)
    leaving = asyncio.ensure_future(_left(request))
    either: set[asyncio.Future[Any]] = {everything, leaving}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return everything.result() if everything.done() else None
    finally:
        leaving.cancel()
        everything.cancel()
        everything.add_done_callback(_seen)


def _seen(everything: asyncio.Future[Any]) -> None:
    """Nobody waits for answers to a client that has left; asyncio writes of an exception that nobody asked for."""
    if not everything.cancelled():
        everything.exception()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _full(answer: Answer | Exception, number: int) -> Mapping[str, Any]:
    if isinstance(answer, InputError):
        raise InputError(f"the request, inputs[{number}]: {answer}") from answer
    if isinstance(answer, Exception):
        raise answer
    return answer.full


def build(application: Application) -> Starlette:
    """The ASGI application. Needs starlette."""
    from starlette.applications import Starlette
    from starlette.routing import Route

    def guarded(handler: Any) -> Any:
        async def inner(request: Request) -> Response:
            try:
                application.refuse_foreign(request.headers.get("host", ""))
                return await handler(request)
            except asyncio.CancelledError:
                if not application.ending:
                    raise
                late = Refused(503, f"The server ended, and waited no longer than {application.options.grace:g} s.")
                return await application.on_error(request, late)
            except Exception as error:
                return await application.on_error(request, error)

        return inner

    routes = [
        Route("/health", guarded(application.health)),
        Route("/ready", guarded(application.ready)),
        Route("/models", guarded(application.listed)),
        Route("/metrics", guarded(application.metrics)),
        Route("/predict", guarded(application.predict), methods=["POST"]),
        Route("/predict/{name}", guarded(application.predict), methods=["POST"]),
    ]
    from starlette.exceptions import HTTPException

    return Starlette(
        routes=routes, lifespan=application.lifespan, exception_handlers={HTTPException: application.on_error}
    )
