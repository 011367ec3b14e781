"""A router backed by a dictionary: it answers over a real socket like the admin API, and records the calls."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["KEY", "FakeRouter", "RefusalError", "running"]

KEY = "sk-master-of-the-tests"
STAGE = "/prod"


class RefusalError(Exception):
    """An error that the router answers: a status and a message."""

    def __init__(
        self, status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.headers, self.code = status, message, headers or {}, code


@dataclass
class FakeRouter:
    """Its keys and teams by id, and every call: method, path without the stage, and what was sent with it."""

    port: int = 0
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    teams: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)
    """By path: what is answered there, raised there, or called with what was sent (by several at once, maybe)."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{STAGE}"

    def asked(self, path: str) -> list[dict[str, Any]]:
        """Return what was sent to `path`, call by call."""
        return [sent for _, called, sent in self.calls if called == path]

    def add(self, **fields: Any) -> str:
        """Put a key there; returns its id."""
        token = sha256(f"sk-{len(self.keys)}".encode()).hexdigest()
        self.keys[token] = {"token": token, "key_name": "sk-...abcd", "spend": 0.0, "models": [], **fields}
        return token

    def answer(self, method: str, path: str, sent: dict[str, Any]) -> Any:
        with self._lock:
            self.calls.append((method, path, sent))
            scripted = self.answers.get(path)
            if isinstance(scripted, Exception):
                raise scripted
            if scripted is None:
                return self._keys(path, sent) if path.startswith("/key/") else self._teams(path, sent)
        return scripted(sent) if callable(scripted) else scripted

    def _keys(self, path: str, sent: dict[str, Any]) -> Any:
        if path == "/key/list":
            wanted = [key for key in self.keys.values() if sent.get("team_id") in (None, key.get("team_id"))]
            page, size = int(sent["page"]), int(sent["size"])
            shown = wanted[(page - 1) * size : page * size]
            return {"keys": shown, "total_count": len(wanted), "total_pages": -(-len(wanted) // size)}
        if path == "/key/generate":
            if any(key.get("key_alias") == sent.get("key_alias") != None for key in self.keys.values()):  # noqa: E711
                raise RefusalError(400, "key_alias: another key has it.")
            return {**self.keys[self.add(**sent)], "key": f"sk-new-{len(self.keys)}"}
        if path == "/key/delete":
            for token in sent["keys"]:
                del self.keys[token]
            return {"deleted_keys": sent["keys"]}
        if path.endswith("/regenerate"):
            return {**self.keys[path.split("/")[2]], "key": "sk-rotated"}
        token = sent["key"]
        if token not in self.keys:
            raise RefusalError(404, "There is no key of that id.")
        if path == "/key/info":
            return {"key": token, "info": self.keys[token]}
        if path in ("/key/block", "/key/unblock"):
            self.keys[token]["blocked"] = path == "/key/block"
        elif path == "/key/update":
            self.keys[token] |= sent
        else:
            raise RefusalError(404, f"Nothing answers {path}.")
        return self.keys[token]

    def _teams(self, path: str, sent: dict[str, Any]) -> Any:
        if path == "/team/list":
            return list(self.teams.values())
        if path == "/team/new":
            made = {"team_id": f"team-{len(self.teams)}", "spend": 0.0, **sent}
            self.teams[made["team_id"]] = made
            return made
        if path == "/team/delete":
            for each in sent["team_ids"]:
                del self.teams[each]
            return {"deleted_teams": sent["team_ids"], "deleted_keys": []}
        if path in ("/team/info", "/team/update", "/team/block", "/team/unblock"):
            return {"team_id": sent["team_id"], "team_info": self.teams[sent["team_id"]]}
        raise RefusalError(404, f"Nothing answers {path}.")


@contextmanager
def running() -> Iterator[FakeRouter]:
    """Run one on a free port of this machine."""
    router = FakeRouter()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(dict(parse_qsl(urlsplit(self.path).query)))

        def do_POST(self) -> None:
            self._answer(json.loads(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, sent: dict[str, Any]) -> None:
            path = urlsplit(self.path).path
            headers: dict[str, str] = {}
            try:
                if self.headers["authorization"] != f"Bearer {KEY}":
                    raise RefusalError(401, "The API key sent is not valid here.")
                status, body = 200, router.answer(self.command, path.removeprefix(STAGE), sent)
            except RefusalError as refusal:
                status, headers = refusal.status, refusal.headers
                body = {"error": {"message": refusal.message, "type": "invalid_request_error", "code": refusal.code}}
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(raw)), "x-vibe-request-id": "request-1"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    router.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield router
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
