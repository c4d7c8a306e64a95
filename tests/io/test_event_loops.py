"""Sessions in programs of their own: any order of event loops and closing, without a warning."""

import asyncio
import subprocess
import sys
import textwrap
from typing import Any

import aiohttp
import pytest

from handinger_async import APIConnectionError, ConfigurationError, RetryPolicy, Session
from handinger_async.transports.aiohttp import AiohttpTransport

from .wire import HANG_GUARD, WireServer

PREAMBLE = """
import asyncio, gc, logging
# Development mode also logs callbacks that take longer than 0.1 s, which depends on the machine.
logging.getLogger("asyncio").addFilter(lambda record: not record.getMessage().startswith("Executing "))
from handinger_async import Session
from handinger_async.transports.aiohttp import AiohttpTransport
"""

PROGRAMS = {
    "created outside a loop, used and closed inside": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            await session.request("GET", "/x")
            await session.aclose()
        asyncio.run(main())
    """,
    "used in three loops, closed in the last": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            for _ in range(3):
                await session.request("GET", "/x")
        asyncio.run(main())
        asyncio.run(main())
        async def last():
            await main()
            await session.aclose()
        asyncio.run(last())
    """,
    "never closed, unlike its loop": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            await session.request("GET", "/x")
        asyncio.run(main())
        asyncio.run(main())
        del session
        gc.collect()
    """,
    "closed in a loop that never saw it": """
        session = Session(api_key="key", base_url=server_url)
        async def main():
            await session.request("GET", "/x")
        asyncio.run(main())
        asyncio.run(session.aclose())
        asyncio.run(session.aclose())
    """,
    "closed without having been used": """
        session = Session(api_key="key", base_url=server_url)
        asyncio.run(session.aclose())
    """,
    "left with an open stream, closed by the session": """
        async def main():
            async with Session(api_key="key", base_url=server_url) as session:
                events = session.workers.stream_updates("w")
                assert str(await anext(events)) == "a"
                await session.aclose()
                await events.aclose()
        asyncio.run(main())
    """,
    "ended by an exception in mid-stream": """
        async def main():
            async with Session(api_key="key", base_url=server_url) as session:
                async with session.workers.stream_updates("w") as events:
                    async for event in events:
                        raise ZeroDivisionError
        try:
            asyncio.run(main())
        except ZeroDivisionError:
            pass
    """,
    "ended by cancelling all tasks": """
        async def watch(session, watching):
            async with session.workers.stream_updates("w") as events:
                async for event in events:
                    watching.set()
        session = Session(api_key="key", base_url=server_url)
        async def main():
            watching = [asyncio.Event() for _ in range(5)]
            tasks = [asyncio.create_task(watch(session, event)) for event in watching]
            for event in watching:
                await event.wait()
        asyncio.run(main())
        del session
        gc.collect()
    """,
    "used by an async generator that the closing loop finalizes": """
        from handinger_async import APIConnectionError
        async def generate():
            try:
                yield
            finally:
                for _ in range(100):  # iterations in which the loop closes the connections
                    await asyncio.sleep(0)
                try:
                    await session.request("GET", "/y")
                except APIConnectionError as error:
                    assert not error.request_sent
                else:
                    raise AssertionError("sent")
        session = Session(api_key="key", base_url=server_url)
        generating = generate()
        async def main():
            await session.request("GET", "/x")
            await anext(generating)
        asyncio.run(main())
    """,
    "a session given by the caller": """
        import aiohttp
        async def main():
            async with aiohttp.ClientSession() as own:
                async with Session(api_key="key", base_url=server_url, transport=AiohttpTransport(own)) as session:
                    await session.request("GET", "/x")
                assert not own.closed
                assert (await own.get(server_url + "/y")).status == 200
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("program", PROGRAMS)
async def test_program_ends_without_a_warning_or_an_open_connection(server: WireServer, program: str) -> None:
    source = f"{PREAMBLE}server_url = {server.url!r}\n"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-X", "dev", "-W", "error", "-c", source + textwrap.dedent(PROGRAMS[program])),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), HANG_GUARD)
    assert (process.returncode, output.decode()) == (0, "")
    await server.empty()


async def test_closed_transport_sends_nothing_over_a_given_session(server: WireServer) -> None:
    async with aiohttp.ClientSession() as given:
        session = Session(api_key="key", base_url=server.url, transport=(transport := AiohttpTransport(given)))
        await transport.aclose()
        with pytest.raises(APIConnectionError, match="transport is closed") as caught:
            await session.with_options(retry=RetryPolicy(max_retries=0)).request("GET", "/x")
    assert not caught.value.request_sent
    assert not server.requests


def test_given_session_in_another_event_loop_is_refused(refusing_url: str) -> None:
    async def make() -> Session:
        transport = AiohttpTransport(aiohttp.ClientSession())
        session = Session(api_key="key", base_url=refusing_url, transport=transport)
        with pytest.raises(APIConnectionError):
            await session.with_options().request("POST", "/x")
        assert transport._user_session is not None
        await transport._user_session.close()
        transport._user_session = aiohttp.ClientSession()
        return session

    async def use(session: Session) -> None:
        with pytest.raises(ConfigurationError, match="another event loop"):
            await session.request("GET", "/x")

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        second.run(use(session))
        transport: Any = session._settings.pool._transport
        first.run(transport._user_session.close())
