"""The host of a URL, as DNS and the Host header need it."""

import ipaddress
import socket
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["host_header", "host_of", "is_metadata"]

_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_METADATA_ADDRESSES = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})
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


def is_metadata(host: str) -> bool:
    """Return whether `host` is a link-local address or a cloud's metadata service, which holds credentials."""
    address = _address(host)
    if address is None:
        return host.rstrip(".").lower() in _METADATA_NAMES
    return address.is_link_local or address in _METADATA_ADDRESSES


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that `host` spells, in any of the forms that the operating system takes; None for a name."""
    text = host.strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(text))  # such as 2852039166, 0xA9FEA9FE and 169.254.43518
        except (OSError, UnicodeEncodeError):
            return None
    return getattr(address, "ipv4_mapped", None) or address
