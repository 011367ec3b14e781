"""moto's transactions, made to cost what they touch.

moto keeps a copy of every table that a transaction writes to, for the case that it fails: half a second for ten
thousand rows, with every request that is booked. Here it keeps the items that the transaction names.
"""

import copy
from functools import wraps
from typing import Any

from moto.dynamodb import models
from moto.dynamodb.models.dynamo_type import Item
from moto.dynamodb.models.table import Table

__all__ = ["install"]

_Key = tuple[Table, Any, Any]


class _Copy:
    """Stands in for the module `copy` where moto copies tables and items."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        """Copy an item; a table stands for itself."""
        return value if isinstance(value, Table) else copy.deepcopy(value)


def install() -> None:
    """Mend moto, in this process, for as long as it lives."""
    backend = models.DynamoDBBackend
    original = backend.transact_write_items
    if hasattr(original, "__wrapped__"):
        return

    @wraps(original)
    def transact_write_items(self: models.DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        before = _standing(self, transact_items)
        try:
            original(self, transact_items)
        except Exception:
            for key, item in before:
                _restore(key, item)
            raise

    backend.transact_write_items = transact_write_items  # type: ignore[method-assign]  # that is what this is for
    models.copy = _Copy  # type: ignore[assignment, attr-defined]  # moto's own name for the module


def _standing(backend: models.DynamoDBBackend, transact_items: list[dict[str, Any]]) -> list[tuple[_Key, Item | None]]:
    """Return the items that a transaction names, as they stand; what is wrong with it moto itself will say."""
    found: list[tuple[_Key, Item | None]] = []
    for action in transact_items:
        for operation in action.values():
            table = backend.tables.get(operation.get("TableName", ""))
            key = operation.get("Key") or operation.get("Item") or {}
            if table is None or table.hash_key_attr not in key:
                continue
            if table.range_key_attr and table.range_key_attr not in key:
                continue
            hash_key, range_key = backend.get_keys_value(table, key)
            found.append(((table, hash_key, range_key), copy.deepcopy(table.get_item(hash_key, range_key))))
    return found


def _restore(key: _Key, item: Item | None) -> None:
    table, hash_key, range_key = key
    items: Any = table.items
    if item is None:
        (items[hash_key] if range_key else items).pop(range_key or hash_key, None)
    elif range_key:
        items[hash_key][range_key] = item
    else:
        items[hash_key] = item
