"""A reader around another one, which says how far the provider's stream has got."""

from vibe_router.core.usage import Usage
from vibe_router.formats.interfaces import StreamReader

__all__ = ["ReaderProxy"]


class ReaderProxy:
    """What a `StreamReader` around `reader` knows from it."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader

    @property
    def usage(self) -> Usage:
        """What the provider has counted so far."""
        return self._reader.usage

    @property
    def malformed(self) -> int:
        """How many events could not be read."""
        return self._reader.malformed

    @property
    def done(self) -> bool:
        """Whether the provider said that its stream is over."""
        return self._reader.done

    @property
    def complete(self) -> bool:
        """Whether an end here is a whole answer."""
        return self._reader.complete
