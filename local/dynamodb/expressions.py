"""Condition, update and projection expressions: parsed once, evaluated on items.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from .values import Item, ValidationError, compare, number, number_value, size_of

__all__ = ["Placeholders", "condition", "key_condition", "project", "update"]

_TOKEN = re.compile(r"\s*(?:(<>|<=|>=|[=<>(),.+\-\[\]])|([#:]?[A-Za-z_0-9]+))")
_EXACT = Context(prec=330)
Path: TypeAlias = tuple[str | int, ...]
Value: TypeAlias = Mapping[str, Any]
Node: TypeAlias = tuple[Any, ...]


@dataclass
class Placeholders:
    """ExpressionAttributeNames and ExpressionAttributeValues; they must all be used."""

    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Value] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def name(self, text: str) -> str:
        """Return an attribute's name."""
        if not text.startswith("#"):
            return text
        self.used.add(text)
        if text not in self.names:
            raise ValidationError(f"An expression attribute name used in the document path is not defined: {text}")
        return self.names[text]

    def value(self, text: str) -> Value:
        """Return a value."""
        self.used.add(text)
        if text not in self.values:
            raise ValidationError(f"An expression attribute value used in expression is not defined: {text}")
        return self.values[text]

    def check_all_used(self) -> None:
        """Raise `ValidationError` for a placeholder that no expression uses."""
        for kind, given in (("Names", self.names), ("Values", self.values)):
            unused = [name for name in given if name not in self.used]
            if unused:
                raise ValidationError(
                    f"Value provided in ExpressionAttribute{kind} unused in expressions: keys: {{{', '.join(unused)}}}"
                )


# --- parsing ----------------------------------------------------------------------------------------------------------


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise self._error(text[place : place + 10])
            self._tokens.append(found[1] or found[2])
            place = found.end()
        self._place = 0

    def _error(self, near: str) -> ValidationError:
        return ValidationError(f"Invalid expression: Syntax error; near: {near!r} in {self._text[:200]!r}")

    def peek(self) -> str:
        return self._tokens[self._place] if self._place < len(self._tokens) else ""

    def next(self, *expected: str) -> str:
        token = self.peek()
        if not token or (expected and token.upper() not in expected):
            raise self._error(token)
        self._place += 1
        return token

    def accept(self, *expected: str) -> str:
        return self.next() if self.peek() and self.peek().upper() in expected else ""

    def end(self) -> None:
        if self.peek():
            raise self._error(self.peek())

    def path(self) -> Node:
        parts: list[str | int] = [self._name()]
        while True:
            if self.accept("."):
                parts.append(self._name())
            elif self.accept("["):
                index = self.next()
                if not index.isdecimal():
                    raise self._error(index)
                parts.append(int(index))
                self.next("]")
            else:
                return ("path", *parts)

    def _name(self) -> str:
        token = self.next()
        if not re.fullmatch(r"#?[A-Za-z_0-9]+", token):
            raise self._error(token)
        return token

    def operand(self) -> Node:
        token = self.peek()
        if token.startswith(":"):
            return ("value", self.next())
        if token.lower() in ("size", "if_not_exists", "list_append") and self._tokens[self._place + 1 :][:1] == ["("]:
            name = self.next().lower()
            self.next("(")
            arguments = [self.path() if name in ("size", "if_not_exists") else self.operand()]
            while self.accept(","):
                arguments.append(self.operand())
            self.next(")")
            return (name, *arguments)
        return self.path()

    def condition(self) -> Node:
        left = self._conjunction()
        while self.accept("OR"):
            left = ("or", left, self._conjunction())
        return left

    def _conjunction(self) -> Node:
        left = self._negation()
        while self.accept("AND"):
            left = ("and", left, self._negation())
        return left

    def _negation(self) -> Node:
        return ("not", self._negation()) if self.accept("NOT") else self._predicate()

    def _predicate(self) -> Node:
        if self.accept("("):
            inner = self.condition()
            self.next(")")
            return inner
        name = self.peek().lower()
        if name in ("attribute_exists", "attribute_not_exists", "attribute_type", "begins_with", "contains"):
            self.next()
            self.next("(")
            arguments = [self.path()]
            while self.accept(","):
                arguments.append(self.operand())
            self.next(")")
            if len(arguments) != (1 if name.endswith("exists") else 2):
                raise self._error(name)
            return (name, *arguments)
        left = self.operand()
        operator = self.next("=", "<>", "<", "<=", ">", ">=", "BETWEEN", "IN").upper()
        if operator == "BETWEEN":
            low = self.operand()
            self.next("AND")
            return ("between", left, low, self.operand())
        if operator == "IN":
            self.next("(")
            choices = [self.operand()]
            while self.accept(","):
                choices.append(self.operand())
            self.next(")")
            return ("in", left, *choices)
        return (operator, left, self.operand())

    def update(self) -> list[Node]:
        actions: list[Node] = []
        seen: set[str] = set()
        while self.peek():
            clause = self.next("SET", "REMOVE", "ADD", "DELETE").upper()
            if clause in seen:
                raise self._error(clause)
            seen.add(clause)
            while True:
                path = self.path()
                match clause:
                    case "SET":
                        self.next("=")
                        actions.append(("set", path, self._sum()))
                    case "REMOVE":
                        actions.append(("remove", path))
                    case _:
                        actions.append((clause.lower(), path, ("value", self.next())))
                if not self.accept(","):
                    break
        if not actions:
            raise self._error("")
        return actions

    def _sum(self) -> Node:
        left = self.operand()
        while sign := self.accept("+", "-"):
            left = (sign, left, self.operand())
        return left

    def paths(self) -> list[Node]:
        found = [self.path()]
        while self.accept(","):
            found.append(self.path())
        return found


@lru_cache(1000)
def _parsed(text: str, rule: str) -> Any:
    if not isinstance(text, str) or not text.strip():
        raise ValidationError("Invalid expression: The expression can not be empty")
    parser = _Parser(text)
    try:
        node = getattr(parser, rule)()
    except RecursionError:
        raise ValidationError("Invalid expression: it is nested too deeply") from None
    parser.end()
    return node


# --- evaluating -------------------------------------------------------------------------------------------------------


def _resolve(node: Node, given: Placeholders) -> Path:
    return tuple(given.name(part) if isinstance(part, str) else part for part in node[1:])


def _at(item: Item, path: Path) -> Value | None:
    found: Any = {"M": item}
    for part in path:
        content = found.get("M") if isinstance(part, str) else found.get("L")
        if content is None:
            return None
        found = content.get(part) if isinstance(part, str) else (content[part : part + 1] or [None])[0]
        if found is None:
            return None
    return found  # type: ignore[no-any-return]  # a typed value


def _operand(node: Node, item: Item, given: Placeholders) -> Value | None:
    match node[0]:
        case "value":
            return given.value(node[1])
        case "path":
            return _at(item, _resolve(node, given))
        case "size":
            found = _at(item, _resolve(node[1], given))
            if found is None:
                return None
            ((kind, content),) = found.items()
            return {"N": str(len(content) if kind in ("M", "L", "SS", "NS", "BS") else size_of(found))}
        case "if_not_exists":
            path, default = _resolve(node[1], given), _operand(node[2], item, given)
            found = _at(item, path)
            return default if found is None else found
        case "list_append":
            first, second = (_operand(each, item, given) for each in node[1:3])
            if first is None or second is None or "L" not in first or "L" not in second:
                raise ValidationError("An operand in the update expression has an incorrect data type")
            return {"L": [*first["L"], *second["L"]]}
        case "+" | "-":
            left, right = (_operand(each, item, given) for each in node[1:3])
            if left is None or right is None:
                raise ValidationError("The provided expression refers to an attribute that does not exist in the item")
            if "N" not in left or "N" not in right:
                raise ValidationError("An operand in the update expression has an incorrect data type")
            one, other = number(left["N"]), number(right["N"])
            return _sum_of(one, other if node[0] == "+" else -other)
    raise AssertionError(node)


def _sum_of(one: Decimal, other: Decimal) -> dict[str, str]:
    return number_value(_EXACT.add(one, other))


def _holds(node: Node, item: Item, given: Placeholders) -> bool:
    kind = node[0]
    if kind in ("and", "or"):  # both sides, so that every placeholder counts as used
        sides = [_holds(each, item, given) for each in node[1:]]
        return all(sides) if kind == "and" else any(sides)
    if kind == "not":
        return not _holds(node[1], item, given)
    left = _operand(node[1], item, given)
    rest = [_operand(each, item, given) for each in node[2:]]
    if kind == "attribute_exists":
        return left is not None
    if kind == "attribute_not_exists":
        return left is None
    if left is None or any(each is None for each in rest):
        return bool(kind == "<>")
    found = [each for each in rest if each is not None]
    match kind:
        case "attribute_type":
            return {str(found[0].get("S"))} == set(left)
        case "begins_with":
            ((own, text),), ((other, start),) = left.items(), found[0].items()
            return bool(own == other and own in ("S", "B") and str(text).startswith(str(start)))
        case "contains":
            return _contains(left, found[0])
        case "between":
            low, high = compare(left, found[0]), compare(left, found[1])
            return low is not None and high is not None and low >= 0 and high <= 0
        case "in":
            return any(compare(left, each) == 0 for each in found)
    order = compare(left, found[0])
    if kind == "=":
        return order == 0
    if kind == "<>":
        return order != 0
    ordered = order is not None and bool({"S", "N", "B"} & set(left))
    return bool(ordered and _ORDERS[kind](order or 0))


_ORDERS: Mapping[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def _contains(left: Value, wanted: Value) -> bool:
    ((kind, content),) = left.items()
    match kind:
        case "S":
            return bool("S" in wanted and wanted["S"] in content)
        case "SS" | "NS" | "BS":
            return kind[0] in wanted and any(compare({kind[0]: each}, wanted) == 0 for each in content)
        case "L":
            return any(compare(each, wanted) == 0 for each in content)
    return False


def condition(text: str, item: Item | None, given: Placeholders) -> bool:
    """Return whether a condition or filter holds for an item, `None` for no item. Raises `ValidationError`."""
    return _holds(_parsed(text, "condition"), item or {}, given)


class KeyRange(NamedTuple):
    """The key of a query: the partition's value, and the operator and values of the sort key (None: all)."""

    partition: Value
    operator: str | None
    bounds: tuple[Value, ...]


def key_condition(text: str, partition: str, sort: str | None, given: Placeholders) -> KeyRange:
    """Return the key range of a KeyConditionExpression. Raises `ValidationError`."""
    node = _parsed(text, "condition")
    parts = [node[1], node[2]] if node[0] == "and" else [node]
    found: dict[str, Node] = {}
    for part in parts:
        if part[0] not in ("=", "<", "<=", ">", ">=", "between", "begins_with") or part[1][0] != "path":
            raise ValidationError("Invalid operator used in KeyConditionExpression")
        name = ".".join(map(str, _resolve(part[1], given)))
        found[name] = part
    equal = found.pop(partition, None)
    if equal is None or equal[0] != "=" or set(found) - {sort}:
        raise ValidationError("Query condition missed key schema element")
    value = given.value(equal[2][1])
    if not found:
        return KeyRange(value, None, ())
    ((_, ranged),) = found.items()
    return KeyRange(value, ranged[0], tuple(given.value(each[1]) for each in ranged[2:]))


def update(text: str, item: Item, given: Placeholders, keys: tuple[str, ...]) -> tuple[Item, set[str]]:
    """Return the updated copy of an item, and the names of the changed attributes. Raises `ValidationError`."""
    changed: set[str] = set()
    paths: list[Path] = []
    updated = copy.deepcopy(item)
    new_values: list[tuple[Node, Path, Value | None]] = []
    for action in _parsed(text, "update"):
        path = _resolve(action[1], given)
        if path[0] in keys:
            raise ValidationError(f"Cannot update attribute {path[0]}. This attribute is part of the key")
        if any(path[: len(other)] == other[: len(path)] for other in paths):
            raise ValidationError("Invalid UpdateExpression: Two document paths overlap with each other")
        paths.append(path)
        value = _operand(action[2], item, given) if len(action) > 2 else None  # of the item before the update
        if action[0] == "set" and value is None:
            raise ValidationError("The provided expression refers to an attribute that does not exist in the item")
        new_values.append((action, path, value))
    for action, path, value in new_values:
        changed.add(str(path[0]))
        match action[0]:
            case "set":
                _put(updated, path, copy.deepcopy(value))
            case "remove":
                _remove(updated, path)
            case "add":
                _put(updated, path, _added(_at(updated, path), value or {}))
            case "delete":
                _delete(updated, path, value or {})
    return updated, changed


def _added(before: Value | None, value: Value) -> Value:
    ((kind, content),) = value.items()
    if kind == "N":
        if before is not None and "N" not in before:
            raise ValidationError("An operand in the update expression has an incorrect data type")
        return _sum_of(number(before["N"]) if before else Decimal(0), number(content))
    if kind not in ("SS", "NS", "BS") or (before is not None and kind not in before):
        raise ValidationError("Incorrect operand type for operator or function; operator: ADD")
    known = before[kind] if before else []
    return {kind: [*known, *(each for each in content if not _contains({kind: known}, {kind[0]: each}))]}


def _delete(item: Item, path: Path, value: Value) -> None:
    before = _at(item, path)
    ((kind, content),) = value.items()
    if kind not in ("SS", "NS", "BS") or (before is not None and kind not in before):
        raise ValidationError("Incorrect operand type for operator or function; operator: DELETE")
    if before is not None:
        left = [each for each in before[kind] if not _contains({kind: content}, {kind[0]: each})]
        if left:
            _put(item, path, {kind: left})
        else:
            _remove(item, path)


def _parent(item: Item, path: Path) -> Any:
    found = {"M": item} if len(path) == 1 else _at(item, path[:-1])
    return None if found is None else found.get("M" if isinstance(path[-1], str) else "L")


def _put(item: Item, path: Path, value: Any) -> None:
    parent = _parent(item, path)
    if parent is None:
        raise ValidationError("The document path provided in the update expression is invalid for update")
    last = path[-1]
    if isinstance(last, int) and last >= len(parent):
        parent.append(value)
    else:
        parent[last] = value


def _remove(item: Item, path: Path) -> None:
    parent = _parent(item, path)
    if parent is None:
        if len(path) > 1:
            raise ValidationError("The document path provided in the update expression is invalid for update")
        return
    last = path[-1]
    if isinstance(last, str):
        parent.pop(last, None)
    elif last < len(parent):
        del parent[last]


def project(text: str, item: Item, given: Placeholders) -> Item:
    """Return the attributes of a ProjectionExpression. Raises `ValidationError`."""
    projected: Item = {}
    for node in _parsed(text, "paths"):
        path = _resolve(node, given)
        value = _at(item, path)
        if value is None:
            continue
        target = projected
        for part, following in pairwise(path):
            if isinstance(part, int) or isinstance(following, int):
                break
            target = target.setdefault(part, {"M": {}})["M"]
        else:
            target[str(path[-1])] = value
            continue
        projected[str(path[0])] = item[str(path[0])]  # a path into a list returns the whole attribute
    return projected
