"""Convert settings with an equivalent in routes.yaml: timeouts, retries, cooldowns, prices."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from vibe_cli.litellm_import.config import Config, ConfigValue, value_of
from vibe_cli.litellm_import.names import (
    GENERAL_SETTINGS,
    LITELLM_SETTINGS,
    PRICES,
    ROUTER_SETTINGS,
    TOP_LEVEL,
)
from vibe_router.core.models import CooldownPolicy, Timeouts
from vibe_router.routing.spec import Place

__all__ = ["SECTIONS", "defaults", "general", "overrides", "price", "section"]

SECTIONS = ("router_settings", "litellm_settings")
"""The sections of LiteLLM's settings for all models, by precedence."""

_LONGEST_WAIT = 280  # seconds: API Gateway drops a connection that has carried no byte for 300
_SHORTEST = 0.001
_WAITS = {"first_byte": Decimal(Timeouts().first_byte), "first_token": Decimal(Timeouts().first_token)}
_MOST_RETRIES = 10
_LONGEST_REST = 31 * 86_400
_USUAL_REST = CooldownPolicy().max
_OVERRIDES = frozenset(("timeout", "stream_timeout", "num_retries", "cooldown_time"))
_CHAINS = frozenset(
    (
        "fallbacks",
        "fallback_order",
        "default_fallbacks",
        "context_window_fallbacks",
        "model_group_alias",
    )
)


def section(config: Config, name: str) -> dict[Any, Any]:
    """Return a section of settings; an empty one if there is none."""
    value = config.data.get(name)
    return value if isinstance(value, dict) else {}


def overrides(
    config: Config,
    timeout: ConfigValue | None,
    stream_timeout: ConfigValue | None,
    retries: ConfigValue | None,
    cooldown: ConfigValue | None,
) -> dict[str, Any]:
    """Convert the settings of one deployment, or of all, to those of routes.yaml.

    LiteLLM's `timeout` bounds a whole answer, and the wait for a stream unless `stream_timeout` does; one meant for
    long answers would make the wait for a dead provider as long, so it only ever shortens ours.
    """
    row: dict[str, Any] = {}
    whole = config.number(timeout, least=_SHORTEST, most=_LONGEST_WAIT)
    streamed = config.number(stream_timeout, least=_SHORTEST, most=_LONGEST_WAIT)
    timeouts: dict[str, Decimal] = {}
    for name, usual in _WAITS.items():
        if streamed is not None:
            timeouts[name] = streamed
        elif whole is not None and whole < usual:
            timeouts[name] = whole
    if whole is not None:
        timeouts["response"] = whole
    if timeouts:
        row["timeouts"] = timeouts
    times = config.number(retries, most=_MOST_RETRIES)
    if times is not None:
        row["retries"] = int(times)
    base = config.number(cooldown, least=_SHORTEST, most=_LONGEST_REST)
    if cooldown and base is not None:
        row["cooldown"] = {"base": base} if base <= _USUAL_REST else {"base": base, "max": base}
        config.changed(cooldown.place, "is the length of a first cooldown, which doubles from strike to strike")
    return row


def price(config: Config, params: Mapping[Any, Any], info: Mapping[Any, Any], place: Place) -> dict[str, Any]:
    """Return a deployment's price in dollars per million tokens, from dollars per token."""
    found: dict[str, Decimal] = {}
    first = place
    for name, ours in PRICES.items():
        for holder, part in ((params, "litellm_params"), (info, "model_info")):
            number = config.number(value_of(holder, name, (*place, part))) if ours not in found else None
            if number is not None:
                first = first if found else (*place, part, name)
                found[ours] = number * 1_000_000
    if not found:
        return {}
    for ours in ("input", "output"):
        if ours not in found:
            config.changed(first, f"is a price without one for {ours}, which is taken to cost nothing")
            found[ours] = Decimal()
    row = {"chain": [{"provider": "p", "model": "m", "price": {name: float(each) for name, each in found.items()}}]}
    return {"price": found} if config.takes("model", "m", row, first) else {}


def defaults(config: Config) -> dict[str, Any]:
    """Return the defaults of routes.yaml, and note the settings without an equivalent."""

    def first(*names: str) -> ConfigValue | None:
        """Return the first of these settings in a section; the ones it overrides are noted."""
        found = [
            each
            for name in SECTIONS
            for setting in names
            if (each := value_of(section(config, name), setting, (name,)))
        ]
        for idle in found[1:]:
            config.left_out(idle.place, f"line {config.line(found[0].place)} says it already, and wins")
        return found[0] if found else None

    row = overrides(
        config,
        first("timeout", "request_timeout"),
        first("stream_timeout"),
        first("num_retries"),
        first("cooldown_time"),
    )
    strategy = value_of(section(config, SECTIONS[0]), "routing_strategy", SECTIONS[:1])
    if strategy and strategy.value != "simple-shuffle":
        config.left_out(strategy.place, "deployments of a step share it by weight; load, latency and cost move nothing")
    done = _OVERRIDES | _CHAINS
    config.rest(section(config, SECTIONS[0]), SECTIONS[:1], done | {"routing_strategy"}, ROUTER_SETTINGS)
    config.rest(section(config, SECTIONS[1]), SECTIONS[1:], done | {"request_timeout"}, LITELLM_SETTINGS)
    return row


def general(config: Config) -> None:
    """Note everything outside of routes: the server's settings, variables, other sections."""
    settings = section(config, "general_settings")
    if settings.get("master_key"):
        config.to_do(
            ("general_settings", "master_key"), "put it into .env as MASTER_KEY, to keep the key that opens it"
        )
    config.rest(settings, ("general_settings",), {"master_key"}, GENERAL_SETTINGS)
    for name, value in config.mapping(config.data, "environment_variables").items():
        if value is not None and name not in config.read_variables:
            reason = "its value is not repeated; put it into .env if routes.yaml names it"
            config.to_do(("environment_variables", name), reason)
    done = {"model_list", "credential_list", "general_settings", "environment_variables", *SECTIONS}
    for name in ("general_settings", *SECTIONS):
        config.mapping(config.data, name)
    config.rest(config.data, (), done, TOP_LEVEL)
    listed = config.data.get("model_list")
    models = (
        [each.get("litellm_params") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    )
    used = [params.get("litellm_credential_name") for params in models if isinstance(params, dict)]
    for place, credential in config.items("credential_list"):
        if credential.get("credential_name") not in used:
            config.left_out(place, "no model names this credential")
