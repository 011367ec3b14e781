"""Detect an AWS that is emulated on this machine."""

from collections.abc import Mapping

__all__ = ["is_local"]


def is_local(environ: Mapping[str, str]) -> bool:
    """Return whether AWS is emulated on this machine: its endpoint is set, and without TLS."""
    return environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
