"""The writes that a caller waits for."""

from typing import Any, Protocol

__all__ = ["Writes"]


class Writes(Protocol):
    """The write methods of `store.dynamodb.DynamoDB`. They raise AwsError."""

    def put_item(self, **parameters: Any) -> Any:
        """Put an item."""

    def update_item(self, **parameters: Any) -> Any:
        """Update an item."""

    def transact_write_items(self, **parameters: Any) -> Any:
        """Write all of several items, or none."""
