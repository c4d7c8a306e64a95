"""A transport over h11 that passes every clause, in small steps: each broken variant overrides one."""

import asyncio
import select

import h11

from handinger_async.errors import APIConnectionError, APITimeoutError
from handinger_async.http import Headers, MultipartBody
from handinger_async.transports.decompression import decode_body
from handinger_async.transports.uploads import BodyReader


class H11Transport:
    def __init__(self, handler=None):
        self.pool = {}
        self.connections = set()
        self.closed = False

    async def open(self, url, request, *, connect_timeout):
        if self.closed:
            raise APIConnectionError("the transport is closed", request_sent=False)
        connection = self.reused(url.origin()) or await self.connect(url, connect_timeout)
        try:
            fields = self.fields(url, request)
            connection.send(h11.Request(method=request.method, target=request.target, headers=fields))
            await self.send_body(connection, request.body)
            return self.respond(H11Response(self, url, connection, await self.head(connection)))
        except BaseException:
            self.abandon(connection)
            raise

    async def send_body(self, connection, body):
        if isinstance(body, MultipartBody):
            await self.send_chunks(connection, body)
        else:
            connection.send(h11.Data(data=body))
        if connection.lost is None:  # else there may be an early response
            connection.send(h11.EndOfMessage())

    async def send_chunks(self, connection, body):
        """Send a body as it is read."""
        reader = BodyReader(body)
        try:
            while connection.lost is None and (chunk := await reader.read()):
                connection.send(h11.Data(data=chunk))
                await connection.writable.wait()
        finally:
            reader.close()

    def reused(self, origin):
        """Return an idle connection that can be used again, or None."""
        while connections := self.pool.get(origin):
            connection = connections.pop()
            if self.is_fresh(connection):
                return connection
            connection.abort()
        return None

    def is_fresh(self, connection):
        """Return True if nothing has arrived on an idle connection."""
        return not (connection.disturbed or connection.lost or connection.is_readable())

    def new_connection(self):
        return Connection(self)

    async def connect(self, url, connect_timeout):
        try:
            async with asyncio.timeout(connect_timeout):
                _, connection = await asyncio.get_running_loop().create_connection(
                    self.new_connection, url.host, url.port, ssl=url.scheme == "https" or None
                )
        except TimeoutError:
            raise APITimeoutError("not connected in time", request_sent=False) from None
        except OSError as error:
            raise APIConnectionError(str(error), request_sent=False) from None
        return connection

    def fields(self, url, request):
        """Return the header fields to send."""
        fields = [("Host", self.authority(url)), *request.headers.items()]
        if request.body or request.method in ("POST", "PUT", "PATCH"):
            fields.append(self.framing(request.body))
        return [(name, self.encode(value)) for name, value in fields]

    def framing(self, body):
        length = body.length if isinstance(body, MultipartBody) else len(body)
        return ("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))

    def authority(self, url):
        return url.authority

    def encode(self, value):
        return value.encode()

    async def head(self, connection):
        """Return the event with the status and the headers of the response."""
        while isinstance(event := await connection.next_event(), h11.InformationalResponse):
            pass
        return event

    def respond(self, response):
        return decode_body(response)

    def headers(self, fields):
        return Headers([(name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in fields])

    def abandon(self, connection):
        """Close a connection whose request is cancelled."""
        connection.abort()

    def release(self, origin, connection):
        """Keep a connection whose response was read to its end, if it can be used again."""
        if connection.is_done() and not self.has_surplus(connection):
            connection.rest()
            self.pool.setdefault(origin, []).append(connection)
        else:
            connection.abort()

    def has_surplus(self, connection):
        """Return True if more has arrived than the response."""
        return bool(connection.state.trailing_data[0])

    async def aclose(self):
        self.closed = True
        for connection in list(self.connections):
            connection.abort()


class Connection(asyncio.Protocol):
    """A connection, whose data goes through h11."""

    def __init__(self, owner):
        self.owner = owner
        self.state = h11.Connection(h11.CLIENT)
        self.changed = asyncio.Event()
        self.writable = asyncio.Event()
        self.writable.set()
        self.lost = None
        self.idle = False
        self.disturbed = False

    def connection_made(self, transport):
        self.transport = transport
        self.owner.connections.add(self)

    def data_received(self, data):
        self.disturbed |= self.idle
        self.state.receive_data(data)
        self.changed.set()

    def eof_received(self):
        self.disturbed |= self.idle
        self.state.receive_data(b"")
        self.changed.set()

    def pause_writing(self):
        self.writable.clear()

    def resume_writing(self):
        self.writable.set()

    def connection_lost(self, error):
        self.writable.set()
        self.lost = error or ConnectionError("the connection is closed")
        self.changed.set()
        self.owner.connections.discard(self)

    def send(self, event):
        self.idle = False
        self.transport.write(self.state.send(event))

    async def next_event(self):
        """Return the next event that is not empty.

        Raises:
            APIConnectionError: The connection is lost.
        """
        while True:
            try:
                event = self.state.next_event()
            except h11.RemoteProtocolError as error:
                raise APIConnectionError(str(error)) from None
            if event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise APIConnectionError("the connection was closed")
            if event is not h11.NEED_DATA:
                return event
            if self.lost is not None:
                raise APIConnectionError(f"the connection was lost: {self.lost}")
            self.changed.clear()
            await self.changed.wait()

    def is_readable(self):
        """Return True if data or an end has arrived in the kernel."""
        return bool(select.select([self.transport.get_extra_info("socket")], [], [], 0)[0])

    def is_done(self):
        """Return True if the request was sent and the response read to its end, and both can be followed by others."""
        return self.state.our_state is h11.DONE and self.state.their_state is h11.DONE and self.lost is None

    def rest(self):
        """Begin to be idle."""
        self.state.start_next_cycle()
        self.idle = True

    def abort(self):
        self.transport.abort()


class H11Response:
    def __init__(self, owner, url, connection, head):
        self.owner = owner
        self.origin = url.origin()
        self.connection = connection
        self.status = head.status_code
        self.headers = owner.headers(head.headers)
        self.ended = False
        self.closed = False

    async def read_chunk(self):
        while not (self.ended or self.closed):
            event = await self.connection.next_event()
            if isinstance(event, h11.Data) and event.data:
                return bytes(event.data)
            self.ended = isinstance(event, h11.EndOfMessage)
        if self.closed:
            raise APIConnectionError("the response is closed")
        return b""

    async def aclose(self):
        if not self.closed:
            self.closed = True
            if self.ended:
                self.owner.release(self.origin, self.connection)
            else:
                self.connection.abort()
