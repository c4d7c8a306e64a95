"""A page in headless Chromium, driven by the DevTools protocol over aiohttp's WebSockets."""

import asyncio
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

#: The program, or None.
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # containers have no user namespaces; the only pages are our own
    "--disable-dev-shm-usage",  # nor much shared memory
    "--disable-gpu",
    "--no-first-run",
    "--disable-features=BackForwardCache",  # which would keep the connections of a page that was left
)
#: Evaluates ``{}`` after each change of the page, until it is true.
_WAIT = """new Promise(resolve => {{
    const observer = new MutationObserver(check)
    function check() {{ if ({}) {{ observer.disconnect(); resolve() }} }}
    observer.observe(document, {{subtree: true, childList: true, characterData: true}})
    check()
}})"""


class Page:
    """A page.

    Args:
        socket: The connection to its debugger.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol, and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        message = await self._receive(lambda message: message.get("id") == number)
        assert "error" not in message, message
        return message["result"]

    async def open(self, url: str) -> None:
        """Open a URL, and wait until its document is loaded."""
        await self.call("Page.enable")
        await self.call("Page.navigate", url=url)
        await self._receive(lambda message: message.get("method") == "Page.loadEventFired")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; if it is a promise, what that resolves to."""
        result = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    async def wait_until(self, condition: str) -> None:
        """Wait until a JavaScript condition is true after a change of the document."""
        await self.evaluate(_WAIT.format(condition))

    async def _receive(self, wanted: Any) -> Any:
        async for message in self._socket:
            if wanted(found := json.loads(message.data)):
                return found
        raise EOFError("Chromium has closed the connection")


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Page]:
    """Start Chromium; yield an empty page.

    Args:
        folder: The folder for its profile.
    """
    assert CHROMIUM
    process = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *_OPTIONS,
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
        env={**os.environ, "HOME": str(folder)},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stderr
        async for line in process.stderr:
            if line.startswith(b"DevTools listening on ws://"):
                break
        port = line.split(b"/")[2].rpartition(b":")[2].decode()
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            async with client.get("/json/list") as response:
                pages = await response.json(content_type=None)
            url = next(page["webSocketDebuggerUrl"] for page in pages if page["type"] == "page")
            async with client.ws_connect(url, max_msg_size=0) as socket:
                yield Page(socket)
            async with client.get("/json/version") as response:
                browser = (await response.json(content_type=None))["webSocketDebuggerUrl"]
            async with client.ws_connect(browser) as socket:
                await Page(socket).call("Browser.close")
        await draining
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
