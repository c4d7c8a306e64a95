"""Bodies that are read while they are sent, and the files in them."""

import copy
import io
import os
import pickle
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from handinger_async import ConfigurationError
from handinger_async._sources import CHUNK_SIZE
from handinger_async.codec import decode_request, encode_request
from handinger_async.http import MultipartBody, Part, Request
from handinger_async.operations import CreateTask
from handinger_async.uploads import Upload

LARGE = bytes(range(256)) * 4096 + b"end"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "report.pdf"
    path.write_bytes(LARGE)
    return path


def upload(file: Any) -> Upload:
    (found,) = CreateTask("x", files=[file]).files
    return found


def form(*files: Any) -> MultipartBody:
    body = encode_request(CreateTask("x", files=files)).body
    assert isinstance(body, MultipartBody)
    return body


# The body #############################################################################################################


def test_chunks_are_the_body_of_the_promised_length_in_order(path: Path) -> None:
    with path.open("rb") as file:
        body = form(path, ("a", LARGE), file, *((f"{i}", b"x") for i in range(100)))
        chunks = list(body.chunks())
    assert body.length == sum(map(len, chunks))
    assert all(0 < len(chunk) <= CHUNK_SIZE for chunk in chunks)
    assert len(chunks) < 20  # small parts share a chunk
    assert b"".join(chunks).count(LARGE) == 3


def test_body_is_read_again_from_its_beginning(path: Path) -> None:
    with path.open("rb") as file:
        file.seek(7)
        body = form(path, file, ("a", b"one"))
        unfinished = body.chunks()
        next(unfinished)
        assert body.is_readable
        assert body.read() == body.read()
        assert file.tell() == 7


def test_a_body_holds_no_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.truncate(100 * 2**20)
    body = form(path)
    tracemalloc.start()
    try:
        assert sum(map(len, body.chunks())) == body.length
        assert tracemalloc.get_traced_memory()[1] < 4 * CHUNK_SIZE
    finally:
        tracemalloc.stop()


def test_closing_the_chunks_closes_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    body = form(path)
    monkeypatch.setattr("builtins.open", lambda *args: opened.append(io.FileIO(args[0])) or opened[-1])
    chunks: Any = body.chunks()
    next(chunks)
    next(chunks)
    assert [file.closed for file in opened] == [False]
    chunks.close()
    assert [file.closed for file in opened] == [True]


@pytest.mark.parametrize("size", [0, 10, len(LARGE) - 1, len(LARGE) + 1, 10 * len(LARGE)])
def test_a_file_that_changed_its_size_ends_the_body_within_its_length(path: Path, size: int) -> None:
    body = form(("first", b"1"), path, ("last", b"2"))
    os.truncate(path, size)
    sent: list[bytes] = []
    with pytest.raises(OSError, match=r"the file report\.pdf changed its size while it was sent, from 1048579 bytes"):
        sent.extend(body.chunks())
    assert body.length is not None
    assert sum(map(len, sent)) < body.length
    assert b'filename="last"' not in b"".join(sent)


def test_a_file_that_is_gone_is_an_os_error(path: Path) -> None:
    body = form(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        body.read()


def test_a_value_is_equal_picklable_and_shows_no_content(path: Path) -> None:
    body = form(path, ("a", b"secret"))
    for other in (copy.copy(body), copy.deepcopy(body), pickle.loads(pickle.dumps(body))):
        assert other == body
        assert other.read() == body.read()
    assert "secret" not in repr(body)
    assert form(path) != form(path)  # the boundary
    request = encode_request(CreateTask("x", files=[path]), boundary="b")
    assert request == encode_request(CreateTask("x", files=[path]), boundary="b")
    assert pickle.loads(pickle.dumps(request)) == request


@pytest.mark.parametrize("boundary", ["", "x" * 71, "a b", 'a"', "a\r\n", "é", 1])
def test_a_boundary_that_needs_quotes_is_refused(boundary: Any) -> None:
    with pytest.raises(ConfigurationError, match="a boundary must be 1 to 70 letters"):
        MultipartBody([], boundary)


def test_parts_of_one_s_own_are_refused_if_they_cannot_be_sent() -> None:
    for wrong in ({"name": ""}, {"name": "a\0"}, {"filename": "\ud83d"}, {"media_type": "a\r\nb"}, {"content": "text"}):
        arguments: Any = {"name": "a", "content": b""} | wrong
        with pytest.raises(ConfigurationError):
            Part(**arguments)
    not_a_part: Any = b"x"
    with pytest.raises(ConfigurationError, match="parts must be instances of Part"):
        MultipartBody([not_a_part])


class Endless:
    """A source that cannot tell its length, and notes that its chunks were closed."""

    length = None
    is_readable = True
    closed = False

    def chunks(self) -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * (CHUNK_SIZE + 1)
        finally:
            self.closed = True


def test_a_source_of_one_s_own_is_read_lazily_in_small_chunks() -> None:
    source = Endless()
    body = MultipartBody([Part("a", source)], "b")
    assert body.length is None
    chunks: Any = body.chunks()
    assert max(len(next(chunks)) for _ in range(5)) == CHUNK_SIZE
    chunks.close()
    assert source.closed


# Files ################################################################################################################


def test_files_are_paths_names_with_bytes_and_open_files(path: Path) -> None:
    with path.open("rb") as file, path.open("rb", buffering=0) as raw:
        for given in (path, str(path), ("report.pdf", LARGE), ("report.pdf", bytearray(LARGE)), file, raw):
            assert upload(given) == Upload("report.pdf", LARGE, "application/pdf")
        assert upload(("other.txt", path)) == upload(("other.txt", file)) == Upload("other.txt", LARGE)
    assert upload(("a", io.BytesIO(b"one"))).read() == b"one"


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a.txt", "text/plain"),
        ("a.b.PNG", "image/png"),
        ("a.tar.gz", "application/gzip"),
        ("a.tar.bz2", "application/x-bzip2"),
        ("data:text/html,x", "application/octet-stream"),
        ("a", "application/octet-stream"),
        ("a.", "application/octet-stream"),
        ("a.\nb", "application/octet-stream"),
        ("a b:c#d?.pdf", "application/pdf"),
    ],
)
def test_media_type_is_guessed_from_the_name(name: str, media_type: str) -> None:
    assert upload((name, b"")).media_type == media_type


def test_uploads_are_equal_by_name_type_and_bytes(path: Path) -> None:
    with path.open("rb") as file:
        assert Upload("a", path) == Upload("a", LARGE) == Upload("a", file)
    for other in (
        Upload("b", LARGE),
        Upload("a", LARGE, "a/b"),
        Upload("a", LARGE[1:]),
        Upload("a", b"x" * len(LARGE)),
    ):
        assert Upload("a", path) != other
    assert Upload("a", path) != "a"
    assert attrs.evolve(CreateTask("x", files=[path]), budget="low").files == (upload(path),)


def test_one_open_file_can_be_sent_by_several_threads(path: Path) -> None:
    found: list[bytes] = []
    with path.open("rb") as file:
        bodies = [upload(file) for _ in range(4)]
        threads = [threading.Thread(target=lambda each=each: found.append(each.read())) for each in bodies]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [LARGE] * 4


def test_a_pipe_has_no_length_and_is_read_once() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        body = form(("log", file))
        assert body.length is None
        assert body.is_readable
        os.write(writing, b"one")
        chunks = body.chunks()
        os.write(writing, b"two")
        os.close(writing)
        assert b"onetwo" in b"".join(chunks)
        assert not body.is_readable
        with pytest.raises(ConfigurationError, match="not seekable was sent already, and cannot be read again"):
            body.read()


def test_a_pipe_that_does_not_wait_is_not_taken_for_ended() -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    with os.fdopen(reading, "rb", 0) as file, os.fdopen(writing, "wb"), pytest.raises(BlockingIOError):
        upload(("log", file)).read()


def test_missing_files_and_directories_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        upload(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        upload(tmp_path)
    (tmp_path / "a").touch()
    with pytest.raises(NotADirectoryError):
        upload(f"{tmp_path}/a/")


def test_an_unreadable_file_is_an_os_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr("builtins.open", refuse)  # modes do not stop the superuser
    with pytest.raises(PermissionError):
        upload(path)


def test_a_named_pipe_is_refused_without_waiting_for_its_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigurationError, match="is not a regular file: open it and pass the open file"):
        upload(tmp_path / "fifo")


class Asynchronous:
    async def read(self, size: int) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"data", r"not bytes: pass \(name, content\)"),
        (1, "not int"),
        (None, "not NoneType"),
        (("a",), r"a file as a tuple must be \(name, content\), not 1 items"),
        (("a", b"", "text/plain"), "not 3 items"),
        (("a", "text"), "not str: encode the text, or wrap a path in pathlib.Path"),
        (("a", None), "not NoneType"),
        ((b"a", b""), "the name of a file must be a string, not bytes"),
        (("", b""), "the name of a file is empty"),
        (("a\0", b""), "contains a NUL or a lone surrogate"),
        (("\udcff", b""), "contains a NUL or a lone surrogate"),
        ("a\0", "contains a NUL character"),
        (io.BytesIO(), r"the open BytesIO has no name: pass \(name, file\)"),
        (("a", io.StringIO("text")), "must be binary, not text: open it with mode 'rb'"),
        (("a", Asynchronous()), "Asynchronous is asynchronous"),
    ],
)
def test_what_is_no_file_is_refused(file: Any, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        upload(file)


def test_open_files_for_text_or_writing_and_closed_ones_are_refused(path: Path) -> None:
    with path.open("r") as text, path.open("ab") as output, path.open("rb") as closed:
        with pytest.raises(ConfigurationError, match="must be binary, not text"):
            upload(text)
        with pytest.raises(ConfigurationError, match="not a binary file that is open for reading"):
            upload(output)
        closed.close()
        with pytest.raises(ConfigurationError, match="a file is closed: keep it open until it is sent"):
            upload(closed)


def test_a_file_that_is_closed_before_it_is_sent_is_refused(path: Path) -> None:
    with path.open("rb") as file:
        operation = CreateTask("x", files=[file])
        body = form(file)
    with pytest.raises(ConfigurationError, match="a file was closed before it was sent: keep it open until then"):
        encode_request(operation)
    with pytest.raises(ConfigurationError, match="a file was closed before it was sent"):
        body.read()


@pytest.mark.parametrize("files", ["a.txt", b"a", Path("a"), {"a.txt": b""}, io.BytesIO(), Upload("a", b""), 1, None])
def test_files_must_be_several(files: Any) -> None:
    with pytest.raises(ConfigurationError, match="files must be a list or tuple of files, not"):
        CreateTask("x", files=files)


def test_complete_bodies_are_read_from_requests_of_both_kinds(path: Path) -> None:
    operation = CreateTask("x", files=[path])
    request = encode_request(operation)
    received = Request(request.method, request.target, request.headers, request.read_body())
    assert received.read_body() == request.read_body()
    assert decode_request(received) == decode_request(request) == operation
