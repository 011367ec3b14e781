"""The error of a failed deployment."""

from vibe_cli.errors import CommandError

__all__ = ["DeployError"]


class DeployError(CommandError):
    """A step failed. The message says why and what to do about it, and never contains a secret."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(f"\n{message}", status)
