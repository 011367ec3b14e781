"""The host of a URL, as DNS and the Host header need it."""

from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["host_header", "host_of"]

_DEFAULT_PORTS = {"https": 443, "http": 80}


def host_of(url: str) -> str:
    """Return the host of `url` as DNS spells it. Raises ValueError for an impossible one."""
    return (urlsplit(url).hostname or "").encode("idna").decode()


@lru_cache(256)
def host_header(url: str) -> str:
    """Return the Host header for `url`: its host, and its port unless it is the default."""
    parts = urlsplit(url)
    host = host_of(url)
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _DEFAULT_PORTS.get(parts.scheme)) else f"{host}:{parts.port}"
