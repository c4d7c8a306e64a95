"""Plain file names, whatever a server calls its files."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async._file_names import disposition_name, distinct, path_name, plain_name


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("plan.md", "plan.md"),
        ("scratchpad/plan.md", "plan.md"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\autoexec.bat", "autoexec.bat"),
        ("C:\\Windows\\win.ini", "win.ini"),
        ("C:evil", "C_evil"),
        ("file.txt:stream", "file.txt_stream"),
        ("/", "download"),
        ("", "download"),
        (".", "download"),
        ("..", "download"),
        ("...", "download"),
        ("   ", "download"),
        ("a\0b\r\nc\x7f\x85", "a_b__c__"),
        ("txt.\u202egpj", "txt._gpj"),
        ("a\u2028b\ud800c\u200b", "a_b_c_"),
        ('<a>"b"|c?*', "_a__b__c__"),
        ("plan.md. . ", "plan.md"),
        ("  plan.md\u00a0", "plan.md"),
        ("plan\u00a0. \u2003..", "plan"),
        (".bashrc", "_bashrc"),
        (" .bashrc", "_bashrc"),
        ("con", "_con"),
        ("CON.txt", "_CON.txt"),
        ("nul .txt", "_nul .txt"),
        ("COM1", "_COM1"),
        ("lpt².log", "_lpt².log"),
        ("CONIN$", "_CONIN$"),
        ("console.txt", "console.txt"),
        ("com10", "com10"),
        ("Größe, 東京.md", "Größe, 東京.md"),
        ("é".encode().decode() + ".md", "é.md"),
        (unicodedata.normalize("NFD", "é.md"), "é.md"),
        ("x" * 300 + ".md", "x" * 252 + ".md"),
        ("東" * 100, "東" * 85),
        ("a." + "b" * 300, "a." + "b" * 253),
    ],
)
def test_plain_name(name: str, plain: str) -> None:
    assert plain_name(name) == plain


@given(st.text() | st.text("./\\: \0conul1", max_size=12))
def test_plain_names_are_safe_and_stay_as_they_are(name: str) -> None:
    plain = plain_name(name)
    assert plain
    assert len(plain.encode()) <= 255
    assert not set(plain) & set('/\\<>:"|?*')
    assert plain.strip() == plain.rstrip(". ").lstrip(".") == plain
    assert plain_name(plain) == plain


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/api/workers/w/files/scratchpad/plan.md", "plan.md"),
        ("/files/my%20plan.md", "my plan.md"),
        ("/files/%2e%2e%2fevil", "evil"),
        ("/files/%00", "_"),
        ("/files/%ff", "\ufffd"),
        ("/", "download"),
        ("", "download"),
    ],
)
def test_name_of_a_path(path: str, name: str) -> None:
    assert path_name(path) == name


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("", ""),
        ("attachment", ""),
        ("inline; filename=plan.md", "plan.md"),
        ('attachment; filename="plan.md"', "plan.md"),
        ('attachment;FILENAME="plan.md"', "plan.md"),
        ('attachment; filename = "my plan.md" ; size=1', "my plan.md"),
        ("attachment; filename=my plan.md; size=1", "my plan.md"),
        (r'attachment; filename="a \"b\" \\ c"', r'a "b" \ c'),
        ('attachment; filename="a; filename=evil"', "a; filename=evil"),
        ('attachment; x="; filename=evil"; filename=plan.md', "plan.md"),
        ("attachment; filename*=UTF-8''%e2%82%ac%20rates", "€ rates"),
        ("attachment; filename*=utf-8'en'a%2Fb; filename=c", "a/b"),
        ("attachment; filename=\"EURO rates\"; filename*=utf-8''%e2%82%ac%20rates", "€ rates"),
        ("attachment; filename*=iso-8859-1'en'%A3%20rates", "£ rates"),
        ("attachment; filename*=\"UTF-8''a.md\"", "a.md"),
        ("attachment; filename*=UTF-8''%ff; filename=plan.md", "plan.md"),
        ("attachment; filename*=utf-16''%00a; filename=plan.md", "plan.md"),
        ("attachment; filename*=plan.md", ""),
        ("attachment; filename=", ""),
        ('attachment; filename=""', ""),
        ('attachment; filename="unfinished', ""),
        ('attachment; filename="a", attachment; filename="b"', "a"),
        ("attachment; myfilename=evil", ""),
        ('filename="plan.md"', "plan.md"),
        ("attachment; filename=東京.md", "東京.md"),
    ],
)
def test_name_in_a_content_disposition(field: str, name: str) -> None:
    assert disposition_name(field) == name


@given(st.text() | st.text("\";=\\*filename '%", max_size=40))
def test_no_content_disposition_is_an_error(field: str) -> None:
    disposition_name(field)


@pytest.mark.parametrize("field", ['"', ";filename", ';filename="\\', '"\\', ";filename=  ", ";filename =", "; "])
def test_only_the_beginning_of_a_content_disposition_is_read(field: str) -> None:
    disposition_name(field * 1_000_000)  # ends within the test's time


def test_equal_names_are_numbered_also_where_capitals_do_not_count() -> None:
    names = ["a.md", "a.md", "A.md", "a (2).md", "b", "B", "x" * 252 + ".md", "x" * 252 + ".md"]
    assert distinct(names) == [
        "a.md",
        "a (2).md",
        "A (3).md",
        "a (2) (2).md",
        "b",
        "B (2)",
        "x" * 252 + ".md",
        "x" * 248 + " (2).md",
    ]


@given(st.lists(st.text("aA.", min_size=1, max_size=4).map(plain_name)))
def test_distinct_names_differ_and_are_plain(names: list[str]) -> None:
    found = distinct(names)
    assert len({name.casefold() for name in found}) == len(names)
    assert list(map(plain_name, found)) == found
