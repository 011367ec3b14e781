"""Fill prices from the genai-prices library into the text of a routes file, and leave the rest unchanged.

Prices are those of the provider whose API serves a deployment, else those of the model's maker. Prices of relays and
plans are known to their customers only, who enter them by hand. Not for Lambda, where the libraries are not available.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import genai_prices
import yaml
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import TieredPrices

from vibe_router.routing.spec import DeploymentSpec, Place, Problem, RoutesSpec

__all__ = ["SOURCE", "Filled", "Filling", "fill", "known_price"]

SOURCE = "genai-prices"
"""The prefix of a filled price's `source`. Any other price was set by hand and stays."""

# USD per million tokens: a routes file's names and the library's.
_NAMES = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "audio_input": "input_audio_mtok",
    "audio_output": "output_audio_mtok",
}

Price = Mapping[str, float | str]


@dataclass(frozen=True, slots=True)
class Filled:
    """A deployment whose price is added or replaced; `before` is None if it had none."""

    path: str  # models.auto-chat.chain[1]
    deployment: str
    before: Price | None
    after: Price


@dataclass(frozen=True, slots=True)
class Filling:
    """A routes file's text with prices, the changes, and the deployments that remain without a price."""

    text: str
    filled: tuple[Filled, ...]
    unknown: tuple[str, ...]


def known_price(model: str, base_url: str, now: datetime, *, bedrock: bool = False) -> Price | None:
    """Return the library's price of a model at `now`; None for an unknown model.

    Where a price depends on the length of the prompt it is that of a short one.
    """
    snapshot = get_snapshot()
    for name, url in (("aws", None) if bedrock else (None, base_url), (None, None)):
        try:
            provider, found = snapshot.find_provider_model(model, None, name, url)
        except LookupError:
            continue
        prices = found.get_prices(now)
        price: dict[str, float | str] = {}
        for ours, theirs in _NAMES.items():
            value = getattr(prices, theirs, None)
            if isinstance(value, TieredPrices):
                value = value.base
            if value is not None:
                price[ours] = _plain(float(value))
        if "input" not in price:
            continue  # it is charged per request, hour or page
        price.setdefault("output", 0)
        return {**price, "source": f"{SOURCE} {genai_prices.__version__} ({provider.id})"}
    return None


def fill(text: str, spec: RoutesSpec, now: datetime) -> Filling:
    """Fill prices into `text`, the routes file of `spec`."""
    edits: dict[int, tuple[int, str]] = {}  # start index: end index and replacement
    filled: list[Filled] = []
    unknown: dict[str, None] = {}
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    for place, member in _members(spec):
        deployment = f"{member.provider}/{member.model}"
        before = member.price.model_dump(exclude_none=True) if member.price else None
        if member.price and not (member.price.source or "").startswith(SOURCE):
            continue
        provider = spec.providers[member.provider]
        name, bedrock = member.base_model or member.model, provider.type == "bedrock"
        price = known_price(name, provider.base_url, now, bedrock=bedrock)
        if price is None:
            if before is None:
                unknown[deployment] = None
            continue
        node = _at(root, place)
        if before == dict(price) or not isinstance(node, yaml.MappingNode):
            continue
        start, end, new = _edit(text, node, _flow(price))
        if edits.setdefault(start, (end, new)) == (end, new):  # else an alias shares one text
            filled.append(Filled(Problem(place, "").path, deployment, before, price))
    for start, (end, new) in sorted(edits.items(), reverse=True):
        text = text[:start] + new + text[end:]
    return Filling(text, tuple(filled), tuple(unknown))


def _members(spec: RoutesSpec) -> Iterator[tuple[Place, DeploymentSpec]]:
    """Yield every deployment with its place in the spec, with each step as a list."""
    for name, model in spec.models.items():
        for position, step in enumerate(model.chain):
            for index, member in enumerate(step):
                yield ("models", name, "chain", position, *((index,) if len(step) > 1 else ())), member


def _at(node: yaml.Node | None, place: Sequence[str | int]) -> yaml.Node | None:
    """Return the node at `place`; a node in place of a list counts as a list of one."""
    for part in place:
        if isinstance(node, yaml.MappingNode):
            node = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
        else:
            return None
    if isinstance(node, yaml.SequenceNode) and len(node.value) == 1:
        node = node.value[0]
    return node


def _edit(text: str, member: yaml.MappingNode, price: str) -> tuple[int, int, str]:
    """Return the edit that writes a deployment's price: start, end and text."""
    for key, value in member.value:
        if key.value == "price":
            return value.start_mark.index, _end(value), price
    _, last = member.value[-1]
    if member.flow_style:
        return _end(last), _end(last), f",\n{' ' * (member.start_mark.column + 1)}price: {price}"
    for key, value in member.value:  # after the line of the model
        if key.value == "model":
            line_end = text.find("\n", value.end_mark.index)
            line_end = len(text) if line_end < 0 else line_end
            return line_end, line_end, f"\n{' ' * key.start_mark.column}price: {price}"
    return _end(last), _end(last), ""


def _end(node: yaml.Node) -> int:
    """Return the end of a value's own text; a block's end mark is at the next token."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _end(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _flow(price: Price) -> str:
    written = (f"{name}: {_yaml(price[name])}" for name in (*_NAMES, "source") if name in price)
    return "{" + ", ".join(written) + "}"


def _yaml(value: float | str) -> str:
    if isinstance(value, str):
        return json.dumps(value)
    return f"{value:.6f}".rstrip("0").rstrip(".")


def _plain(value: float) -> float:
    """Round a price to a millionth of a dollar."""
    return round(value, 6)
