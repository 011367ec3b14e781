"""A stand-in inside a test: the server in its own thread, on a free port."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from local.standin import control
from local.standin.server import Server, Service
from local.standin.state import ActiveFault, Recorded
from local.standin.steps import Step

__all__ = ["Standin", "refused_url"]


class Standin:
    """A running stand-in: a context manager that listens on entry and has closed every connection on exit.

    `pace` is the duration of an answer in seconds (0: no pauses); `key` is the only accepted key (None: any).
    Thread-safe.
    """

    def __init__(self, *, pace: float = 0.0, key: str | None = None, host: str = "127.0.0.1") -> None:
        self._service = Service(pace=pace, key=key)
        self._host = host
        self._port = 0
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> "Standin":
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="standin", daemon=True)
        self._thread.start()
        ready.wait()
        if self._failure is not None:
            raise self._failure
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection, stop listening and wait for the thread. Idempotent."""
        if self._loop is not None and self._stop is not None and self._thread is not None:
            if self._thread.is_alive():
                self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
            self._thread = None

    def _run(self, ready: threading.Event) -> None:
        async def serve() -> None:
            server = Server(self._service)
            try:
                self._port = await server.start(self._host)
                self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            except OSError as failure:
                self._failure = failure
                return
            finally:
                ready.set()
            await self._stop.wait()
            await server.close()

        asyncio.run(serve())

    @property
    def url(self) -> str:
        """The server's root URL."""
        return f"http://{self._host}:{self._port}"

    @property
    def control_url(self) -> str:
        """The URL of the control API."""
        return f"{self.url}/_control"

    def base_url(self, provider: str) -> str:
        """Return a provider's base URL, without `/chat/completions`."""
        return f"{self.url}/{provider}/v1"

    def speaks(self, provider: str, *formats: str, model: str | None = None) -> None:
        """Restrict a provider (or one model of it) to these formats; none lifts the restriction."""
        self._service.state.set_formats(provider, formats or None, model)

    def fault(
        self, provider: str, fault: str, *, model: str | None = None, times: int | None = None, **options: Any
    ) -> None:
        """Make a provider (or one model of it) fail: the next `times` requests, or all until it is healed.

        Counted faults apply first, in the order in which they were set. Raises `BadFault` for an unknown one.
        """
        self._service.state.add_fault(control.make_fault(provider, fault, model, times, options))

    def script(self, provider: str, steps: Sequence[Step], *, model: str | None = None) -> None:
        """Answer the next request with exactly these steps; further scripts apply to the requests after it."""
        self._service.state.add_fault(ActiveFault(provider, model, None, {}, 1, list(steps)))

    def fails(self, provider: str) -> bool:
        """Return whether a provider, or one model of it, has an active fault or script."""
        return any(active.provider == provider for active in self._service.state.faults())

    def heal(self, provider: str | None = None, model: str | None = None) -> None:
        """Clear the faults and scripts of a provider (or one model of it), or all."""
        self._service.state.heal(provider, model)

    def requests(self, provider: str | None = None) -> list[Recorded]:
        """Return the requests that reached a provider (or any), oldest first, at most the last ten thousand."""
        return self._service.state.records(provider)

    def forget(self) -> None:
        """Drop the recorded requests."""
        self._service.state.clear_records()

    def wait_for(
        self, count: int, provider: str | None = None, *, ended: bool = False, within: float = 5.0
    ) -> list[Recorded]:
        """Return the requests as soon as there are `count`; with `ended`, as soon as their answers have ended.

        A client gets the last byte of an answer slightly before the stand-in records its end. Raises `TimeoutError`
        after `within` seconds.
        """
        deadline = time.monotonic() + within
        while True:
            found = self.requests(provider)
            done = [record for record in found if not ended or record.outcome != "answering"]
            if len(done) >= count:
                return found
            if time.monotonic() > deadline:
                what = "were answered by" if ended else "reached"
                raise TimeoutError(f"{len(done)} of {count} requests {what} {provider or 'the stand-in'}")
            time.sleep(0.002)


@contextmanager
def refused_url() -> Iterator[str]:
    """Yield a root URL that refuses connections: its port is bound, but not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
