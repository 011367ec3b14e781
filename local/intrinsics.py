"""CloudFormation's YAML tags and functions, as far as a local stack can resolve them.

https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

__all__ = ["NO_VALUE", "Resolver", "TemplateError", "read_yaml"]

NO_VALUE = object()
"""The value of `AWS::NoValue`: the property is removed."""

_VARIABLE = re.compile(r"\$\{(!?)([^}$]*)\}")


class TemplateError(Exception):
    """The template has an element that a local stack cannot resolve; the message names it and its place."""


# libyaml is ten times as fast; not every platform's wheel has it.
class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two bases
    """Reads `!Sub x` as `{"Fn::Sub": x}`, the long form that JSON templates use."""


def _construct(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    elif isinstance(node, yaml.MappingNode):
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _construct)


def read_yaml(path: Path) -> dict[str, Any]:
    """Return a template's content with its tags in their long form. Raises `TemplateError`."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506 - a SafeLoader with more tags
    except (OSError, yaml.YAMLError) as error:
        raise TemplateError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise TemplateError(f"{path.name} is not a mapping")
    return content


class Resolver:
    """Resolve a template's expressions.

    `parameters`: values of parameters and pseudo parameters. `ref` and `attribute` resolve `Ref` of a resource and
    `GetAtt`.
    """

    def __init__(
        self,
        parameters: Mapping[str, Any],
        conditions: Mapping[str, Any],
        mappings: Mapping[str, Any],
        ref: Callable[[str], str],
        attribute: Callable[[str, str], str],
    ) -> None:
        self._parameters = parameters
        self._conditions = conditions
        self._mappings = mappings
        self._ref_resource = ref
        self._attribute = attribute

    def resolve(self, value: Any) -> Any:
        """Return `value` with all expressions resolved. Raises `TemplateError`."""
        if isinstance(value, list):
            return [item for item in map(self.resolve, value) if item is not NO_VALUE]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref":
                return self._ref(argument)
            if name == "Condition" and isinstance(argument, str):
                return self.condition(argument)
            if isinstance(name, str) and name.startswith("Fn::"):
                return self._function(name, argument)
        resolved = ((name, self.resolve(item)) for name, item in value.items())
        return {name: item for name, item in resolved if item is not NO_VALUE}

    def condition(self, name: str) -> bool:
        """Return the value of a condition."""
        if name not in self._conditions:
            raise TemplateError(f"there is no condition {name}")
        return bool(self.resolve(self._conditions[name]))

    def _ref(self, name: str) -> Any:
        return self._parameters[name] if name in self._parameters else self._ref_resource(name)

    def _function(self, name: str, argument: Any) -> Any:
        functions: dict[str, Callable[[Any], Any]] = {
            "Fn::And": lambda items: all(map(self.resolve, items)),
            "Fn::Equals": lambda items: self._text(items[0]) == self._text(items[1]),
            "Fn::FindInMap": self._find_in_map,
            "Fn::GetAtt": lambda pair: self._attribute(*pair),
            "Fn::If": lambda items: self.resolve(items[1] if self.condition(items[0]) else items[2]),
            "Fn::Join": lambda items: self.resolve(items[0]).join(map(str, self.resolve(items[1]))),
            "Fn::Not": lambda items: not self.resolve(items[0]),
            "Fn::Or": lambda items: any(map(self.resolve, items)),
            "Fn::Select": lambda items: self.resolve(items[1])[int(self.resolve(items[0]))],
            "Fn::Split": lambda items: self.resolve(items[1]).split(self.resolve(items[0])),
            "Fn::Sub": self._substitute,
        }
        if name not in functions:
            raise TemplateError(f"{name} is not supported by a local stack")
        return functions[name](argument)

    def _text(self, value: Any) -> str:
        resolved = self.resolve(value)
        return str(resolved).lower() if isinstance(resolved, bool) else str(resolved)

    def _find_in_map(self, argument: list[Any]) -> Any:
        name, top, second = map(self.resolve, argument[:3])
        try:
            return self._mappings[name][top][second]
        except KeyError:
            raise TemplateError(f"Fn::FindInMap: there is no {name}/{top}/{second}") from None

    def _substitute(self, argument: Any) -> str:
        text, variables = argument if isinstance(argument, list) else (argument, {})
        return _VARIABLE.sub(partial(self._variable, variables), text)

    def _variable(self, variables: Mapping[str, Any], match: re.Match[str]) -> str:
        literal, name = match.groups()
        if literal:
            return f"${{{name}}}"
        if name in variables:
            return str(self.resolve(variables[name]))
        resource, dot, attribute = name.partition(".")
        return str(self._attribute(resource, attribute) if dot else self._ref(name))
