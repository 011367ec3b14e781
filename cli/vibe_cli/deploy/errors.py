"""How deploying fails."""

__all__ = ["DeployError"]


class DeployError(Exception):
    """A step can't be done. The text says why and what to do about it, and never holds a secret."""

    def __init__(self, message: str, status: int = 1) -> None:
        super().__init__(message)
        self.status = status
