"""Where a URL leads, as it is written in a request."""

from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["host_of", "named_host"]

_USUAL = {"https": 443, "http": 80}


def host_of(url: str) -> str:
    """Return the host of `url` as DNS has it. Raises ValueError for one that it can't have."""
    return (urlsplit(url).hostname or "").encode("idna").decode()


@lru_cache(256)
def named_host(url: str) -> str:
    """Return what Host says of `url`: its host, and its port where that is not the usual one."""
    parts = urlsplit(url)
    host = host_of(url)
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _USUAL.get(parts.scheme)) else f"{host}:{parts.port}"
