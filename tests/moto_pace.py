"""moto's DynamoDB, made to cost what a write touches.

moto keeps a copy of every table that a transaction writes to, for the case that it fails: half a second for ten
thousand rows, with every request that is booked. Here it keeps the items that the transaction names.

And it walks through an update's syntax tree a dozen times, for each of its clauses: nine tenths of a booking, whose
updates say no more than ADD. Such an update is carried out here; every other is moto's, which parses a text once.

It looks for each of the ten kinds of an attribute's value, under several names, before it says the one that is there:
three quarters of what reading an item costs. Here the type that is present is used.

What it looks up for every request and never changes, its own directory and its classes' methods, is looked up once: a
third of what a small request costs.
"""

import copy
import re
from collections.abc import Mapping
from functools import lru_cache, wraps
from typing import Any

from moto import backends
from moto.core import responses as core_responses
from moto.core.model import StructureShape
from moto.core.serialize import BaseJSONSerializer
from moto.dynamodb import models, responses
from moto.dynamodb.models.dynamo_type import DynamoType, Item
from moto.dynamodb.models.table import Table

__all__ = ["install"]

_Key = tuple[Table, Any, Any]
_ADDITION = re.compile(r"ADD (#\w+ :\w+(?:, #\w+ :\w+)*)")


class _Copy:
    """Stands in for the module `copy` where moto copies tables and items."""

    @staticmethod
    def deepcopy(value: Any) -> Any:
        """Copy an item; a table stands for itself."""
        return value if isinstance(value, Table) else copy.deepcopy(value)


class _Parser:
    """Stands in for the parser of updates where moto looks at a syntax tree and does not change it."""

    make = staticmethod(lru_cache(1_000)(responses.UpdateExpressionParser.make))  # type: ignore[attr-defined]  # its own


def install() -> None:
    """Mend moto, in this process, for as long as it lives."""
    backend = models.DynamoDBBackend
    if hasattr(backend.transact_write_items, "__wrapped__"):
        return
    backend.transact_write_items = _undone_by_item(backend.transact_write_items)  # type: ignore[method-assign]
    backend.update_item = _adding_at_once(backend.update_item)  # type: ignore[method-assign]
    BaseJSONSerializer._serialize_type_structure = _saying_what_is_there(  # type: ignore[method-assign]
        BaseJSONSerializer._serialize_type_structure
    )
    models.copy = _Copy  # type: ignore[assignment, attr-defined]  # moto's own name for the module
    modules = frozenset(backends.list_of_moto_modules())
    backends.list_of_moto_modules = lambda: modules
    methods = lru_cache(None)(core_responses.method_names_from_class)  # type: ignore[attr-defined]  # as moto imports it
    core_responses.method_names_from_class = methods  # type: ignore[attr-defined]  # likewise
    responses.UpdateExpressionParser = _Parser  # type: ignore[attr-defined]  # as moto imports it


def _undone_by_item(original: Any) -> Any:
    @wraps(original)
    def transact_write_items(self: models.DynamoDBBackend, transact_items: list[dict[str, Any]]) -> None:
        before = _standing(self, transact_items)
        try:
            original(self, transact_items)
        except Exception:
            for key, item in before:
                _restore(key, item)
            raise

    return transact_write_items


def _adding_at_once(original: Any) -> Any:
    @wraps(original)
    def update_item(
        self: models.DynamoDBBackend,
        table_name: str,
        key: Mapping[str, Any],
        update_expression: str,
        expression_attribute_names: Mapping[str, str],
        expression_attribute_values: Mapping[str, Mapping[str, Any]],
        **others: Any,
    ) -> Any:
        named = expression_attribute_names, expression_attribute_values
        if not any(others.values()) and (found := _ADDITION.fullmatch(update_expression or "")):
            table = self.get_table(table_name)
            item = table.get_item(*self.get_keys_value(table, key))  # type: ignore[arg-type]  # which it only reads
            sums = _sums(item.attrs if item else {}, found[1], *named)
            if sums and sums.keys().isdisjoint(key):
                if not item:
                    return table.put_item({**key, **{name: each.to_json() for name, each in sums.items()}})
                item.attrs |= sums
                return item
        return original(self, table_name, key, update_expression, *named, **others)

    return update_item


def _saying_what_is_there(original: Any) -> Any:
    @wraps(original)
    def _serialize_type_structure(
        self: BaseJSONSerializer, serialized: dict[str, Any], value: Any, shape: StructureShape, key: str
    ) -> None:
        if shape.name != "AttributeValue" or type(value) is not dict or len(value) != 1:
            original(self, serialized, value, shape, key)
            return
        ((kind, member),) = value.items()
        if kind not in shape.members or member is None:
            original(self, serialized, value, shape, key)
            return
        wrapper: dict[str, Any] = {}
        self._serialize(wrapper, member, shape.members[kind], kind)
        self._default_serialize(serialized, wrapper, shape, key)

    return _serialize_type_structure


def _sums(
    before: Mapping[str, DynamoType], additions: str, names: Mapping[str, str], values: Mapping[str, Mapping[str, Any]]
) -> dict[str, DynamoType] | None:
    """Return what attributes become with the additions to them; None for those that moto itself must look at."""
    sums: dict[str, DynamoType] = {}
    for addition in additions.split(", "):
        placeholder, value = addition.split(" ")
        if (name := names.get(placeholder)) is None or name in sums or value not in values:
            return None
        number, stands = DynamoType(dict(values[value])), before.get(name, DynamoType({"N": "0"}))
        if not number.is_number() or not stands.is_number():
            return None
        sums[name] = stands + number
    return sums


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
