"""Traces of a running router, received by a collector on loopback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any

import httpx

from tests.e2e.stack import KEY, running, shipped_routes

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
CANARY = "a canary that no span may hold"


class Collector(ThreadingHTTPServer):
    """Receives exports as (path, headers, body)."""

    received: "Queue[tuple[str, dict[str, str], bytes]]"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.put((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Leave standard error alone."""


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector(("127.0.0.1", 0), Handler)
    collector.received = Queue()
    thread = Thread(target=collector.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        collector.shutdown()
        collector.server_close()


def spans_of(body: bytes) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = json.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    return spans


def test_a_streamed_failover_is_one_trace_at_the_collector(tmp_path: Path) -> None:
    with collecting() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Basic%20abc",
        }
        with running(tmp_path, shipped_routes, **settings) as stack:
            stack.fault("cliproxyapi", "500")
            body = {"model": "auto-chat", "stream": True, "messages": [{"role": "user", "content": CANARY}]}
            headers = {"authorization": f"Bearer {KEY}", "traceparent": PARENT}
            answer = httpx.post(f"{stack.root}/v1/chat/completions", json=body, headers=headers, timeout=60)
            assert answer.status_code == 200
            path, sent, exported = collector.received.get(timeout=30)
    assert (path, sent["authorization"]) == ("/v1/traces", "Basic abc")
    request, *attempts = spans_of(exported)
    assert request["parentSpanId"] == PARENT.split("-")[2]
    assert len(attempts) >= 2
    assert {span["traceId"] for span in (request, *attempts)} == {PARENT.split("-")[1]}
    assert {attempt["parentSpanId"] for attempt in attempts} == {request["spanId"]}
    assert CANARY.encode() not in exported
    assert KEY.encode() not in exported
