"""Forms of other clients, as the service's side reads them, and what a form cannot carry."""

import re
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async import ConfigurationError
from handinger_async.codec import decode_request, encode_request
from handinger_async.http import Request
from handinger_async.operations import CreateTask
from handinger_async.uploads import Upload

INPUT = b'--B\r\nContent-Disposition: form-data; name="input"\r\n\r\nHello.\r\n'
END = b"--B--\r\n"


def read(body: bytes, content_type: str = "multipart/form-data; boundary=B") -> object:
    return decode_request(Request("POST", "/api/tasks", {"Content-Type": content_type}, body))


def file_part(disposition: str, *, head: str = "", data: bytes = b"data") -> bytes:
    return f"--B\r\nContent-Disposition: form-data; {disposition}\r\n{head}\r\n".encode() + data + b"\r\n"


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; boundary="B"',
        "Multipart/Form-Data;charset=utf-8;BOUNDARY=B",
        'multipart/form-data; x="a;b"; boundary=B',
    ],
)
def test_boundary_is_found_quoted_or_not(content_type: str) -> None:
    assert read(INPUT + END, content_type) == CreateTask("Hello.")


def test_boundary_may_have_any_characters() -> None:
    boundary = "-(a)+b? c'"
    body = (INPUT + END).replace(b"--B", b"--" + boundary.encode())
    assert read(body, f'multipart/form-data; boundary="{boundary}"') == CreateTask("Hello.")


def test_preamble_epilogue_and_blanks_after_a_boundary_are_skipped() -> None:
    body = b"before\r\n--BA\r\n--B \t\r\n" + INPUT.removeprefix(b"--B\r\n") + b"--B--and more\r\n--B\r\n"
    assert read(body) == CreateTask("Hello.")


@pytest.mark.parametrize("value", ["", "\n", "\r\n", "a\r\n--A\r\n--\r\n\r\nb", "\n--B\n", "a\r\n-B", '"', "&amp;\\"])
def test_values_keep_line_ends_and_look_alikes_of_the_boundary(value: str) -> None:
    assert read(INPUT.replace(b"Hello.", value.encode()) + END) == CreateTask(value)


@pytest.mark.parametrize("name", ["files", "files[]"])
def test_either_name_of_files_is_read_once_or_more(name: str) -> None:
    part = file_part(f'name="{name}"; filename="a.txt"', head="content-type: text/x\r\n")
    a = Upload("a.txt", b"data", "text/x")
    assert read(part + INPUT + END) == CreateTask("Hello.", files=[a])
    assert read(part + INPUT + part + END) == CreateTask("Hello.", files=[a, a])


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        ("name=files; filename=a.txt", "a.txt"),
        ('filename="a;b.txt" ;name="files";', "a;b.txt"),
        (r'name="files"; filename="a\"b\\c.txt"', r'a"b\c.txt'),
        (r'name="files"; filename="a\b.txt"', r"a\b.txt"),
        ('name="files"; filename="%22%0D%0A%25é"', '"\r\n%25é'),
        ('name="files"; filename="%C3%A9.txt"; filename*=utf-8\'\'%C3%A9.txt', "é.txt"),
    ],
)
def test_filenames_are_read_as_other_clients_write_them(disposition: str, name: str) -> None:
    operation = read(INPUT + file_part(disposition) + END)
    assert isinstance(operation, CreateTask)
    assert [file.filename for file in operation.files] == [name]
    assert operation.files[0].media_type == "application/octet-stream"


def test_a_file_field_in_which_nothing_was_chosen_is_no_file() -> None:
    assert read(INPUT + file_part('name="files"; filename=""', data=b"") + END) == CreateTask("Hello.")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "truncated"),
        (INPUT, "its last part has no end"),
        (INPUT + b"--B-", "its last part has no end"),
        (INPUT.replace(b"\r\n", b"\n") + END, "truncated|has no head"),
        (b"--B\r\n\r\nx\r\n--B--", "no head|no name"),
        (b"--B\r\nX: " + b"x" * 20000 + b"\r\n\r\nx\r\n--B--", "no head, or a long one"),
        (b"--B\r\nContent-Disposition: attachment; name=input\r\n\r\nx\r\n--B--", "no name"),
        (b"--B\r\nContent-Disposition: form-data\r\n\r\nx\r\n--B--", "no name"),
        (INPUT.replace(b"Hello.", b"\xff") + END, "the field input is not UTF-8"),
        (INPUT + file_part('name="other"; filename="a"') + END, "no field other for a file"),
        (
            INPUT + file_part('name="files"; filename="a"', head="Content-Transfer-Encoding: base64\r\n") + END,
            "has not",
        ),
        (INPUT + file_part('name="files"') + END, re.escape("$.files")),
        (file_part('name="files"; filename="a"') + END, r"\$\.input is missing"),
        (INPUT + file_part('name="files"; filename="a" b') + END, "malformed parameters of a header field"),
        (INPUT + file_part("name=files" + ';a="' * 4001) + END, "malformed parameters of a header field"),
        (INPUT * 10_001 + END, "more than 10000 parts"),
    ],
)
def test_what_is_no_form_for_a_task_is_refused(body: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read(body)


@pytest.mark.parametrize("parameters", ["", "; boundary=", "; boundary=" + "x" * 71])
def test_a_form_without_a_usable_boundary_is_refused(parameters: str) -> None:
    with pytest.raises(ValueError, match="the Content-Type has no boundary"):
        read(INPUT + END, f"multipart/form-data{parameters}")


@given(st.data())
def test_a_form_that_was_changed_is_read_or_refused(data: st.DataObject) -> None:
    body = INPUT + file_part('name="files"; filename="a;b"', head="Content-Type: text/plain\r\n") + END
    start = data.draw(st.integers(0, len(body)))
    end = data.draw(st.integers(start, min(len(body), start + 20)))
    inserted = data.draw(st.binary(max_size=3) | st.sampled_from([b"\r\n", b"--B", b'"', b";"]))
    changed = body[:start] + inserted + body[end:]
    with suppress(ValueError):
        assert isinstance(read(changed), CreateTask)


def test_files_in_json_and_for_other_operations_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\$\.files\[0\] must be a file in multipart/form-data, not a string"):
        decode_request(Request("POST", "/api/tasks", body=b'{"input":"x","files":["x"]}'))
    body = INPUT + file_part('name="files"; filename="a"') + END
    with pytest.raises(ValueError, match="POST /api/workers takes no files"):
        decode_request(Request("POST", "/api/workers", {"Content-Type": "multipart/form-data; boundary=B"}, body))


def test_a_boundary_is_made_for_each_request_and_kept() -> None:
    operation = CreateTask("x", files=[("a.txt", b"one")])
    first, second = encode_request(operation), encode_request(operation)
    assert first.headers != second.headers
    assert first.read_body() == first.read_body() != second.read_body()
    assert decode_request(first) == decode_request(second) == operation


def test_lone_surrogates_are_refused_beside_files() -> None:
    CreateTask("\ud83d")
    with pytest.raises(ConfigurationError, match="input contains a lone surrogate, which cannot be sent beside files"):
        CreateTask("\ud83d", files=[("a.txt", b"")])
