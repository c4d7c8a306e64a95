"""API keys that rotate, and the masking of keys in errors: a server may echo a request."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from inspect import isawaitable
from typing import Any, TypeAlias

import attrs

from ..errors import APIError, ConfigurationError
from ..http import Headers, Request, Secret, authorize

__all__ = ["KeyFunction", "KeySource", "mask_secrets", "remember", "spellings"]

KeySource: TypeAlias = Callable[[], str | Awaitable[str]]

#: The shortest key, or beginning of a truncated one, that is masked. No word of a message is to be taken for a key.
_MIN_LENGTH = 8
#: The number of keys that a call remembers: a stream may be resumed for days.
_MAX_KEYS = 16


@attrs.frozen(eq=False, repr=False)
class KeyFunction:
    """The function given as ``api_key``. Its own ``repr`` may show the key: that of a bound method or a partial."""

    _function: KeySource

    async def authenticate(self, request: Request) -> Request:
        """Return a prepared request with the API key of the moment.

        Raises:
            ConfigurationError: The key cannot be sent, or there is none left.
        """
        try:
            key = self._function()
            if isawaitable(key):
                key = await key
        except (
            StopIteration,
            StopAsyncIteration,
        ) as error:  # the first cannot leave a coroutine, the second ends loops
            raise ConfigurationError(f"the function api_key has no more keys ({type(error).__name__})") from error
        authorization, problem = authorize(key)
        del key  # tracebacks may show local variables
        if problem:
            raise ConfigurationError(f"the result of the function api_key {problem}")
        return attrs.evolve(request, headers=request.headers | authorization)


def remember(keys: tuple[str, ...], request: Request) -> tuple[str, ...]:
    """Return the Authorization fields of a call's requests, with that of the last one."""
    last = request.headers["authorization"]
    return keys if last in keys else (*keys, last)[-_MAX_KEYS:]


def mask_secrets(error: APIError, request: Request, keys: Iterable[str]) -> None:
    """Replace the credentials of a call by ``***`` wherever an error and its causes quote them.

    The body of a response stays as the server sent it; it is in no text of an error.

    Args:
        error: The error.
        request: The last request.
        keys: The Authorization fields of all requests, if they vary.
    """
    found = {*_secrets(request.headers), *map(_credentials, keys)}
    secrets = [secret for secret in found if len(secret) >= _MIN_LENGTH]
    current: BaseException | None = error
    while isinstance(current, APIError) and secrets:
        for name in ("message", "code", "path"):
            if isinstance(text := getattr(current, name, None), str):
                setattr(current, name, _mask(text, secrets))
        current.args = tuple(_mask(text, secrets) if isinstance(text, str) else text for text in current.args)
        response: Any = getattr(current, "response", None)
        if response is not None:
            shown = {name: _mask(value, secrets) for name, value in response.headers.items()}
            if shown != response.headers:
                current.response = attrs.evolve(response, headers=shown)  # type: ignore[attr-defined]
        current = current.__cause__ or current.__context__


def _secrets(headers: Headers) -> Iterator[str]:
    for name, value in headers.items():
        if isinstance(value, Secret):
            yield _credentials(value) if name.lower().endswith("authorization") else value


def _credentials(authorization: str) -> str:
    """Return an Authorization field without its scheme."""
    return authorization.partition(" ")[2] or authorization


def _mask(text: str, secrets: list[str]) -> str:
    starts = {secret: "".join(map(spellings, secret[:_MIN_LENGTH])) for secret in secrets}
    start = re.compile("|".join(starts.values()), re.IGNORECASE)
    shown = []
    end = 0
    while found := start.search(text, end):
        shown += [text[end : found.start()], "***"]
        end = max(_end(text, found.start(), secret, starts[secret]) for secret in secrets)
    return "".join([*shown, text[end:]])


def _end(text: str, position: int, secret: str, start: str) -> int:
    """Return where the secret at a position of a text ends, which may be truncated; 0 if it is not there."""
    found = re.compile(start, re.IGNORECASE).match(text, position)
    if not found:
        return 0
    end = found.end()
    for char in secret[_MIN_LENGTH:]:
        if not (more := re.compile(spellings(char), re.IGNORECASE).match(text, end)):
            break
        end = more.end()
    return end


def spellings(char: str) -> str:
    """Return a pattern of a character: as it is, percent-encoded, or escaped in JSON or HTML, perhaps repeatedly."""
    from html import escape  # rarely needed

    code, named = ord(char), re.escape(escape(char))
    percent = "".join(f"%(?:25)*{byte:02x}" for byte in char.encode(errors="surrogatepass"))
    # A bound of the backslashes keeps a search in a long run of them linear.
    return rf"(?:(?i:{percent}|\\{{1,8}}u{code:04x}|&#0*{code};|&#x0*{code:x};)|{named}|\\{{0,8}}{re.escape(char)})"
