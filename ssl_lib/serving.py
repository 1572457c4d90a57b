"""A model's answers over HTTP, many texts at a time: `ssl-lib serve`.

MLflow's scoring server gives the same answers through tracking/text_model.py. An answer is plain
JSON; `answers` says what each task gives for a text. A request holds at most 1,000 texts of 100,000
characters and 16 MB; one that waits for others for more than 60 seconds is told to come again.
Requests that name another host, or come from a page of another one, are refused.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from ssl_lib.errors import MissingExtraError, UserError

if TYPE_CHECKING:
    from fastapi import FastAPI
    from fastapi.responses import JSONResponse

    from ssl_lib.numbers import Number
    from ssl_lib.objectives.numerical import NumberPrediction
    from ssl_lib.predictor import Predictor
    from ssl_lib.predictor.denoising import Denoised

MOST_TEXTS = 1000  # of one request
MOST_CHARACTERS = 100_000  # of one text
MOST_BYTES = 16_000_000  # of one request
LONGEST_WAIT = 60.0  # seconds for those that came before
LONGEST_END = 3.0  # seconds that answers may still take after SIGTERM
HOST = "127.0.0.1"
HOSTS = frozenset({HOST, "localhost"})  # whom a request may name, with any port
# What is told of a number; `text == source[start:end]`.
NUMBER_KEYS = (
    *("text", "start", "end", "value", "sign", "exponent", "mantissa", "form"),
    *("unit", "canonical_unit", "uncertainty"),
)
Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Texts = Annotated[list[Text], Field(min_length=1, max_length=MOST_TEXTS)]
Count = Annotated[int, Field(ge=1, le=1000, description="how many candidates")]


class Request(BaseModel):
    """Texts, each of which gets one answer."""

    model_config = ConfigDict(extra="forbid", strict=True)
    texts: Texts


class Candidates(Request):
    """Texts, and how many candidates an answer holds."""

    k: Count = 5


class Next(Candidates):
    """Texts, how many candidates an answer holds, and of what kind they are."""

    tokens: bool = Field(False, description="tokens instead of whole words and numbers")


class Denoising(Request):
    """Texts, and how sure the model must be of another token; null: as sure as it says itself."""

    threshold: float | None = Field(None, ge=0, le=1)


class Answers(BaseModel):
    """One answer for each text, in their order."""

    answers: list[Any]


class Failure(BaseModel):
    """What is wrong with a request, in one sentence."""

    error: str


TASKS: Mapping[str, tuple[type[Request], str]] = {
    "embed": (Request, "a vector of length 1"),
    "next": (Next, "the most probable next words and whole numbers, as [text, probability]"),
    "number": (Request, "the number that comes next: value, intervals, exact numbers, magnitudes"),
    "fill_mask": (Next, "for each [MASK] the most probable words, numbers, as [text, probability]"),
    "denoise": (Denoising, "the text with other tokens where the model is sure, and the changes"),
    "numbers": (Request, "the numbers written in the text, with value, form and unit"),
}


class TaskError(UserError):
    """A task that no model has."""


class BusyError(UserError):
    """Others have kept the model busy for too long."""


def answers(
    model: Predictor,
    task: str,
    texts: Sequence[str],
    k: int = 5,
    threshold: float | None = None,
    tokens: bool = False,
) -> list[Any]:
    """The answers of a model to one of TASKS, one for each text. Raises TaskError, ModelError."""
    if task == "embed":
        return list(model.embed(texts).tolist())
    if task == "next":
        found = model.predict_next_tokens if tokens else model.predict_next_words
        return found(texts, k)
    if task == "number":
        return [number_answer(found) for found in model.predict_numbers(texts)]
    if task == "fill_mask":
        return model.fill_masks(texts, k, tokens)
    if task == "denoise":
        return [denoised_answer(found) for found in model.denoised(texts, threshold)]
    if task == "numbers":
        return [[number_row(found) for found in model.find_numbers(text)] for text in texts]
    raise TaskError(f"task must be one of {', '.join(TASKS)}, got {task!r}")


def number_answer(found: NumberPrediction) -> dict[str, Any]:
    """A predicted number, with text for the keys that JSON wants as text."""
    intervals = {str(level): list(ends) for level, ends in found.intervals.items()}
    magnitudes = {str(order): share for order, share in found.magnitudes.items()}
    exact = [list(pair) for pair in found.exact]
    shown = {"value": found.value, "interval": list(found.interval), "exact": exact}
    return shown | {"intervals": intervals, "magnitudes": magnitudes, "median": found.median}


def denoised_answer(found: Denoised) -> dict[str, Any]:
    """A rebuilt text, and each change with its place in the text that was given."""
    return {"text": found.text, "changes": [change._asdict() for change in found.changes]}


def number_row(number: Number) -> dict[str, Any]:
    """A number of a text; JSON has no NaN, which is the value of an identifier such as "A4".

    `unit` is "" for a number without one; `canonical_unit` is "" where pint knows none, and null
    where it is not installed; `uncertainty` is null where none is written.
    """
    row: dict[str, Any] = {}
    for key in NUMBER_KEYS:
        try:
            row[key] = getattr(number, key)
        except MissingExtraError:
            row[key] = None
    if math.isnan(number.value):
        row["value"] = row["mantissa"] = None
    return row


def application(model: Predictor) -> FastAPI:
    """The routes of a model, one for each of TASKS; `/docs` has them to read and to try."""
    from fastapi import FastAPI
    from fastapi.openapi.docs import get_swagger_ui_html
    from fastapi.responses import HTMLResponse
    from fastapi.staticfiles import StaticFiles
    from swagger_ui_bundle import swagger_ui_path

    from ssl_lib import __version__

    app = FastAPI(
        title="ssl_lib", version=__version__, description=__doc__, docs_url=None, redoc_url=None
    )
    # what the pages of the bundle can read
    app.openapi_version = "3.0.2"
    one_at_a_time = threading.Lock()

    def route(task: str, kind: type[Request]) -> Callable[[Request], Answers]:
        """What answers the requests of one task."""

        def answer(request: Request) -> Answers:
            asked = request.model_dump()
            if not one_at_a_time.acquire(timeout=LONGEST_WAIT):
                waited = f"other requests took longer than {LONGEST_WAIT:.0f} s"
                raise BusyError(f"{waited}; ask again later, or with fewer texts")
            try:
                return Answers(answers=answers(model, task, **asked))
            finally:
                one_at_a_time.release()

        # which FastAPI reads: each task has a request of its own
        answer.__annotations__["request"] = kind
        return answer

    failures: dict[int | str, dict[str, Any]]
    failures = {status: {"model": Failure} for status in (400, 403, 413, 422, 503)}
    for task, (kind, gives) in TASKS.items():
        handler = route(task, kind)
        app.post(f"/{task}", summary=gives, name=task, responses=failures)(handler)
    app.mount("/pages", StaticFiles(directory=swagger_ui_path), name="pages")

    @app.get("/", include_in_schema=False)
    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        """The page of the routes, without a network."""
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title="ssl_lib",
            swagger_js_url="/pages/swagger-ui-bundle.js",
            swagger_css_url="/pages/swagger-ui.css",
            swagger_favicon_url="/pages/favicon-32x32.png",
        )

    @app.get("/ping", include_in_schema=False)
    def ping() -> dict[str, str]:
        return {"status": "ready"}

    _tell_errors(app)
    app.middleware("http")(_refuse_strangers)
    return app


async def _refuse_strangers(request: Any, call_next: Callable[[Any], Awaitable[Any]]) -> Any:
    """Pass a request on unless another host is meant, another page asks, or it is too large.

    A page in the user's browser can reach this machine: it names its own host, or its origin.
    """
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname
    origin = request.headers.get("origin")
    if host not in HOSTS:
        return _told(403, f"requests must name {HOST} or localhost as their host, got {host!r}")
    if origin and urlsplit(origin).hostname not in HOSTS:
        return _told(403, f"pages of {origin} must not ask; ask from a page of this machine")
    size = 0
    body = []
    # a body may come without its length, so that it is counted while it comes
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            return _told(413, f"a request holds at most {MOST_BYTES:,} bytes; send fewer texts")
        body.append(part)
    request._body = b"".join(body)
    return await call_next(request)


def _told(status: int, sentence: str) -> JSONResponse:
    """What is wrong with a request."""
    from fastapi.responses import JSONResponse

    # a connection whose body was not read to its end cannot be used again
    headers = {"Connection": "close"} if status == 413 else None
    return JSONResponse({"error": sentence}, status, headers)


def _tell_errors(app: FastAPI) -> None:
    """Every error is one sentence of JSON, and no traceback leaves the server."""
    from fastapi import Request as HttpRequest
    from fastapi.exceptions import RequestValidationError

    async def wrong(_: HttpRequest, error: Exception) -> JSONResponse:
        """A body that does not fit the task."""
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        # ("body", "texts", 0) → "texts.0"
        place = ".".join(str(part) for part in first["loc"][1:]) or "the body"
        return _told(422, f"{place}: {first['msg']}; /docs shows what a request holds")

    async def unreadable(_: HttpRequest, error: Exception) -> JSONResponse:
        """A body that no parser gets through, as ten thousand brackets."""
        return _told(400, "the body cannot be read as JSON; /docs shows what a request holds")

    async def mistaken(_: HttpRequest, error: Exception) -> JSONResponse:
        """A text that the model refuses, or a model that others keep busy."""
        return _told(503 if isinstance(error, BusyError) else 400, str(error))

    async def elsewhere(request: HttpRequest, _: Exception) -> JSONResponse:
        """A route that is not there."""
        routes = ", ".join(f"/{task}" for task in TASKS)
        known = request.url.path.strip("/") in TASKS
        asked = f"{request.method} {request.url.path} is no route"
        return _told(405 if known else 404, f"{asked}; POST to one of {routes}")

    async def broken(_: HttpRequest, error: Exception) -> JSONResponse:
        """What nobody foresaw."""
        return _told(500, f"the model failed ({type(error).__name__}); the server's log says where")

    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(UserError, mistaken)
    app.add_exception_handler(400, unreadable)
    for status in (404, 405):
        app.add_exception_handler(status, elsewhere)
    app.add_exception_handler(Exception, broken)


def serve(name: str, port: int) -> None:
    """Answer on this machine until interrupted. `name` is what `ssl_lib.load` takes.

    Raises ModelError or TrackingError if there is no such model, UserError if the port is taken.
    """
    import socket

    import uvicorn

    from ssl_lib.predictor import load

    app = application(load(name))
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((HOST, port))
        except OSError as error:
            told = f"port {port} cannot be used ({error.strerror})"
            raise UserError(f"{told}; choose another with --port") from None
        print(f"http://{HOST}:{port}/docs  (Ctrl-C ends it)", flush=True)
        patience = int(LONGEST_END)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=patience)
        uvicorn.Server(config).run(sockets=[listening])
