"""Looks up wire formats by name, as `core.wire_formats` lists them.

The module of a format is imported when it is first needed: most callers speak one.
"""

from importlib import import_module
from typing import Any, cast

from vibe_router.core.wire_formats import WIRE_FORMATS
from vibe_router.formats.interfaces import (
    ClientConversation,
    ClientFormat,
    DecodedFormat,
    ProviderConversation,
    ProviderFormat,
    StreamedFormat,
)

__all__ = [
    "DECODABLE",
    "TRANSLATABLE",
    "TRANSLATED",
    "client",
    "client_conversation",
    "conversation",
    "decodable",
    "provider",
    "streamed",
]

# Callers' formats that have a neutral form, and providers' formats that it can be written in.
TRANSLATABLE = frozenset(name for name, entry in WIRE_FORMATS.items() if entry.translates_from)
DECODABLE = frozenset(name for name, entry in WIRE_FORMATS.items() if entry.translates_to or name == "completions")
TRANSLATED = frozenset(name for name, entry in WIRE_FORMATS.items() if entry.translates_to)

_loaded: dict[str, Any] = {}


def client(name: str) -> ClientFormat:
    """Return a format that callers speak. Raises KeyError for another name."""
    entry = WIRE_FORMATS[name]
    return cast("ClientFormat", _load(name, allowed=entry.client_path is not None or entry.of_callers))


def client_conversation(name: str) -> ClientConversation:
    """Return a format of TRANSLATABLE. Raises KeyError for another name."""
    return cast("ClientConversation", _load(name, allowed=name in TRANSLATABLE))


def provider(name: str) -> ProviderFormat:
    """Return a format that providers speak. Raises KeyError for another name."""
    return cast("ProviderFormat", _load(name))


def streamed(name: str) -> StreamedFormat:
    """Return a format of providers whose answers stream. Raises KeyError for another name."""
    return cast("StreamedFormat", _load(name, allowed=WIRE_FORMATS[name].streams))


def decodable(name: str) -> "DecodedFormat":
    """Return a format of providers whose answers can be decoded: those of TRANSLATED, and legacy completions.

    Raises KeyError for another name.
    """
    return cast("DecodedFormat", _load(name, allowed=name in DECODABLE))


def conversation(name: str) -> ProviderConversation:
    """Return a format of TRANSLATED. Raises KeyError for another name."""
    return cast("ProviderConversation", _load(name, allowed=name in TRANSLATED))


def _load(name: str, *, allowed: bool = True) -> Any:
    if not allowed:
        raise KeyError(name)
    found = _loaded.get(name)
    if found is None:
        module = import_module(f"vibe_router.formats.{WIRE_FORMATS[name].module}")
        found = _loaded[name] = getattr(module, name.upper())
    return found
