"""An OpenID Connect provider on loopback, whose ID token a test may forge."""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["CLIENT", "LocalProvider", "encoded", "providing", "signed"]

CLIENT = "router"


@cache
def private_key(name: str) -> rsa.RSAPrivateKey:
    """Return a key; each name has its own."""
    assert name
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def encoded(value: bytes | dict[str, Any]) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def public_jwk(name: str) -> dict[str, Any]:
    numbers = private_key(name).public_key().public_numbers()
    n, e = (encoded(each.to_bytes((each.bit_length() + 7) // 8, "big")) for each in (numbers.n, numbers.e))
    return {"kty": "RSA", "use": "sig", "kid": name, "n": n, "e": e}


def signed(claims: dict[str, Any], key: str = "first", **header: Any) -> str:
    """Return a token with `claims`, signed with the key called `key`."""
    head = {"alg": "RS256", "kid": key, **header}
    text = f"{encoded(head)}.{encoded(claims)}"
    return f"{text}.{encoded(private_key(key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


@dataclass
class LocalProvider:
    """A provider that signs everybody in at once. `claims` are of the next user; `forge` replaces the token."""

    issuer: str
    now: Callable[[], float]
    claims: dict[str, Any] = field(default_factory=lambda: {"email": "ann@example.com", "email_verified": True})
    keys: list[str] = field(default_factory=lambda: ["first"])
    forge: Callable[[dict[str, Any]], str] = signed
    calls: list[str] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def authorize(self, url: str) -> dict[str, str]:
        """Sign a user in at the address that the router redirected to; return the query of the redirect back."""
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT)
        assert query["code_challenge_method"] == "S256"
        code = f"code-{len(self.codes)}"
        self.codes[code] = query
        return {"code": code, "state": query["state"]}

    def redirect_uri(self, code: str) -> str:
        """Return where the browser of a sign-in is sent back to."""
        return self.codes[code]["redirect_uri"]

    def document(self) -> dict[str, Any]:
        paths = {"authorization_endpoint": "/authorize", "token_endpoint": "/token", "jwks_uri": "/keys"}
        return {"issuer": self.issuer, **{name: self.issuer + path for name, path in paths.items()}}

    def answer(self, method: str, path: str, form: dict[str, str]) -> tuple[int, Any]:
        self.calls.append(path)
        match method, path:
            case "GET", "/.well-known/openid-configuration":
                return 200, self.document()
            case "GET", "/keys":
                return 200, {"keys": [public_jwk(name) for name in self.keys]}
            case "POST", "/token":
                return self._token(form)
        return 404, {}

    def _token(self, form: dict[str, str]) -> tuple[int, Any]:
        asked = self.codes.pop(form["code"], None)
        digest = hashlib.sha256(form["code_verifier"].encode()).digest()
        if asked is None or encoded(digest) != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        now = self.now()
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "user-1", "exp": now + 300, "iat": now}
        return 200, {"id_token": self.forge({**claims, "nonce": asked["nonce"], **self.claims})}


@contextmanager
def providing(now: Callable[[], float]) -> Iterator[LocalProvider]:
    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            form = {name: values[0] for name, values in parse_qs(self.rfile.read(length).decode()).items()}
            path = urlsplit(self.path).path
            if path == "/authorize":
                back = provider.authorize(self.path)
                self.send_response(302)
                self.send_header("location", f"{provider.redirect_uri(back['code'])}?{urlencode(back)}")
                self.send_header("content-length", "0")
                self.end_headers()
                return
            status, answer = provider.answer(self.command, path, form)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _handle  # noqa: N815 - the names that http.server looks for

        def log_message(self, *_: object) -> None:
            """Leave standard error alone."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider = LocalProvider(f"http://127.0.0.1:{server.server_port}", now)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield provider
        server.shutdown()
