"""The host of a URL, as DNS and the Host header need it."""

import ipaddress
import socket
from functools import lru_cache
from urllib.parse import urlsplit

__all__ = ["host_header", "host_of", "is_metadata"]

_METADATA_NAMES = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "metadata.azure.internal",
        "metadata.platformequinix.com",
        "instance-data",
        "instance-data.ec2.internal",
    }
)
_METADATA_ADDRESSES = frozenset(
    map(ipaddress.ip_address, ("fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
_WITH_IPV4 = tuple(map(ipaddress.IPv6Network, ("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96")))
"""Networks whose addresses lead to the IPv4 address in their last 32 bits."""
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
    return _ipv4_in(address) or address if isinstance(address, ipaddress.IPv6Address) else address


def _ipv4_in(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address that an IPv6 address leads to: mapped, translated, or through 6to4."""
    if any(address in network for network in _WITH_IPV4):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour
