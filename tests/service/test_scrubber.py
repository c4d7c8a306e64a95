"""The scrubber finds secrets in JSON, in JSON inside of strings, in events and in queries, whatever their spelling."""

import html
import itertools
import json
from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handinger_async.http import Headers
from handinger_async.testing._scrubber import Scrubber

KEY = "sk/very+secret=%<&>"


def scrub(body, *names, key=""):
    return b"".join(Scrubber(names, [key]).chunks([body]))


def test_a_scrubbed_value_keeps_its_type():
    body = b'{"a":"x","a":1.5,"a":7,"a":true,"a":null,"a":[1],"a":{"b":2}}'
    expected = b'{"a":"***","a":0.0,"a":0,"a":false,"a":null,"a":[],"a":{}}'
    assert Scrubber(["a"]).chunks([body]) == [expected]


@given(
    values=st.lists(st.text(min_size=1), max_size=4),
    cuts=st.lists(st.integers(0, 300)),
    indent=st.sampled_from([None, 1]),
)
def test_no_part_of_a_scrubbed_value_is_left_for_any_chunks(values, cuts, indent):
    document = [{"keep": "kept", "täg": f"SECRET{value}TERCES"} for value in values]
    body = json.dumps(document, ensure_ascii=False, indent=indent).encode("utf-8", "surrogatepass")
    marks = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    chunks = [body[begin:end] for begin, end in itertools.pairwise(marks)]
    scrubbed = Scrubber(["täg"]).chunks(chunks)
    assert len(scrubbed) <= len(chunks)
    assert json.loads(b"".join(scrubbed)) == [{"keep": "kept", "täg": "***"} for _ in values]


@pytest.mark.parametrize("spelling", ["api_key", "apiKey", "api-key", "API key", "ApiKey", "apikey"])
@pytest.mark.parametrize("name", ["api_key", "API-Key", "apikey"])
def test_a_name_is_found_in_any_spelling(name, spelling):
    scrubber = Scrubber([name])
    assert scrub(json.dumps({spelling: "s"}).encode(), name) == json.dumps({spelling: "***"}).encode()
    assert scrubber.target(f"/a?{quote(spelling)}=s&b=1") == f"/a?{quote(spelling)}=***&b=1"
    if " " not in spelling:
        assert scrubber.headers(Headers({spelling: "s", "Other": "o"})) == {spelling: "***", "Other": "o"}


@pytest.mark.parametrize("depth", range(4))
@pytest.mark.parametrize("ascii_only", [True, False])
def test_json_in_json_strings_is_scrubbed_at_any_depth(depth, ascii_only):
    def nested(secret):
        value = {"täg": secret, "keep": "€", "täg2": "kept"}
        for _ in range(depth):
            value = [json.dumps({"inner": value}, ensure_ascii=ascii_only)]
        return value

    body = json.dumps(nested({"a": ["SECRET", 1]}), ensure_ascii=ascii_only).encode()
    assert json.loads(scrub(body, "TÄG")) == nested({})
    for end in range(len(body)):
        assert b"SECRET" not in scrub(body[:end], "täg")


def test_text_around_json_does_not_hide_it():
    for before in (b"", b'say "hi: ', b'\\"', b'"\\', b'x: "y\n'):
        assert b"SECRET" not in scrub(before + b'{"a":"SECRET"}', "a")
        assert b"SECRET" not in scrub(before + b'{"b":"{\\"a\\":\\"SECRET\\"}"}', "a")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_value_over_several_lines_of_an_event_is_scrubbed_alone(newline):
    lines = [
        "data: {",
        'data: "a"',
        "data: :",
        "data: [",
        'data: "SECRET", 1',
        'data: ], "b": 2}',
        "",
        "data: 3",
        "",
        "",
    ]
    event, _, rest = scrub(newline.join(lines).encode(), "a").decode().partition(newline * 2)
    assert "SECRET" not in event
    assert json.loads("".join(line.removeprefix("data:") for line in event.splitlines())) == {"a": [], "b": 2}
    assert rest == newline.join(lines[7:])


@pytest.mark.parametrize("between", ["", ": ping\n", "id: 3\n:\nretry: 1\n"])
@pytest.mark.parametrize("field", ['"a": "SECRET"', '"a":\n"SECRET"', '"a"\n:\n"SECRET"', '"a": [\n"SECRET"\n]'])
def test_other_lines_of_an_event_do_not_hide_its_data(between, field):
    lines = f'{{"b": 1,\n{field}\n, "c": 2}}'.split("\n")
    event = "".join(f"{between}data: {line}\n" for line in lines) + "\n"
    scrubbed = scrub(event.encode(), "a").decode()
    data = [line.removeprefix("data: ") for line in scrubbed.splitlines() if line.startswith("data:")]
    assert json.loads("\n".join(data)) == {"b": 1, "a": [] if "[" in field else "***", "c": 2}


LARGE = json.dumps([{"id": number, "a": "SECRET"} for number in range(8000)])
LINES = json.dumps([{"a": {"b": "SECRET"}} for _ in range(3000)], indent=1)


@pytest.mark.timeout(60)  # they would take many minutes if the time were not proportional to the length
@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"log": LARGE}),
        json.dumps({"log": json.dumps(LARGE)}),
        "data: " + LINES.replace("\n", "\ndata: "),
        '{"a": {"SECRET": ' + "\n: x" * 100_000,
    ],
    ids=["JSON in a string", "in a string of a string", "lines of an event", "comments"],
)
def test_the_time_is_proportional_to_the_length_of_a_body(body):
    assert b"SECRET" not in scrub(body.encode(), "a")


def test_what_follows_a_truncated_event_is_kept():
    for newline in (b"\n", b"\r\n", b"\r"):
        event = newline * 2 + b'data: {"b": 1}' + newline * 2
        assert scrub(b'data: {"a": {"x": "SECRET' + event, "a") == b'data: {"a": "***"' + event


def test_a_value_nested_too_deeply_to_parse_is_masked():
    body = b'{"a":' * 100_000
    assert scrub(body + b"SECRET", "a") == b'{"a":"***"'


@pytest.mark.parametrize(
    ("target", "scrubbed"),
    [
        ("/a?my+token=s&b=1", "/a?my+token=***&b=1"),
        ("/a?my%20token=s", "/a?my%20token=***"),
        ("/a?A%2FB=s%20s&b", "/a?A%2FB=***&b"),
        ("/a?a/b=s", "/a?a/b=***"),
        ("/a?t%C3%A4g=s", "/a?t%C3%A4g=***"),
        ("/a?b=my+token%3D1", "/a?b=my+token%3D1"),
        ("/a?filter=%7B%22a%2Fb%22%3A%22s%22%7D", "/a?filter=%7B%22a%2Fb%22%3A%22***%22%7D"),
        ("/a/b=s", "/a/b=s"),
    ],
)
def test_query_fields_are_found_by_their_decoded_names(target, scrubbed):
    assert Scrubber(["my token", "a/b", "täg"]).target(target) == scrubbed


def test_queries_of_urls_are_scrubbed_in_bodies_headers_and_messages():
    url = "https://x.example/f?sig=SECRET&n=1"
    scrubber = Scrubber(["sig"])
    assert scrubber.headers(Headers({"Location": url})) == {"Location": url.replace("SECRET", "***")}
    assert scrubber.text(f"cannot reach {url}") == f"cannot reach {url}".replace("SECRET", "***")
    for body in (json.dumps({"url": url}), json.dumps({"url": url}).replace("&", r"\u0026").replace("?", r"\u003f")):
        assert json.loads(scrub(body.encode(), "sig")) == {"url": url.replace("SECRET", "***")}


@pytest.mark.parametrize(
    "shown",
    [
        "https://x.example/#sig=SECRET",
        "a=1&next=" + quote("https://x.example/?sig=SECRET"),
        "a=1&next=" + quote(quote("https://x.example/?sig=SECRET&n=1")),
        "payload=" + quote('{"sig":"SECRET"}'),
        "payload=" + quote('{"ä":"ä","sig":"SECRET"}') + "&b=1",
        "payload=ä" + quote('"sig":"SECRET"'),
    ],
)
def test_fields_inside_urls_and_forms_are_scrubbed(shown):
    for text in (shown, json.dumps({"url": shown}), json.dumps({"url": json.dumps(shown)})):
        masked = scrub(text.encode(), "sig").decode()
        assert "SECRET" not in masked
        assert "***" in unquote(unquote(masked))
    assert "SECRET" not in Scrubber(["sig"]).target(f"/a?b={quote(shown)}")
    assert Scrubber(["other"]).text(shown) == shown


@pytest.mark.parametrize("encode", [str, json.dumps])
def test_a_part_of_the_key_at_the_end_of_a_truncated_body_is_masked(encode):
    body = encode(f"the key {KEY} is unknown").encode()
    for end in range(len(body)):
        assert KEY[:10].encode() not in scrub(body[:end], key=KEY)
    assert scrub(b"sk/very", key=KEY) == b"sk/very"


def test_the_key_is_found_in_any_escaping():
    escaped = "".join(f"\\u{ord(character):04X}" for character in KEY)
    spellings = [KEY, quote(KEY), quote(KEY, safe=""), quote(quote(KEY, safe="")), quote(KEY).lower(), escaped]
    spellings += [html.escape(KEY), "".join(f"&#{ord(c)};" for c in KEY), "".join(f"&#x{ord(c):02X};" for c in KEY)]
    for spelling in [*spellings, json.dumps(KEY)[1:-1], KEY.replace("/", "\\/")]:
        assert Scrubber([], [KEY]).text(f"({spelling})") == "(***)"
        assert scrub(f"({spelling})".encode(), key=KEY) == b"(***)"
    for target in (f"/a/{quote(KEY, safe='')}?b={quote(KEY)}", f"/a/{quote(KEY)}?b={quote(KEY, safe='')}"):
        assert Scrubber([], [KEY]).target(target) == "/a/***?b=***"


def test_a_short_key_is_masked_as_a_credential_alone():
    scrubber = Scrubber([], ["any"])
    assert scrubber.headers(Headers({"Authorization": "Bearer any", "X-Many": "any"})) == {
        "Authorization": "***",
        "X-Many": "any",
    }
    assert scrubber.text("any news?") == "any news?"
