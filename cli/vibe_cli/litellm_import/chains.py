"""Convert the entries of model_list to chains: steps, fallbacks and aliases."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from vibe_cli.litellm_import import settings
from vibe_cli.litellm_import.config import Config, ConfigValue, is_supported, shown, value_of
from vibe_cli.litellm_import.names import FORMATS_OF_MODES, LITELLM_PARAMS, MODEL_INFO, MODES_BY_NAME, PRICES
from vibe_cli.litellm_import.providers import Providers
from vibe_router.routing.spec import Place

__all__ = ["Member", "Step", "chains"]

_HEAVIEST = 1_000_000
_LARGEST_WINDOW = 1_000_000_000  # tokens
_LAST = math.inf  # the order of a member without one, if others of its model have one
_SHARES = ("weight", "rpm", "tpm")  # the settings of LiteLLM's simple-shuffle, by precedence
_ANY = "*"
_PARAMS_DONE = frozenset(
    (
        *("model", "api_base", "base_url", "api_key", "custom_llm_provider", "litellm_credential_name"),
        "aws_region_name",
        *("timeout", "stream_timeout", "num_retries", "max_retries", "cooldown_time"),
        *("order", "fallback_order", *_SHARES, *PRICES),
    )
)
_ENTRY_DONE = frozenset(("model_name", "litellm_params", "model_info", "order", "fallback_order", *_SHARES))
_SWITCHES = {
    "supports_vision": "vision",
    "supports_function_calling": "tools",
}  # LiteLLM's names of a model's capabilities
_INFO_DONE = frozenset(
    ("id", "mode", "blocked", "max_input_tokens", "base_model", *_SWITCHES, "order", "fallback_order", *PRICES)
)
_INFO = "tells LiteLLM about the model; the router does not ask for it"
_FALLBACKS: Mapping[str, str] = {
    "fallbacks": "",
    "fallback_order": "",
    "default_fallbacks": "",
    "context_window_fallbacks": "now applies to any failure, not only to a context that is too long",
}


@dataclass(slots=True)
class Member:
    """A deployment of a step: `row` as in routes.yaml, `shares` its load-balancing settings by name."""

    place: Place
    line: int
    order: float
    row: dict[str, Any]
    shares: dict[str, Decimal]
    id: str | None

    @property
    def deployment(self) -> tuple[str, str]:
        """The identity of a deployment, which is unique in a chain."""
        return self.row["provider"], self.row["model"]


@dataclass(frozen=True, slots=True)
class Step:
    """The members of a step; `fallback` is the line that added it, 0 for a model's own."""

    members: tuple[Member, ...]
    fallback: int = 0


def chains(config: Config, providers: Providers) -> dict[str, list[Step]]:
    """Return the chain of every model and alias of the config."""
    groups = _groups(config, providers)
    own = {name: list(_steps(config, members)) for name, members in groups.items()}
    by_id = {member.id: [Step((member,))] for members in groups.values() for member in members if member.id}
    fallbacks = _fallbacks(config, {**by_id, **own})
    found = {name: _chain(name, {**by_id, **own}, fallbacks) for name in own}
    return found | _aliases(config, found)


def _groups(config: Config, providers: Providers) -> dict[str, list[Member]]:
    groups: dict[str, list[Member]] = {}
    for place, entry in config.items("model_list"):
        name = entry.get("model_name")
        if not isinstance(name, str):
            config.left_out(
                (*place, "model_name"), "must be the name that callers use; quote it if it looks like a number"
            )
        elif _is_model(config, name, (*place, "model_name")) and (member := _member(config, providers, entry, place)):
            groups.setdefault(name, []).append(member)
    return groups


def _is_model(config: Config, name: str, place: Place) -> bool:
    if "*" in name:
        config.left_out(place, "wildcards are not routed; name each model that callers use")
        return False
    return config.takes("model", name, {"chain": [{"provider": "p", "model": "m"}]}, place)


def _member(config: Config, providers: Providers, entry: dict[Any, Any], place: Place) -> Member | None:
    params = config.mapping(entry, "litellm_params", place)
    if not params:
        config.left_out((*place, "litellm_params"), "does not say where the model is")
        return None
    at: Place = (*place, "litellm_params")
    params = _with_credential(config, params, at)
    info = config.mapping(entry, "model_info", place)
    holders = ((params, at), (entry, place), (info, (*place, "model_info")))
    formats = _formats(config, value_of(info, "mode", (*place, "model_info")))
    found = providers.find(params, at) if formats is not None else None
    if found is None:
        return None
    row: dict[str, Any] = {"provider": found.provider, "model": found.model}
    if not config.takes("model", "m", {"chain": [row]}, (*at, "model")):
        return None
    by_name = None if "mode" in info or found.formats else _mode_by_name(found.model)
    formats = FORMATS_OF_MODES[by_name] if by_name else formats
    if formats and providers.is_bedrock(found):
        config.left_out((*at, "model"), f"Amazon Bedrock is called through Converse only, not {formats[0]}")
        return None
    if by_name:
        config.changed((*at, "model"), f"is of the mode {by_name!r} by its name; its `formats` say so")
    if providers.is_bedrock(found):
        config.to_do((*at, "model"), "the stack's parameter BedrockModels has to list the ARN of this model")
    if formats or found.formats:
        row["formats"] = list(formats or found.formats)
    retries = value_of(params, "num_retries", at) or value_of(params, "max_retries", at)
    row |= settings.overrides(
        config,
        value_of(params, "timeout", at),
        value_of(params, "stream_timeout", at),
        retries,
        value_of(params, "cooldown_time", at),
    )
    row |= settings.price(config, params, info, place)
    row |= _capabilities(config, info, (*place, "model_info"))
    if base := _base_model(config, row, value_of(info, "base_model", (*place, "model_info"))):
        row["base_model"] = base
    config.rest(params, at, _PARAMS_DONE, LITELLM_PARAMS)
    config.rest(info, (*place, "model_info"), _INFO_DONE, MODEL_INFO, _INFO)
    config.rest(entry, place, _ENTRY_DONE, {})
    ordered = next((each for name in ("order", "fallback_order") for each in _all(holders, name)), None)
    order = config.number(ordered, least=-_HEAVIEST)
    shares = {}
    for name in _SHARES:
        share = config.number(next(_all(holders, name), None))
        if share is not None:
            shares[name] = share
    model_id = info.get("id")
    return Member(
        place=place,
        line=config.line(place),
        order=_LAST if order is None else float(order),
        row=row,
        shares=shares,
        id=str(model_id) if isinstance(model_id, str | int) else None,
    )


def _all(holders: Sequence[tuple[dict[Any, Any], Place]], name: str) -> Iterator[ConfigValue]:
    return (each for holder, place in holders if (each := value_of(holder, name, place)))


def _with_credential(config: Config, params: dict[Any, Any], at: Place) -> dict[Any, Any]:
    """Merge a credential of credential_list; the parameters' own values take precedence."""
    name = params.get("litellm_credential_name")
    if name is None:
        return params
    listed = config.data.get("credential_list")
    for credential in listed if isinstance(listed, list) else ():
        if isinstance(credential, dict) and credential.get("credential_name") == name:
            values = credential.get("credential_values")
            return {**values, **params} if isinstance(values, dict) else params
    config.left_out((*at, "litellm_credential_name"), "credential_list has none of that name")
    return params


def _capabilities(config: Config, info: dict[Any, Any], place: Place) -> dict[str, Any]:
    """Return the capabilities that a deployment lacks, as in routes.yaml."""
    row: dict[str, Any] = {ours: False for name, ours in _SWITCHES.items() if info.get(name) is False}
    if info.get("blocked") is True:
        row["enabled"] = False
    window = config.number(value_of(info, "max_input_tokens", place), least=1, most=_LARGEST_WINDOW)
    return row if window is None else {**row, "context_window": int(window)}


def _base_model(config: Config, row: Mapping[str, Any], named: ConfigValue | None) -> str | None:
    """Return the model behind a deployment with an opaque name; LiteLLM prefixes it with the provider."""
    if named is None:
        return None
    name = named.value.rpartition("/")[2] if isinstance(named.value, str) else named.value
    if name == row["model"] or not config.takes("model", "m", {"chain": [{**row, "base_model": name}]}, named.place):
        return None
    return str(name)


def _formats(config: Config, mode: ConfigValue | None) -> tuple[str, ...] | None:
    """Return the formats of a deployment's mode, () for its provider's formats, None for an unsupported mode."""
    if mode is None:
        return ()
    formats = FORMATS_OF_MODES.get(mode.value) if isinstance(mode.value, str) else None
    if formats is None or not is_supported(formats):
        config.left_out(mode.place, f"the router has no format for a model of the mode {shown(mode.value)}")
        return None
    return formats


def _mode_by_name(model: str) -> str | None:
    """Return the mode that a model's name implies, if it is not a chat model."""
    return next((mode for word, mode in MODES_BY_NAME.items() if word in model.lower()), None)


def _steps(config: Config, members: list[Member]) -> Iterator[Step]:
    """Yield a model's own steps by order, load-balanced within each."""
    orders = sorted({member.order for member in members})
    for order in orders:
        unique: dict[tuple[str, str], Member] = {}
        for member in (each for each in members if each.order == order):
            first = unique.setdefault(member.deployment, member)
            if first is not member:
                config.changed(
                    member.place, f"is the deployment of line {first.line} once more; their shares are added"
                )
                for name in {*first.shares, *member.shares}:
                    first.shares[name] = first.shares.get(name, Decimal()) + member.shares.get(name, Decimal())
        if order == _LAST and len(orders) > 1:
            for member in unique.values():
                config.changed(member.place, "has no order where others of its name have one, and is tried last")
        yield from _shared(config, list(unique.values()))


def _shared(config: Config, members: list[Member]) -> Iterator[Step]:
    """Yield the step of the members of one order, then the members without a share."""
    by = next((name for name in _SHARES if any(name in member.shares for member in members)), None)
    for member in members:
        for name in ("rpm", "tpm"):
            if name in member.shares:
                place = next((each for each in _limit_places(config, member.place, name)), member.place)
                if name == by and len(members) > 1:
                    config.changed(
                        place, "is the deployment's weight, as for simple-shuffle; as a limit it is not counted"
                    )
                else:
                    config.left_out(place, "a deployment's own use is not counted; a 429 of its provider cools it")
    if by is None or len(members) == 1:
        yield Step(tuple(members))
        return
    busy = [member for member in members if member.shares.get(by)]
    idle = [member for member in members if not member.shares.get(by)]
    for member, weight in zip(busy, _weights([member.shares[by] for member in busy]), strict=True):
        if weight != 1:
            member.row["weight"] = weight
    if busy:
        yield Step(tuple(busy))
    for member in idle if busy else ():
        config.changed(member.place, f"has no {by} where others have one, and is tried after them")
    if idle:
        yield Step(tuple(idle))


def _limit_places(config: Config, place: Place, name: str) -> Iterator[Place]:
    entry = config.data["model_list"][place[1]]
    if isinstance(entry.get("litellm_params"), dict) and entry["litellm_params"].get(name) is not None:
        yield (*place, "litellm_params", name)
    if entry.get(name) is not None:
        yield (*place, name)


def _weights(shares: Sequence[Decimal]) -> list[Decimal]:
    """Return shares as weights: reduced integers, at most routes.yaml's maximum."""
    if shares and all(share == share.to_integral_value() for share in shares):
        divisor = math.gcd(*(int(share) for share in shares))
        shares = [share / divisor for share in shares]
    heaviest = max(shares, default=Decimal(1))
    return [share * _HEAVIEST / heaviest for share in shares] if heaviest > _HEAVIEST else list(shares)


def _fallbacks(config: Config, steps: Mapping[str, list[Step]]) -> dict[str, list[tuple[int, str]]]:
    """Return the fallbacks by model (`*` for all others), each with its line."""
    found: dict[str, list[tuple[int, str]]] = {}
    for setting, reason in _FALLBACKS.items():
        for source, target in _pairs(config, setting):
            if target.value not in steps:
                config.left_out(target.place, f"there is no model {shown(target.value)} here to fall back to")
            elif source != _ANY and source not in steps:
                config.left_out(target.place, f"there is no model {shown(source)} here to fall back from")
            else:
                found.setdefault(str(source), []).append((config.line(target.place), str(target.value)))
                if reason:
                    config.changed(target.place, f"{shown(target.value)} is tried {reason}")
    return found


def _pairs(config: Config, setting: str) -> Iterator[tuple[object, ConfigValue]]:
    """Yield the pairs of a fallback setting: the failing model and one fallback, in order."""
    given = [each for name in settings.SECTIONS if (each := value_of(settings.section(config, name), setting, (name,)))]
    for idle in given[1:]:
        config.left_out(idle.place, f"line {config.line(given[0].place)} has it already, and applies")
    for whole in given[:1]:
        entries = whole.value if isinstance(whole.value, list) else [whole.value]
        for index, entry in enumerate(entries):
            place = (*whole.place, index) if isinstance(whole.value, list) else whole.place
            if isinstance(entry, str):
                yield _ANY, ConfigValue(entry, place)
            elif isinstance(entry, dict):
                for source, targets in entry.items():
                    for target in targets if isinstance(targets, list) else [targets]:
                        yield source, _target(config, target, (*place, source))
            else:
                config.left_out(place, "must be a mapping of a model's name to those that are tried after it")


def _target(config: Config, target: object, place: Place) -> ConfigValue:
    if isinstance(target, dict):
        if set(target) - {"model"}:
            config.left_out(place, "parameters of a fallback are not carried over; requests are passed on as they came")
        target = target.get("model")
    return ConfigValue(target if isinstance(target, str) else str(target), place)


def _chain(name: str, steps: Mapping[str, list[Step]], fallbacks: Mapping[str, list[tuple[int, str]]]) -> list[Step]:
    """Return a model's own steps and those of its fallbacks, recursively; each deployment once."""
    chain: list[Step] = []
    seen: set[tuple[str, str]] = set()
    met: set[str] = set()
    waiting = [(0, name)]
    while waiting:
        line, model = waiting.pop()
        if model in met:
            continue
        met.add(model)
        for step in steps[model]:
            members = tuple(member for member in step.members if member.deployment not in seen)
            seen |= {member.deployment for member in members}
            if members:
                chain.append(Step(members, line))
        waiting += reversed(fallbacks.get(model, fallbacks.get(_ANY, [])))
    return chain


def _aliases(config: Config, found: Mapping[str, list[Step]]) -> dict[str, list[Step]]:
    aliases: dict[str, list[Step]] = {}
    for part in settings.SECTIONS:
        values = settings.section(config, part)
        for alias, target in config.mapping(values, "model_group_alias", (part,)).items():
            place: Place = (part, "model_group_alias", alias)
            model = target.get("model") if isinstance(target, dict) else target
            if isinstance(target, dict) and target.get("hidden"):
                config.changed(place, "is listed with the other models; nothing is hidden")
            if not isinstance(model, str) or model not in found:
                config.left_out(place, f"there is no model {shown(model)} here")
            elif alias in found or alias in aliases:
                config.left_out(place, "is a model's own name already")
            elif isinstance(alias, str) and _is_model(config, alias, place):
                aliases[alias] = found[model]
            elif not isinstance(alias, str):
                config.left_out(place, "must be text; quote it if it looks like a number")
    return aliases
