"""Merge the settings of the routes into the catalogue that requests are routed by.

Any setting of `Settings` can be given in `defaults`, for a provider, a model or a deployment; the nearest wins:

    contract's defaults < defaults < provider < model < deployment
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from vibe_router.core.models import (
    AlertPolicy,
    BetaShape,
    Catalogue,
    ComplexityRule,
    CooldownPolicy,
    Deployment,
    Guard,
    HeaderShape,
    LadderStep,
    Policy,
    Provider,
    QuotaPolicy,
    Receiver,
    RelayMarks,
    RequestShape,
    Timeouts,
    VirtualModel,
)
from vibe_router.routing.settings import (
    NATIVE_FORMATS,
    AlertSettings,
    GuardSettings,
    ModelSettings,
    Place,
    Problem,
    RelaySettings,
    RouteSettings,
    Settings,
    provider_formats,
)

__all__ = [
    "MAX_ALIASES",
    "ONLY_NATIVE",
    "alias_problems",
    "chain_problems",
    "ladder_problems",
    "nearest",
    "resolve",
    "routing_problems",
    "step_problem",
]

# Every request for a name that is no model's is compared with all patterns.
MAX_ALIASES = 200
_POLICY = (
    *("retries", "max_inline_wait", "max_last_wait", "reserve_tokens"),
    *("continuation", "hedge_after", "hedge_share", "order", "stay"),
)
ONLY_NATIVE = "may be chat, responses and messages, which Bedrock speaks itself; without formats Converse is called"


def resolve(
    routes: RouteSettings, base_urls: Mapping[str, str] | None = None, invalid: Collection[str] = ()
) -> tuple[Catalogue, list[Problem]]:
    """Merge the settings into every deployment, and check the parts against each other.

    A member of a chain that cannot be used or is switched off is left out of the catalogue, and so is a model without
    members. `base_urls` (provider → URL) overrides the settings. `invalid` are models that are missing from the routes
    because their rows are wrong: an alias of one has no further problem.
    """
    problems: list[Problem] = []
    providers = {
        name: Provider(
            name=name,
            base_url=(base_urls or {}).get(name, provider.base_url),
            secret=provider.secret,
            formats=provider_formats(provider.type, provider.formats),
            type=provider.type,
            region=provider.region,
            endpoint=provider.endpoint,
            relay=_marks(provider.relay),
        )
        for name, provider in routes.providers.items()
    }
    models: dict[str, VirtualModel] = {}
    switched_off: set[str] = set()
    for name, model in routes.models.items():
        found = list(chain_problems(routes, name, model, providers))
        problems += (problem for problem, _ in found)
        unusable = {position for _, position in found if position}
        steps = [
            tuple(
                Deployment(
                    provider=providers[member.provider],
                    model=member.model,
                    policy=_merged(routes.defaults, routes.providers[member.provider], model, member),
                    weight=member.weight,
                    formats=member.formats or providers[member.provider].formats,
                    context_window=member.context_window,
                    vision=member.vision,
                    tools=member.tools,
                    base_model=member.base_model,
                    streams_only=member.stream == "always",
                    price=member.price,
                )
                for index, member in enumerate(step)
                if member.enabled and (position, index) not in unusable
            )
            for position, step in enumerate(model.chain)
        ]
        if any(steps):
            models[name] = VirtualModel(
                name=name,
                description=model.description,
                steps=tuple(filter(None, steps)),
                cache_seconds=_cache_seconds(model),
                guards=model.guards,
            )
        elif not all(member.enabled for step in model.chain for member in step):
            switched_off.add(name)
    problems += _route_by_complexity(routes, models, {*routes.models, *invalid})
    problems += _add_ladders(routes, models, {*routes.models, *invalid})
    problems += alias_problems(routes, {*routes.models, *invalid})
    aliases = {name: alias.model for name, alias in routes.aliases.items()}
    problems += guard_problems(routes, routes.guards)
    guards = {name: _guard(name, each) for name, each in routes.guards.items()}
    alerts = _alert_policy(routes.alerts)
    return Catalogue(
        models, switched_off=frozenset(switched_off), aliases=aliases, alerts=alerts, guards=guards
    ), problems


def _guard(name: str, settings: GuardSettings) -> Guard:
    guardrail = settings.bedrock
    return Guard(
        name=name,
        kinds=tuple(each for each in settings.find if isinstance(each, str)),
        patterns=tuple(each for each in settings.find if not isinstance(each, str)),
        places=settings.places,
        action=settings.action,
        on_error=settings.on_error,
        bedrock=(guardrail.id, guardrail.version, guardrail.region) if guardrail else None,
    )


def guard_problems(routes: RouteSettings, names: Collection[str]) -> Iterator[Problem]:
    """Yield a problem for each guard that a model names and that does not exist; `names` are those of all guards."""
    for model, settings in routes.models.items():
        for place, name in enumerate(settings.guards):
            if name not in names:
                hint = nearest(name, names) or f"there are {', '.join(map(repr, names)) or 'none'}"
                yield Problem(("models", model, "guards", place), f"unknown guard {name!r}; {hint}")


def _alert_policy(settings: AlertSettings) -> AlertPolicy | None:
    if not settings.receivers:
        return None
    receivers = {
        name: Receiver(each.type, each.url, each.secret, each.host, each.events)
        for name, each in settings.receivers.items()
    }
    return AlertPolicy(receivers, settings.budget, settings.cooled_minutes)


def chain_problems(
    routes: RouteSettings, name: str, model: ModelSettings, names: Collection[str]
) -> Iterator[tuple[Problem, tuple[int, int] | None]]:
    """Yield the problems of a chain, each with the step and index of the member that cannot be used because of it.

    A provider in `names` that is missing from `routes` has a problem of its own.
    """
    seen: dict[tuple[str, str], str] = {}
    for position, step in enumerate(model.chain):
        for index, member in enumerate(step):
            place: Place = ("models", name, "chain", position, index)[: 5 if len(step) > 1 else 4]
            deployment = (member.provider, member.model)
            if deployment in seen:
                reason = f"repeats {'/'.join(deployment)}, which is already at {seen[deployment]}"
                yield Problem(place, reason), (position, index)
                continue
            seen[deployment] = Problem(place[2:], "").path
            if member.provider not in names:
                hint = nearest(member.provider, names) or f"there are {', '.join(map(repr, names)) or 'none'}"
                reason = f"unknown provider {member.provider!r}; {hint}"
                yield Problem((*place, "provider"), reason), (position, index)
            elif member.provider in routes.providers:
                cooldown = _merged(routes.defaults, routes.providers[member.provider], model, member).cooldown
                if cooldown.base > cooldown.max:
                    sizes = f"cooldown.base ({cooldown.base:g} s) exceeds cooldown.max ({cooldown.max:g} s)"
                    yield Problem(place, f"{sizes}, with all settings that apply here"), None
                is_bedrock = routes.providers[member.provider].type == "bedrock"
                if is_bedrock and member.formats and not set(member.formats) <= NATIVE_FORMATS:
                    yield Problem((*place, "formats"), ONLY_NATIVE), (position, index)


def _route_by_complexity(
    routes: RouteSettings, models: dict[str, VirtualModel], names: Collection[str]
) -> list[Problem]:
    """Give the models with `routing` their rule, and a chain to those without one: their standard model's."""
    plain, problems = dict(models), list[Problem]()
    for name, model in routes.models.items():
        if (routing := model.routing) is None:
            continue
        found = list(routing_problems(routes, name, model, names))
        mini, standard = plain.get(routing.mini), plain.get(routing.standard or name)
        problems += found
        if found or mini is None or standard is None:
            continue
        rule = ComplexityRule(
            mini=mini,
            standard=standard,
            mode=routing.mode,
            share=routing.share,
            quality=routing.quality,
            precision=routing.precision,
            strata=routing.strata,
            evidence=routing.evidence,
            dual=routing.dual,
            judge=plain.get(routing.judge or ""),
            dual_budget=routing.dual_budget,
        )
        models[name] = replace(
            plain.get(name) or standard,
            name=name,
            description=model.description,
            routing=rule,
            cache_seconds=_cache_seconds(model),
            guards=tuple(dict.fromkeys((*model.guards, *mini.guards, *standard.guards))),
        )
        if rule.evidence and standard.name != name:
            watched = models[standard.name]
            models[standard.name] = replace(watched, standard_of=(*watched.standard_of, name))
    return problems


def _cache_seconds(model: ModelSettings) -> int:
    return model.cache.seconds if model.cache else 0


def routing_problems(
    routes: RouteSettings, name: str, model: ModelSettings, names: Collection[str]
) -> Iterator[Problem]:
    """Yield the problems of a model's routing; `names` are those of all models, invalid ones included."""
    if (routing := model.routing) is None:
        return
    place: Place = ("models", name, "routing")
    if routing.standard is None and not model.chain:
        yield Problem((*place, "standard"), "is missing; without a chain of its own, the model needs one to route to")
    if routing.dual and not routing.judge:
        yield Problem((*place, "judge"), "is missing; `dual` needs a model that compares the answers")
    if len(set(routing.strata)) != len(routing.strata):
        yield Problem((*place, "strata"), "names one twice")
    for field, target in (("mini", routing.mini), ("standard", routing.standard), ("judge", routing.judge)):
        if target is None or (target == name and field == "standard" and model.chain):
            continue
        if target not in names:
            hint = nearest(target, names) or f"there are {', '.join(map(repr, names)) or 'none'}"
            yield Problem((*place, field), f"unknown model {target!r}; {hint}")
        elif target == name or (target in routes.models and not routes.models[target].chain):
            yield Problem((*place, field), f"must name another model with a chain of its own, unlike {target!r}")


def _add_ladders(routes: RouteSettings, models: dict[str, VirtualModel], names: Collection[str]) -> list[Problem]:
    """Give the models their budget ladders; one with a problem is left out."""
    problems: list[Problem] = []
    for name, model in routes.models.items():
        found = list(ladder_problems(routes, name, model, names)) if model.budget_ladder else []
        problems += found
        if name in models and models[name].ladder != (ladder := () if found else model.budget_ladder):
            models[name] = replace(models[name], ladder=ladder)
    return problems


def ladder_problems(
    routes: RouteSettings, name: str, model: ModelSettings, names: Collection[str]
) -> Iterator[Problem]:
    """Yield the problems of a model's budget ladder; `names` are those of all models, invalid ones included."""
    place: Place = ("models", name, "budget_ladder")
    for index, step in enumerate(model.budget_ladder):
        if reason := step_problem(model.budget_ladder, index, name):
            yield Problem((*place, index), reason)
        elif step.model not in names:
            hint = nearest(step.model, names) or f"there are {', '.join(map(repr, names)) or 'none'}"
            yield Problem((*place, index, "model"), f"unknown model {step.model!r}; {hint}")
        elif name in _models_below(routes, step.model):
            yield Problem(
                (*place, index, "model"), f"makes a circle: the ladder of {step.model!r} leads back to {name!r}"
            )


def step_problem(ladder: Sequence[LadderStep], index: int, model: str) -> str | None:
    """Return what is wrong with a step of the ladder of `model` by itself; None if nothing is."""
    step = ladder[index]
    if step.model == model:
        return "names the model itself; name a cheaper one"
    if index and step.share <= ladder[index - 1].share:
        return f"begins at {step.share:g}, not after the step before it ({ladder[index - 1].share:g})"
    if step.model in (each.model for each in ladder[:index]):
        return f"repeats the model {step.model!r}"
    return None


def _models_below(routes: RouteSettings, name: str) -> set[str]:
    """Return the models that the ladder of `name` leads to, and theirs."""
    found: set[str] = set()
    left = [name]
    while left:
        if model := routes.models.get(left.pop()):
            new = {step.model for step in model.budget_ladder} - found
            found |= new
            left += new
    return found


def alias_problems(routes: RouteSettings, names: Collection[str]) -> Iterator[Problem]:
    """Yield the problems of the aliases; `names` are those of all models, invalid ones included."""
    if len(routes.aliases) > MAX_ALIASES:
        yield Problem(("aliases",), f"must have at most {MAX_ALIASES} entries; a pattern may replace several")
    for alias, target in routes.aliases.items():
        place: Place = ("aliases", alias)
        if alias in names:
            yield Problem(place, "is the name of a model, which wins over the alias; remove one of them")
        elif target.model in names:
            continue
        elif target.model in routes.aliases:
            yield Problem(place, f"leads to the alias {target.model!r}; an alias must name a model")
        else:
            hint = nearest(target.model, names) or f"there are {', '.join(map(repr, names)) or 'none'}"
            yield Problem(place, f"unknown model {target.model!r}; {hint}")


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint at the name that may be meant, "" if none is close."""
    from difflib import get_close_matches  # needed only for typing mistakes

    close = get_close_matches(name, list(names), n=1)
    return f"did you mean {close[0]!r}?" if close else ""


def _marks(relay: RelaySettings | None) -> RelayMarks:
    default = RelayMarks()
    if relay is None:
        return default
    return RelayMarks(
        passed_on_header=default.passed_on_header if relay.passed_on_header is None else relay.passed_on_header.lower(),
        own_error_type=default.own_error_type if relay.own_error_type is None else relay.own_error_type,
    )


def _merged(*settings: Settings) -> Policy:
    """Merge settings, the farthest first; a setting that is not given has its default."""
    timeouts: dict[str, float] = {}
    cooldown: dict[str, float] = {}
    quota: dict[str, Any] = {}
    shape: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for each in settings:
        timeouts |= each.timeouts
        cooldown |= each.cooldown
        quota |= each.quota
        _add_shape(shape, each)
        for name in _POLICY:
            if (value := getattr(each, name)) is not None:
                others[name] = value
    if shape:
        others["shape"] = _shape(shape)
    if quota:
        others["quota"] = QuotaPolicy(**quota)
    return Policy(timeouts=Timeouts(**timeouts), cooldown=CooldownPolicy(**cooldown), **others)


def _add_shape(shape: dict[str, Any], settings: Settings) -> None:
    """Add a nearer setting: values replace those of the same path or name, lists are joined."""
    for name in ("set", "default"):
        if values := getattr(settings, name):
            shape[name] = {**shape.get(name, {}), **values}
    for name in ("drop", "forward_headers"):
        if values := getattr(settings, name):
            shape[name] = tuple(dict.fromkeys((*shape.get(name, ()), *values)))
    for name in ("headers", "betas"):
        if parts := getattr(settings, name):
            shape[name] = _joined(shape.get(name, {}), parts)
    if settings.drop_params is not None:
        shape["drop_params"] = settings.drop_params


def _joined(parts: Mapping[str, Any], nearer: Mapping[str, Any]) -> dict[str, Any]:
    joined = dict(parts)
    for name, value in nearer.items():
        before = joined.get(name)
        if isinstance(value, Mapping):
            joined[name] = {**(before or {}), **value}
        elif isinstance(value, tuple):
            joined[name] = tuple(dict.fromkeys((*(before or ()), *value)))
        else:
            joined[name] = value
    return joined


def _shape(given: Mapping[str, Any]) -> RequestShape | None:
    shape = RequestShape(
        **{
            **given,
            "headers": HeaderShape(**given.get("headers", {})),
            "betas": BetaShape(**given.get("betas", {})),
        }
    )
    return None if shape == RequestShape() else shape
