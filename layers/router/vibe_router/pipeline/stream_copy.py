"""A copy of what a caller is streamed, for work after the answer."""

from collections.abc import Iterable, Iterator

__all__ = ["StreamCopy"]


class StreamCopy:
    """Passes `stream` on, and keeps its first `most` bytes.

    Iterate once. Afterwards `content` is the copy, and `is_whole` whether it is all of the stream.
    """

    def __init__(self, stream: Iterable[bytes], most: int) -> None:
        self._stream = stream
        self._most = most
        self._pieces: list[bytes] = []
        self._left = most
        self._has_ended = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._stream:
            if self._left > 0:
                self._pieces.append(piece[: self._left])
            self._left -= len(piece)
            yield piece
        self._has_ended = True

    @property
    def content(self) -> bytes:
        """The beginning of the stream, or all of it."""
        return b"".join(self._pieces)

    @property
    def is_whole(self) -> bool:
        """Return whether the stream has ended, and `content` is all of it."""
        return self._has_ended and self._left >= 0
