"""Files to upload."""

import os
import re
from collections.abc import Iterable, Mapping
from typing import IO, Any, ClassVar, TypeAlias

import attrs

from ._multipart import check_media_type, check_name
from ._sources import PathSource, Source, to_source
from .errors import ConfigurationError

__all__ = ["FileInput", "Upload", "to_uploads"]

#: The last two suffixes of a name, such as ``.tar.gz``.
_SUFFIXES = r"(?a)(\.\w+)?\.\w+$"


@attrs.frozen(eq=False)
class Upload:
    """A file to upload, which is read when it is sent. Equal by name, media type and bytes; not hashable.

    Args:
        filename: Its name for the service.
        content: Bytes, an ``os.PathLike`` or an open binary file, which is sent from where it stands.
        media_type: The content type; guessed from the name by default.

    Raises:
        OSError: The file does not exist or cannot be opened.
        ConfigurationError: An argument cannot be sent.
    """

    filename: str
    content: Source = attrs.field(converter=to_source, repr=False)
    media_type: str = ""

    def __attrs_post_init__(self) -> None:
        check_name(self.filename, "the name of a file")
        if not self.media_type:
            object.__setattr__(self, "media_type", _guess(self.filename))
        check_media_type(self.media_type, "the media type of a file")

    def read(self) -> bytes:
        """Read the whole content into memory.

        Raises:
            OSError: The file cannot be read.
            ConfigurationError: It cannot be read again, or is closed.
        """
        return b"".join(self.content.chunks())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Upload):
            return NotImplemented
        if (self.filename, self.media_type) != (other.filename, other.media_type):
            return False
        if self.content == other.content:
            return True
        length = self.content.length  # None: reading would use it up
        return length is not None and length == other.content.length and self.read() == other.read()

    __hash__: ClassVar[None] = None  # type: ignore[assignment]


#: Values for ``files=``.
FileInput: TypeAlias = (
    str
    | os.PathLike[str]
    | tuple[str, bytes | bytearray | memoryview | os.PathLike[str] | IO[bytes]]
    | IO[bytes]
    | Upload
)


def _guess(filename: str) -> str:
    """Return the media type for a name; of a compressed file, that of the compression."""
    import mimetypes  # rarely needed

    found = re.search(_SUFFIXES, filename)
    media_type, encoding = mimetypes.guess_type(f"file{found[0]}") if found else (None, None)
    if encoding is not None:
        return "application/gzip" if encoding == "gzip" else f"application/x-{encoding}"
    return media_type or "application/octet-stream"


def to_uploads(files: Iterable[FileInput]) -> tuple[Upload, ...]:
    """Return the files of the argument ``files``.

    Raises:
        OSError: A file does not exist or cannot be opened.
        ConfigurationError: It is not an iterable of files.
    """
    given: Any = files
    if isinstance(given, str | bytes | os.PathLike | Mapping | Upload) or hasattr(given, "read"):
        raise ConfigurationError(f"files must be a list or tuple of files, not one {type(given).__name__}")
    if (
        isinstance(given, tuple)
        and len(given) == 2
        and isinstance(given[0], str)
        and not isinstance(given[1], str | os.PathLike | tuple | Upload)
    ):
        raise ConfigurationError("files must be a list or tuple of files, not one (name, content): put it into a list")
    try:
        items = list(given)
    except TypeError:
        raise ConfigurationError(f"files must be a list or tuple of files, not {type(given).__name__}") from None
    return tuple(map(_to_upload, items))


def _to_upload(file: Any) -> Upload:
    if isinstance(file, Upload):
        return file
    if isinstance(file, str | os.PathLike):
        source = PathSource(file)
        return Upload(os.path.basename(source.path), source)  # noqa: PTH119 - as a string, which may be "a/"
    if isinstance(file, tuple):
        if len(file) != 2:
            raise ConfigurationError(f"a file as a tuple must be (name, content), not {len(file)} items")
        return Upload(*file)
    if not callable(getattr(file, "read", None)):
        hint = ": pass (name, content)" if isinstance(file, bytes | bytearray | memoryview) else ""
        raise ConfigurationError(
            f"a file must be a path, (name, content) or an open file, not {type(file).__name__}{hint}"
        )
    content = to_source(file)
    name = getattr(file, "name", None)
    if not isinstance(name, str) or not name:
        raise ConfigurationError(f"the open {type(file).__name__} has no name: pass (name, file)")
    return Upload(os.path.basename(name), content)  # noqa: PTH119
