"""A TCP proxy that records both directions, and cuts a connection."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class Wire:
    """A record of what went through a proxy.

    Args:
        port: The port of the server on this machine.

    Attributes:
        url: The base URL of the proxy.
        sent: What each connection has sent to the server.
        received: What each connection has received from it.
        cut_after: The next connection that has received this is cut; None for none.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self.url = ""
        self.sent: list[bytearray] = []
        self.received: list[bytearray] = []
        self.cut_after: bytes | None = None

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass on what a connection sends and receives."""
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._port)
        sent, received = bytearray(), bytearray()
        self.sent.append(sent)
        self.received.append(received)

        async def upload() -> None:
            while data := await reader.read(65536):
                sent.extend(data)
                server_writer.write(data)
                await server_writer.drain()

        async def download() -> None:
            while data := await server_reader.read(65536):
                received.extend(data)
                writer.write(data)
                await writer.drain()
                if self.cut_after is not None and self.cut_after in received:
                    self.cut_after = None
                    return

        tasks = [asyncio.create_task(upload()), asyncio.create_task(download())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for end in (writer, server_writer):
                end.close()
                with suppress(OSError):
                    await end.wait_closed()


@asynccontextmanager
async def wire_to(port: int) -> AsyncIterator[Wire]:
    """Run a proxy in front of a server of this machine."""
    wire = Wire(port)
    server = await asyncio.start_server(wire.connect, "127.0.0.1", 0)
    wire.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield wire
    finally:
        server.close()
