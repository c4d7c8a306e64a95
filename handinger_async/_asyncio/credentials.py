"""API keys that rotate, and the masking of keys in errors: a server may echo a request."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from inspect import isawaitable
from typing import Any, TypeAlias

import attrs

from ..errors import APIError, ConfigurationError
from ..http import Headers, Request, Secret, authorize

__all__ = ["KeySource", "authenticate", "mask_secrets"]

KeySource: TypeAlias = Callable[[], str | Awaitable[str]]

#: The shortest key, or beginning of a truncated one, that is masked. No word of a message is to be taken for a key.
_MIN_LENGTH = 8


async def authenticate(request: Request, get_key: KeySource) -> Request:
    """Return a prepared request with the API key of the moment.

    Raises:
        ConfigurationError: The key cannot be sent.
    """
    key = get_key()
    if isawaitable(key):
        key = await key
    authorization, problem = authorize(key)
    del key  # tracebacks may show local variables
    if problem:
        raise ConfigurationError(f"the result of the function api_key {problem}")
    return attrs.evolve(request, headers=request.headers | authorization)


def mask_secrets(error: APIError, request: Request) -> None:
    """Replace the credentials of a request by ``***`` wherever an error and its causes quote them.

    The body of a response stays as the server sent it; it is in no text of an error.
    """
    secrets = [secret for secret in _secrets(request.headers) if len(secret) >= _MIN_LENGTH]
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
            yield value.partition(" ")[2] or value if name.lower().endswith("authorization") else value


def _mask(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        shown = []
        end = 0
        beginning = re.compile("".join(map(_spellings, secret[:_MIN_LENGTH])), re.IGNORECASE)
        while found := beginning.search(text, end):
            shown += [text[end : found.start()], "***"]
            end = found.end()
            for char in secret[_MIN_LENGTH:]:  # the text may end within the secret
                if not (more := re.compile(_spellings(char), re.IGNORECASE).match(text, end)):
                    break
                end = more.end()
        text = "".join([*shown, text[end:]])
    return text


def _spellings(char: str) -> str:
    """Return a pattern of a character as it is, in percent-encoding, and escaped in JSON (perhaps twice) or HTML."""
    from html import escape  # rarely needed

    code, literal = ord(char), re.escape(char)
    return rf"(?:\\*{literal}|%{code:02x}|\\+u{code:04x}|&#0*{code};|&#x0*{code:x};|{re.escape(escape(char))})"
