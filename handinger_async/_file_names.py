"""Plain file names from what a server calls its files."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from urllib.parse import unquote, unquote_to_bytes

__all__ = ["disposition_name", "distinct", "path_name", "plain_name"]

#: Bytes of UTF-8 that the usual file systems accept.
_MAX_BYTES = 255
_MAX_SUFFIX = 32
#: Characters of a header field that are read: the patterns take quadratic time for hostile ones.
_MAX_FIELD = 4096
#: Used where nothing is left of a name.
_DEFAULT = "download"
#: Not allowed in names on Windows; a colon would name a stream of another file.
_SPECIAL = frozenset('<>:"|?*')
#: Unicode categories that do not belong into names: controls, formats such as a change of direction, surrogates, line
#: and paragraph separators.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
#: Names of devices on Windows, with any suffix.
_RESERVED = r"(?i)(?:con|prn|aux|nul|conin\$|conout\$|clock\$|(?:com|lpt)[0-9¹²³]) *(?:\.|$)"
#: A parameter of Content-Disposition (RFC 6266, section 4.1): its name, and its value, quoted or not.
_PARAMETER = r"""(?i)(?:^|;)\s*(filename\*?)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^";][^;]*))"""


def plain_name(name: str) -> str:
    """Return the last segment of a name as a name that is safe in a directory on every usual system.

    Args:
        name: A name or a path, of either kind of slashes.

    Returns:
        A name of at most 255 bytes without control characters, slashes and other special characters, blanks and dots at
        its ends, and not that of a device.
    """
    segment = re.split(r"[/\\]", name)[-1]
    chars = [
        "_" if char in _SPECIAL or unicodedata.category(char) in _INVISIBLE else char
        for char in unicodedata.normalize("NFC", segment)
    ]
    plain = _strip_end("".join(chars).lstrip())
    if plain.startswith("."):  # hidden files configure programs
        plain = "_" + plain[1:]
    if re.match(_RESERVED, plain):
        plain = "_" + plain
    return _truncate(plain) or _DEFAULT


def path_name(path: str) -> str:
    """Return a plain name for the last segment of a percent-encoded path."""
    return plain_name(unquote(path.rpartition("/")[2]))


def disposition_name(field: str) -> str:
    """Return the file name in a Content-Disposition field (RFC 6266); ``""`` if there is none.

    Args:
        field: The value of the header field.

    Returns:
        The name as sent: give it to `plain_name`. ``filename*`` wins over ``filename``.
    """
    found: dict[str, str] = {}
    for parameter in re.finditer(_PARAMETER, _hide_quoted_semicolons(field[:_MAX_FIELD])):
        key, quoted, token = parameter.groups()
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else token.strip()
        value = value.replace("\0", ";")
        found.setdefault(key.lower(), _decode(value) if key.endswith("*") else value)
    return found.get("filename*") or found.get("filename", "")


def distinct(names: Iterable[str]) -> list[str]:
    """Return the plain names, numbered where two are the same, also where capitals do not count: ``plan (2).md``."""
    taken: set[str] = set()
    result = []
    for name in names:
        stem, suffix = _split(name)
        chosen, number = name, 1
        while chosen.casefold() in taken:
            number += 1
            ending = f" ({number}){suffix}"
            chosen = _cut(stem, _MAX_BYTES - len(ending.encode())) + ending
        taken.add(chosen.casefold())
        result.append(chosen)
    return result


def _hide_quoted_semicolons(field: str) -> str:
    """Replace the semicolons in quoted strings by NUL, which no header contains: ``;`` begins a parameter."""
    return re.sub(r'"(?:[^"\\]|\\.)*"', lambda found: found.group().replace(";", "\0"), field)


def _decode(value: str) -> str:
    """Decode ``charset'language'percent-encoded`` (RFC 8187); ``""`` if that is not possible."""
    charset, _, rest = value.partition("'")
    if charset.lower() not in ("utf-8", "iso-8859-1"):
        return ""
    try:
        return unquote_to_bytes(rest.partition("'")[2]).decode(charset)
    except UnicodeDecodeError:
        return ""


def _truncate(name: str) -> str:
    """Truncate a name to `_MAX_BYTES`, and keep its suffix."""
    if len(name.encode()) <= _MAX_BYTES:
        return name
    stem, suffix = _split(name)
    return _cut(stem, _MAX_BYTES - len(suffix.encode())) + suffix


def _split(name: str) -> tuple[str, str]:
    """Split a name before its suffix; a long suffix is none."""
    stem, dot, suffix = name.rpartition(".")
    return (stem, dot + suffix) if stem and len(suffix.encode()) <= _MAX_SUFFIX else (name, "")


def _cut(text: str, size: int) -> str:
    return _strip_end(text.encode()[:size].decode(errors="ignore"))


def _strip_end(text: str) -> str:
    """Return a text without dots and blanks of any kind at its end."""
    while text != (text := text.rstrip().rstrip(".")):
        pass
    return text
