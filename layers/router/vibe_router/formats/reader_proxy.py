"""A base class for stream readers that wrap another one."""

from vibe_router.core.usage import Usage
from vibe_router.formats.interfaces import StreamReader

__all__ = ["ReaderProxy"]


class ReaderProxy:
    """Takes the progress of a stream from the wrapped `reader`."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader

    @property
    def usage(self) -> Usage:
        """The usage reported so far."""
        return self._reader.usage

    @property
    def malformed(self) -> int:
        """The number of unreadable events."""
        return self._reader.malformed

    @property
    def done(self) -> bool:
        """Return whether the provider has ended the stream explicitly."""
        return self._reader.done

    @property
    def complete(self) -> bool:
        """Return whether the answer is complete if the stream ends now."""
        return self._reader.complete
