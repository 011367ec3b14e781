"""How a command fails."""

__all__ = ["CommandError"]


class CommandError(Exception):
    """A command can't go on; the text says why, and what to do about it."""

    def __init__(self, message: str, status: int = 2) -> None:
        super().__init__(message)
        self.status = status
