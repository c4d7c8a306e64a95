"""Requests to the in-memory service: the operation of a request, by the generation that the service speaks."""

from __future__ import annotations

import re
from functools import cache
from typing import Any, Literal, TypeAlias

import attrs

from ..._forms import is_form
from ..._json import dumps, loads
from ..._operation import PATH_PARAMETER
from ...codec import decode_request
from ...errors import shorten
from ...http import Request
from ...operations import (
    OPERATIONS,
    CancelSchedule,
    ContinueWorker,
    CreateSchedule,
    CreateWorker,
    CreateWorkerTemplate,
    ListSchedules,
    Operation,
    RetrieveWorker,
    RetrieveWorkerEmail,
    RetrieveWorkerFile,
    StreamWorkerUpdates,
)
from .errors import ServiceError, invalid
from .usage import BUDGETS

__all__ = ["APIS", "FILES", "Api", "is_newer", "read"]

Api: TypeAlias = Literal["both", "seed", "today"]
APIS: tuple[Api, ...] = ("both", "seed", "today")

#: The path of the files of a worker, with ``{}`` for its id. The newer generation documents no path, only URLs.
FILES = {"both": "/api/workers/{}/files/", "seed": "/api/workers/{}/files/", "today": "/files/{}/"}

_SHARED: set[Any] = {RetrieveWorker, RetrieveWorkerEmail, ListSchedules, CreateSchedule, CancelSchedule}
_OLDER: set[Any] = {CreateWorker, ContinueWorker, StreamWorkerUpdates, RetrieveWorkerFile}
_NEWER: set[Any] = {cls for cls in OPERATIONS if cls not in _SHARED and cls not in _OLDER}
_KNOWN: dict[str, set[Any]] = {"both": _SHARED | _OLDER | _NEWER, "seed": _SHARED | _OLDER, "today": _SHARED | _NEWER}


@cache
def _pattern(cls: Any) -> re.Pattern[str]:
    return re.compile(PATH_PARAMETER.sub(lambda found: ".+" if found[2] else "[^/]+", cls.route.path))


def _candidates(request: Request, api: Api) -> list[Any]:
    """Return the classes of operations with the method and path of a request that the service knows."""
    path = request.target.partition("?")[0]
    return [cls for cls in _KNOWN[api] if cls.route.method == request.method and _pattern(cls).fullmatch(path)]


def is_newer(request: Request, api: Api) -> bool:
    """Return True if a request gets its errors as the newer generation writes them."""
    if api != "both":
        return api == "today"
    candidates = _candidates(request, api)
    if len(candidates) == 2:  # POST /api/workers
        document = _document(request)
        return isinstance(document, dict) and "input" not in document
    return bool(candidates) and candidates[0] in _NEWER


def read(request: Request, api: Api) -> Operation[Any]:
    """Return the operation of a request.

    Args:
        request: The request.
        api: The generation that the service speaks.

    Raises:
        ServiceError: There is none, or the arguments are not valid.
    """
    if api == "today" and request.method == "GET" and request.target.startswith("/files/"):
        worker_id, _, path = request.target.removeprefix("/files/").partition("/")
        return _decode(attrs.evolve(request, target=f"/api/workers/{worker_id}/files/{path}"))
    candidates = _candidates(request, api)
    if not candidates:
        path = shorten(request.target.partition("?")[0])
        raise ServiceError(404, "not_found", f"there is no {shorten(request.method)} {path}")
    if api == "today" and candidates == [CreateWorkerTemplate]:
        request = _without_input(request)
    operation = _decode(request)
    if api == "seed":
        if isinstance(operation, CreateWorkerTemplate):
            raise invalid("$.input is missing")
        if isinstance(operation, RetrieveWorker):
            operation = attrs.evolve(operation, task_id=None)  # type: ignore[misc]
    if not getattr(operation, "input", "x").strip():
        raise invalid("input is empty")
    budget = getattr(operation, "budget", None)
    if budget is not None and budget not in BUDGETS:
        raise invalid(f"budget must be one of {', '.join(BUDGETS)}, not {shorten(repr(budget), 80)}")
    return operation


def _decode(request: Request) -> Operation[Any]:
    try:
        return decode_request(request)
    except LookupError as error:
        raise ServiceError(404, "not_found", str(error.args[0])) from None
    except ValueError as error:
        if request.method not in ("POST", "PUT", "PATCH"):
            raise ServiceError(400, "bad_request", str(error)) from None
        if isinstance(_document(request), ValueError):
            raise ServiceError(400, "malformed_json", f"The body is not JSON: {shorten(str(error), 120)}") from None
        raise invalid(str(error)) from None


def _without_input(request: Request) -> Request:
    """Return the request without the fields that make the older generation start a run."""
    document = _document(request)
    if not isinstance(document, dict):
        return request
    kept = {name: value for name, value in document.items() if name not in ("input", "budget", "stream")}
    return attrs.evolve(request, body=dumps(kept))


def _document(request: Request) -> Any:
    """Return the JSON of a body, or the error; None for a form."""
    if is_form(request):
        return None
    try:
        return loads(request.read_body())
    except ValueError as error:
        return error
