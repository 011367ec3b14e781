"""The options of a run."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["SECTIONS", "Options", "Peer", "peer", "peers_of"]

SECTIONS = ("calls", "streams", "throughput", "formats", "chains", "cold-start", "memory", "size", "aws", "keys", "log")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another gateway to compare with. `model` is its name for the provider's model.

    `command` starts it; without one it runs already. `headers` are sent to it in addition.
    """

    name: str
    base_url: str
    key: str
    model: str
    command: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """The number of measurements per target. `rests`: seconds of idleness after which calls to AWS are counted.

    `against` is a revision of this repository that is measured as well.
    """

    calls: int = 2000
    starts: int = 10
    requests: int = 1000
    sections: Sequence[str] = SECTIONS
    peers: Sequence[Peer] = ()
    provider_port: int = 0
    against: str | None = None
    rests: Sequence[float] = (10.1, 1.05)

    def streams(self, chunks: int) -> int:
        """Return the number of streams with this number of chunks: fewer long ones, at least two."""
        return max(self.calls * 20 // (chunks + 100), 2)


def peers_of(
    urls: Sequence[str], commands: Sequence[str], headers: Sequence[str], default_model: str
) -> tuple[Peer, ...]:
    """Read `NAME=URL[,KEY[,MODEL]]`, `NAME=COMMAND` and `NAME=HEADER: VALUE`. Raises ValueError."""
    peers = {found.name: found for found in (peer(text, default_model) for text in urls)}
    for text in (*commands, *headers):
        name, _, value = text.partition("=")
        if name not in peers or not value:
            raise ValueError(f"{text!r} is not NAME=…, with the name of a --peer")
    for text in commands:
        name, _, command = text.partition("=")
        peers[name] = replace(peers[name], command=command)
    for text in headers:
        name, _, header = text.partition("=")
        field, colon, value = header.partition(":")
        if not colon:
            raise ValueError(f"{text!r} is not NAME=HEADER: VALUE")
        peers[name] = replace(peers[name], headers=(*peers[name].headers, (field.strip(), value.strip())))
    return tuple(peers.values())


def peer(text: str, default_model: str) -> Peer:
    """Read `NAME=URL[,KEY[,MODEL]]`. Raises ValueError."""
    name, equals, rest = text.partition("=")
    base_url, key, model, *more = [*rest.split(","), "", ""][: max(3, rest.count(",") + 1)]
    if not name or not equals or not base_url.startswith(("http://", "https://")) or more:
        raise ValueError(f"{text!r} is not NAME=URL[,KEY[,MODEL]], such as other=http://127.0.0.1:8080/v1,sk-key")
    return Peer(name, base_url, key or "sk-none", model or default_model)
