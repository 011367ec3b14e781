"""One server-side HTTP/1.1 connection on h11: for the Runtime API and the embedded AWS.

h11 instead of aiohttp, because a streamed Lambda response ends with HTTP trailers: aiohttp's C parser drops the first
one and adds the last to the headers of the *next* request on the connection (as of 3.14.5).
"""

import asyncio
from collections.abc import Iterable
from http import HTTPStatus
from typing import cast

import h11

__all__ = ["RECEIVE_SECONDS", "Connection", "Headers"]

RECEIVE_SECONDS = 10.0
"""Seconds that a request that has begun may be silent before its connection is closed."""

Headers = list[tuple[bytes, bytes]]
"""Names in lower case."""


class Connection(asyncio.Protocol):
    """The requests of one connection, in order.

    A subclass gets each one through `request_begun`, `body_received` and `request_ended`, and answers with `reply`, at
    once or later; the next request is not parsed before that.
    """

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._http = h11.Connection(h11.SERVER)
        self._refused = False
        self._receive_timer: asyncio.TimerHandle | None = None

    def request_begun(self, method: str, target: str, headers: Headers) -> None:
        """Handle the head of a request."""
        raise NotImplementedError

    def body_received(self, data: bytes) -> None:
        """Handle a part of its body."""
        raise NotImplementedError

    def request_ended(self, trailers: Headers) -> None:
        """Handle the end of its body."""
        raise NotImplementedError

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport; asyncio has set TCP_NODELAY."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - as asyncio calls it
        """Cancel the timer."""
        self._stop_timer()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes."""
        self._http.receive_data(data)
        self._run()
        self._watch_receiving()

    def eof_received(self) -> bool:
        """Close the connection: a client that ends its side gets no answer."""
        return False

    def reply(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """Answer the current request."""
        if self.transport.is_closing() or self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        head = h11.Response(
            status_code=status,
            reason=HTTPStatus(status).phrase.encode(),
            headers=[*headers, ("Content-Length", str(len(body)))],
        )
        parts = (self._http.send(head), self._http.send(h11.Data(data=body)), self._http.send(h11.EndOfMessage()))
        self.transport.write(b"".join(part for part in parts if part))
        self._run()

    def _run(self) -> None:
        try:
            while True:
                if self._http.our_state is h11.DONE and self._http.their_state is h11.DONE:
                    self._http.start_next_cycle()
                event = self._http.next_event()
                if isinstance(event, h11.Data):
                    self.body_received(bytes(event.data))
                elif isinstance(event, h11.Request):
                    target = event.target.decode("latin-1")
                    self.request_begun(event.method.decode("ascii"), target, list(event.headers))
                elif isinstance(event, h11.EndOfMessage):
                    self.request_ended(list(event.headers))
                else:  # NEED_DATA, PAUSED, ConnectionClosed
                    break
        except h11.RemoteProtocolError as error:
            if not self._refused:
                self._refused = True
                self.reply(error.error_status_hint, [("Connection", "close")], f"{error}\n".encode())
            self.transport.close()
            return
        if self._http.our_state in (h11.MUST_CLOSE, h11.CLOSED, h11.ERROR):
            self.transport.close()

    def _watch_receiving(self) -> None:
        """Close the connection if the rest of a request that has begun does not arrive."""
        self._stop_timer()
        state = self._http.their_state
        if state is h11.SEND_BODY or (state is h11.IDLE and self._http.trailing_data[0]):
            self._receive_timer = asyncio.get_running_loop().call_later(RECEIVE_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None
