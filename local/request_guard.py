"""Protect a loopback server from web pages: check Host against DNS rebinding, and Origin against other sites. Pure."""

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

__all__ = ["RequestGuard", "is_local_host"]

_LOCAL_NAMES = frozenset({"localhost", "host.docker.internal", "gateway.docker.internal", "host.containers.internal"})


def is_local_host(host: str) -> bool:
    """Return whether a Host header names this machine: a name that no web site can have."""
    if "@" in host:
        return False
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name in _LOCAL_NAMES or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


class RequestGuard:
    """Rejects requests of web pages. `origins` may call from a browser, `*` for all; `hosts` are further host names."""

    def __init__(self, origins: frozenset[str] = frozenset(), hosts: frozenset[str] = frozenset()) -> None:
        self._origins = origins
        self._hosts = hosts

    def rejection(self, headers: Mapping[str, str]) -> str | None:
        """Return why a request is rejected, None if it is accepted. `headers` must be case-insensitive."""
        host = headers.get("Host", "")
        names = {host.lower(), host.rpartition(":")[0].lower()}
        if host and not is_local_host(host) and not names & self._hosts:
            return f"The host name {host[:200]!r} is not this machine's. To accept it, add it to ALLOWED_HOSTS."
        origin = headers.get("Origin")
        if origin is None or "*" in self._origins or origin.lower() in self._origins:
            return None
        if origin.lower() in (f"http://{host.lower()}", f"https://{host.lower()}"):
            return None
        return f"Web pages of {origin[:200]!r} may not call this router. To allow them, add the origin to CORS_ORIGINS."
