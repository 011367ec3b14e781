"""The options of a run."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["SECTIONS", "Options", "Peer", "peer"]

SECTIONS = ("calls", "streams", "formats", "cold-start", "memory", "size", "aws", "keys", "log")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another gateway to compare with. `model` is its name for the provider's model."""

    name: str
    base_url: str
    key: str
    model: str


@dataclass(frozen=True, slots=True)
class Options:
    """The number of measurements per target. `rests`: seconds of idleness after which calls to AWS are counted."""

    calls: int = 2000
    starts: int = 10
    requests: int = 1000
    sections: Sequence[str] = SECTIONS
    peers: Sequence[Peer] = ()
    provider_port: int = 0
    rests: Sequence[float] = (10.1, 1.05)

    def streams(self, chunks: int) -> int:
        """Return the number of streams with this number of chunks: fewer long ones, at least two."""
        return max(self.calls * 20 // (chunks + 100), 2)


def peer(text: str, default_model: str) -> Peer:
    """Read `NAME=URL[,KEY[,MODEL]]`. Raises ValueError."""
    name, equals, rest = text.partition("=")
    base_url, key, model, *more = [*rest.split(","), "", ""][: max(3, rest.count(",") + 1)]
    if not name or not equals or not base_url.startswith(("http://", "https://")) or more:
        raise ValueError(f"{text!r} is not NAME=URL[,KEY[,MODEL]], such as other=http://127.0.0.1:8080/v1,sk-key")
    return Peer(name, base_url, key or "sk-none", model or default_model)
