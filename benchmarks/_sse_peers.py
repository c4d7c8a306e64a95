"""SSE parsers of other packages, and two lower limits, each as a function from chunks to events.

The Python peers are in the dependency group ``benchmarks``. The JavaScript one needs ``node`` on the path and its
package where node finds it: ``npm install eventsource-parser`` in the current directory or a parent, or anywhere, with
``NODE_PATH`` set to its ``node_modules``. A missing peer is printed, and the run continues without it.
"""

from __future__ import annotations

import codecs
import importlib
import itertools
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from handinger_async.sse import EventParser

from ._measure import version
from ._sse_workloads import Chunks, Workload

Run = Callable[[Chunks], Iterable[Any]]

OURS = "handinger_async"
BASE = "httpx-sse"
LIMITS = ("bytes.split", "decode, split, tuple")
NODE = "eventsource-parser (node)"
NATIVE = "ultrafast-client (Rust)"


def ours(chunks: Chunks) -> Iterator[Any]:
    """The parser of this library."""
    return itertools.chain.from_iterable(map(EventParser().feed, chunks))


def split_only(chunks: Chunks) -> Iterator[bytes]:
    """Return blocks: the first limit only finds the blank lines."""
    return iter(b"".join(chunks).split(b"\n\n"))


def split_tuple(chunks: Chunks) -> Iterator[tuple[str, str, str]]:
    """Return tuples: the second limit decodes, finds plain events and builds the cheapest object for each."""
    texts = b"".join(chunks).decode().split("\n\ndata: ")
    return zip(texts, itertools.repeat("message"), itertools.repeat(""), strict=False)


def _lines(chunks: Chunks) -> Iterator[bytes]:
    """Split chunks at line feeds, for peers that leave it to aiohttp's reader or to their caller."""
    buffered: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\n")
        buffered.append(first)
        if rest:
            yield b"".join(buffered) + b"\n"
            buffered = [rest.pop()]
            for line in rest:
                yield line + b"\n"


class _EndError(Exception):
    """The end of the chunks."""


class _Content:
    """A stand-in for the body of an aiohttp response."""

    def __init__(self, chunks: Chunks) -> None:
        self._lines = _lines(chunks)

    def __aiter__(self) -> _Content:
        return self

    async def __anext__(self) -> bytes:
        for line in self._lines:
            return line
        raise _EndError


def _drive(step: Callable[[], Any]) -> Iterator[Any]:
    """Run coroutines that never suspend, without an event loop."""
    while True:
        try:
            step().send(None)
        except StopIteration as stop:
            yield stop.value
        except _EndError:
            return


def httpx_sse() -> Run:
    """Load the decoders of httpx-sse, fed as by httpx."""
    decoders = importlib.import_module("httpx_sse._decoders")
    utf8 = codecs.getincrementaldecoder("utf-8")

    def run(chunks: Chunks) -> Iterator[Any]:
        text, lines, decode = utf8("replace"), decoders.SSELineDecoder(), decoders.SSEDecoder().decode
        for chunk in chunks:
            for line in lines.decode(text.decode(chunk)):
                event = decode(line)
                if event is not None:
                    yield event

    return run


def sseclient_py() -> Run:
    """Load the client class of sseclient-py, over an iterator of bytes."""
    client = importlib.import_module("sseclient").SSEClient
    return lambda chunks: client(iter(chunks)).events()


def launchdarkly() -> Run:
    """Load the reader of launchdarkly-eventsource, without comments."""
    reader = importlib.import_module("ld_eventsource.reader")
    kind = importlib.import_module("ld_eventsource.actions").Event

    def run(chunks: Chunks) -> Iterator[Any]:
        lines = reader._BufferedLineReader.lines_from(chunks)  # noqa: SLF001
        events = reader._SSEReader(lines).events_and_comments()  # noqa: SLF001
        return (event for event in events if isinstance(event, kind))

    return run


def aiohttp_sse_client2() -> Run:
    """Load the event source of aiohttp-sse-client2, over a stand-in for a response."""
    client = importlib.import_module("aiohttp_sse_client2.client")

    def run(chunks: Chunks) -> Iterator[Any]:
        source = client.EventSource("http://localhost/", session=object())
        source._response = SimpleNamespace(status=200, content=_Content(chunks))  # noqa: SLF001
        return _drive(source.__anext__)

    return run


def aiosseclient() -> Run:
    """Load the generator of aiosseclient, over a stand-in for a session."""
    module = importlib.import_module("aiosseclient")

    class Session:
        closed = True
        chunks: Chunks = []  # noqa: RUF012

        def __init__(self, **_: object) -> None: ...

        async def __aenter__(self) -> Session:  # noqa: PYI034
            return self

        async def __aexit__(self, *_: object) -> None: ...

        async def get(self, *_: object, **__: object) -> SimpleNamespace:
            return SimpleNamespace(status=200, content=_Content(Session.chunks), close=lambda: None)

    module.aiohttp = SimpleNamespace(ClientSession=Session, ClientTimeout=lambda **_: None)

    def run(chunks: Chunks) -> Iterator[Any]:
        Session.chunks = chunks
        return _drive(module.aiosseclient("http://localhost/").__anext__)

    return run


def assel() -> Run:
    """Load the parser of assel."""
    module = importlib.import_module("assel")
    # All its parsers share one incremental decoder: a stream must end at a character boundary to leave it clean.
    return lambda chunks: itertools.chain.from_iterable(map(module.Parser().receive_bytes, chunks))


def _sdk(name: str) -> Callable[[], Run]:
    def load() -> Run:
        decoder = importlib.import_module(f"{name}._streaming").SSEDecoder
        return lambda chunks: (event for event in decoder().iter_bytes(iter(chunks)) if event.data)

    return load


def ultrafast() -> Run:
    """Load the line function of ultrafast-client (Rust); this function splits lines and assembles events."""
    parse = importlib.import_module("ultrafast_client").parse_sse_line

    def run(chunks: Chunks) -> Iterator[Any]:
        data: list[str] = []
        for line in _lines(chunks):
            if line == b"\n":
                if data:
                    yield SimpleNamespace(data="\n".join(data))
                    data = []
            else:
                field = parse(line[:-1].decode())
                if field is not None and field[0] == "data":
                    data.append(field[1])

    return run


PEERS: dict[str, tuple[str, Callable[[], Run]]] = {  # by name: the distribution and a loader
    BASE: ("httpx-sse", httpx_sse),
    "sseclient-py": ("sseclient-py", sseclient_py),
    "launchdarkly-eventsource": ("launchdarkly-eventsource", launchdarkly),
    "aiohttp-sse-client2": ("aiohttp-sse-client2", aiohttp_sse_client2),
    "aiosseclient": ("aiosseclient", aiosseclient),
    "assel": ("assel", assel),
    "openai's decoder": ("openai", _sdk("openai")),
    "anthropic's decoder": ("anthropic", _sdk("anthropic")),
    "the official client's decoder": ("handinger", _sdk("handinger")),
    NATIVE: ("ultrafast-client", ultrafast),
}

NODE_SCRIPT = """
const {createParser} = require('eventsource-parser')
const fs = require('fs')
const jobs = JSON.parse(fs.readFileSync(process.argv[2]))
const rounds = Number(process.argv[3])
const chunksOf = job => {
  const data = fs.readFileSync(job.file)
  let at = 0
  return job.sizes.map(size => data.subarray(at, (at += size)))
}
const out = {}
for (const [name, job] of Object.entries(jobs)) {
  const chunks = chunksOf(job), times = []
  let count = 0
  for (let round = -4; round <= rounds; round++) { // five rounds to warm up the compiler
    count = 0
    const start = process.hrtime.bigint()
    const text = new TextDecoder()
    const parser = createParser({onEvent: () => { count++ }})
    for (const chunk of chunks) parser.feed(text.decode(chunk, {stream: true}))
    const seconds = Number(process.hrtime.bigint() - start) / 1e9
    if (round > 0) times.push(seconds)
  }
  times.sort((a, b) => a - b)
  out[name] = {seconds: times[times.length >> 1], count}
}
console.log(JSON.stringify(out))
"""


def in_node(streams: Mapping[str, Workload], rounds: int) -> dict[str, float]:
    """Time eventsource-parser in a process of its own, after the rounds of the other parsers.

    Args:
        streams: The workloads by name.
        rounds: The number of measured runs of each workload.

    Returns:
        Wall-clock seconds by workload; empty if node or the package is missing.
    """
    node = shutil.which("node")
    if node is None:
        print(f"missing: {NODE}: node is not installed")
        return {}
    with tempfile.TemporaryDirectory() as folder:
        jobs = {}
        for name, (_, chunks, _) in streams.items():
            file = Path(folder, name)
            file.write_bytes(b"".join(chunks))
            jobs[name] = {"file": str(file), "sizes": [len(chunk) for chunk in chunks]}
        listing = Path(folder, "jobs.json")
        listing.write_text(json.dumps(jobs))
        done = subprocess.run(
            [node, "-e", NODE_SCRIPT, "--", "-", str(listing), str(rounds)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        reason = "the package is not installed" if "Cannot find module" in done.stderr else done.stderr.strip()[-300:]
        print(f"missing: {NODE}: {reason}")
        return {}
    results = json.loads(done.stdout)
    wrong = [name for name, result in results.items() if result["count"] != len(streams[name].expected)]
    if wrong:
        print(f"{NODE}: wrong number of events in {', '.join(wrong)}")
    return {name: result["seconds"] for name, result in results.items()}


def load_peers() -> dict[str, Run]:
    """Load the installed peers and print which are missing."""
    peers: dict[str, Run] = {}
    for name, (distribution, load) in PEERS.items():
        try:
            peers[name] = load()
        except (ImportError, AttributeError) as error:
            print(f"missing: {name}: {error}")
        else:
            print(f"{name} {version(distribution)}")
    return peers
