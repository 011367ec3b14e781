"""A YAML file as plain values with their lines.

PyYAML is not available in Lambda.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

import yaml

from vibe_router.routing.spec import Place, Problem

__all__ = ["Document", "UnreadableError"]

# The last branch matches a malformed variable.
_VARIABLE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^{}]*)?\}|\$\{")
_TAG = "tag:yaml.org,2002:"
_SCALARS = frozenset(f"{_TAG}{kind}" for kind in ("str", "int", "float", "bool", "null"))

# PyYAML's type stubs omit this one.
_tag_of = cast("Callable[[type[yaml.Node], str, tuple[bool, bool]], str]", yaml.resolver.Resolver().resolve)
_constructor = yaml.constructor.SafeConstructor()
_WRONG_VALUE = (ValueError, LookupError)  # raised by PyYAML for a value that contradicts its tag


class UnreadableError(Exception):
    """A text is not YAML: the reason, and the line (0: the whole file)."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line, self.reason = line, reason


@dataclass(slots=True)
class Document:
    """Converts YAML's nodes to plain values, and remembers their lines.

    `${NAME}` and `${NAME:-default}` in values are replaced from `environ`; without one they stay as they are. Values
    that are not plain become None, with an entry in `problems`.
    """

    environ: Mapping[str, str] | None
    problems: list[tuple[int, Problem]] = field(default_factory=list)
    _lines: dict[Place, int] = field(default_factory=dict)
    _around: list[yaml.Node] = field(default_factory=list)  # the nodes around the current one

    def read(self, text: str) -> object:
        """Return the document in `text`. Raises UnreadableError."""
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            return self._value(node, ()) if node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            reason = ", ".join(filter(None, (error.context, error.problem)))
            raise UnreadableError(mark.line + 1 if mark else 0, f"is not YAML: {reason}") from error
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise UnreadableError(line, "is not YAML: it holds a control character") from error
        except RecursionError as error:
            raise UnreadableError(0, "is nested too deeply") from error

    def line_of(self, place: Place) -> int:
        """Return the line of `place`, or of the nearest node around it; 0 if there is none."""
        return next((self._lines[place[:end]] for end in range(len(place), 0, -1) if place[:end] in self._lines), 0)

    def _complain(self, node: yaml.Node, place: Place, reason: str) -> None:
        self.problems.append((node.start_mark.line + 1, Problem(place, reason)))

    def _value(self, node: yaml.Node, place: Place) -> object:
        self._lines.setdefault(place, node.start_mark.line + 1)
        if node in self._around:
            self._complain(node, place, "holds itself, by an alias")
            return None
        self._around.append(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == f"{_TAG}map":
                return self._mapping(node, place)
            if isinstance(node, yaml.SequenceNode) and node.tag == f"{_TAG}seq":
                return [self._value(item, (*place, index)) for index, item in enumerate(node.value)]
            if isinstance(node, yaml.ScalarNode) and node.tag in _SCALARS:
                return self._scalar(node, place)
        finally:
            self._around.pop()
        kind = node.tag.removeprefix(_TAG)
        self._complain(node, place, f"must be a plain value and not a {kind}; quote it if it is meant as text")
        return None

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[object, object]:
        values: dict[object, object] = {}
        # A mapping's own keys take precedence over merged ones; of several merges the first wins.
        for key, merged in node.value:
            if key.tag == f"{_TAG}merge":
                for source in reversed(merged.value if isinstance(merged, yaml.SequenceNode) else [merged]):
                    value = self._value(source, place)
                    if isinstance(value, dict):
                        values |= value
                    else:
                        self._complain(source, place, "`<<` takes a mapping, or a list of them")
        first: dict[str | int, int] = {}
        for key, node_of_value in node.value:
            if key.tag == f"{_TAG}merge":
                continue
            try:
                name = _constructed(key)
            except _WRONG_VALUE:
                name = None
            if not isinstance(name, str | int):
                self._complain(key, place, "holds a name that is not text; quote it")
                continue
            line = key.start_mark.line + 1
            if name in first:
                self._complain(key, (*place, name), f"is a duplicate; line {first[name]} has the same name")
                continue
            first[name] = self._lines[*place, name] = line
            values[name] = self._value(node_of_value, (*place, name))
        return values

    def _scalar(self, node: yaml.ScalarNode, place: Place) -> object:
        environ = self.environ
        expanded = node.value
        if environ is not None:
            expanded = _VARIABLE.sub(lambda found: self._variable(found, environ, node, place), expanded)
        if expanded != node.value and node.style is None:  # unquoted: a number in a variable is a number
            node = yaml.ScalarNode(_tag_of(yaml.ScalarNode, expanded, (True, False)), expanded)
        elif expanded != node.value:
            return expanded
        try:
            return _constructed(node)
        except _WRONG_VALUE:
            self._complain(node, place, f"cannot be read as {node.tag.removeprefix(_TAG)}")
            return None

    def _variable(self, found: re.Match[str], environ: Mapping[str, str], node: yaml.ScalarNode, place: Place) -> str:
        name, default = found["name"], found["default"]
        if name is None:
            self._complain(node, place, "holds a `${` that is neither ${NAME} nor ${NAME:-default}")
        elif value := environ.get(name):
            return value
        elif default is not None:
            return default.removeprefix(":-")
        elif name not in environ:
            self._complain(node, place, f"needs {name}, which is not set; set it, or write ${{{name}:-default}}")
        return ""


def _constructed(node: yaml.Node) -> object:
    return _constructor.construct_object(node) if isinstance(node, yaml.ScalarNode) else None
