"""Write a routes.yaml, with the config's line of each deployment."""

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import yaml

from vibe_cli.litellm_import.chains import Step

__all__ = ["routes_text"]

_PASSTHROUGH = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_PASSTHROUGH_URL = re.compile(r"(?:https?://|\$\{)[A-Za-z0-9_./:${}-]*[A-Za-z0-9_/}]")


def routes_text(
    file: str,
    providers: Mapping[str, Mapping[str, Any]],
    defaults: Mapping[str, Any],
    chains: Mapping[str, list[Step]],
) -> str:
    """Return the text of a routes.yaml. `file` is the config's name."""
    lines = [
        f"# Generated from {_comment(file)} by `vibe import-litellm`; comments name its lines.",
        "# `make routes ARGS=--dry-run` checks this file and shows what would change.",
        "",
        "providers:",
    ]
    for name, row in providers.items():
        lines.append(f"  {_scalar(name)}:")
        lines += [f"    {key}: {_url(value) if key == 'base_url' else _flow(value)}" for key, value in row.items()]
    if defaults:
        lines += ["", "defaults:", *(f"  {key}: {_flow(value)}" for key, value in defaults.items())]
    lines += ["", "models:"]
    for name, chain in chains.items():
        lines += [f"  {_scalar(name)}:", "    chain:", *_chain(chain), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _chain(chain: list[Step]) -> list[str]:
    lines = []
    for step in chain:
        why = f", by the fallback in line {step.fallback}" if step.fallback else ""
        for index, member in enumerate(step.members):
            dash = "- " if len(step.members) == 1 else "- - " if index == 0 else "  - "
            lines.append(f"      {dash}{_flow(member.row)} # line {member.line}{why}")
    return lines


def _flow(value: object) -> str:
    """Return a value as one line."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    return _scalar(value) if isinstance(value, str) else str(value)


def _scalar(text: str) -> str:
    """Return a text, quoted unless YAML reads it as the same text without quotes."""
    plain = _PASSTHROUGH.fullmatch(text) and yaml.safe_load(text) == text
    return text if plain else json.dumps(text)


def _url(text: str) -> str:
    return text if _PASSTHROUGH_URL.fullmatch(text) else json.dumps(text)


def _comment(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text)
