"""The environments in samconfig.toml, read as the SAM CLI reads them."""

import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vibe_cli.deploy.errors import DeployError

__all__ = ["Target", "read_target"]

_DEFAULT = "default"
"""The section that `sam deploy` uses without --config-env. `prod` means it, unless a section has that name."""


@dataclass(frozen=True, slots=True)
class Target:
    """An environment: its section of samconfig.toml, and the template parameters it overrides."""

    name: str
    config_env: str
    stack: str
    region: str | None = None
    profile: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_target(samconfig: Path, name: str) -> Target:
    """Read the environment `name`. Raises DeployError if it does not exist or has no stack_name."""
    try:
        sections = tomllib.loads(samconfig.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise DeployError(f"{samconfig.name} cannot be read: {error}") from error
    environments = {key: value for key, value in sections.items() if isinstance(value, dict)}
    config_env = name if name in environments else _DEFAULT if name == "prod" else ""
    if config_env not in environments:
        there = ", ".join(sorted("prod" if key == _DEFAULT else key for key in environments))
        raise DeployError(f"{samconfig.name} has no environment {name!r}. There are: {there}.", status=2)
    settings = _settings(environments[config_env])
    if not settings.get("stack_name"):
        raise DeployError(f"{samconfig.name} has no stack_name for the environment {name!r}.")
    return Target(
        name=name,
        config_env=config_env,
        stack=str(settings["stack_name"]),
        region=settings.get("region"),
        profile=settings.get("profile"),
        parameters=_parameters(settings.get("parameter_overrides", "")),
    )


def _settings(environment: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of `sam deploy`: its own section over the global one."""
    settings: dict[str, Any] = {}
    for command in ("global", "deploy"):
        settings |= environment.get(command, {}).get("parameters", {})
    return settings


def _parameters(overrides: object) -> dict[str, str]:
    """Read `Name=value …`, as one string or a list, in either syntax of the SAM CLI."""
    words = shlex.split(overrides) if isinstance(overrides, str) else [str(word) for word in overrides or ()]  # type: ignore[attr-defined] # a list, by the SAM CLI's schema
    parameters = {}
    for word in words:
        name, _, value = word.partition("=")
        if name == "ParameterKey":
            name, _, value = value.partition(",ParameterValue=")
        parameters[name] = value
    return parameters
