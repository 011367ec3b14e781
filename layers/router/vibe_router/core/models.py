"""Providers, deployments, virtual models, and the policy that applies to each.

All values are immutable and resolved: a `Deployment` holds its limits and its provider. Times are in seconds.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from vibe_router.core.patterns import MAX_NAME, by_precedence, matches
from vibe_router.core.price import Price

__all__ = [
    "ALERT_EVENTS",
    "RECEIVER_TYPES",
    "AlertPolicy",
    "BetaShape",
    "Catalogue",
    "ComplexityRule",
    "CooldownPolicy",
    "Deployment",
    "Guard",
    "HeaderShape",
    "LadderStep",
    "Policy",
    "Provider",
    "QuotaPolicy",
    "Receiver",
    "RelayMarks",
    "RequestShape",
    "Timeouts",
    "VirtualModel",
]

_NO_ALIASES: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Bounds of one attempt, in seconds. The defaults are the contract's."""

    connect: float = 5
    first_byte: float = 30  # of a streamed answer
    first_token: float = 60  # of a streamed answer
    idle: float = 60  # between two events with data, after the first
    response: float = 280  # of an answer that is not streamed, to its last byte
    probe: float = 10  # to the first byte of a request that probes
    total: float = 840  # of a whole request; leaves Lambda's 900 s room to settle


@dataclass(frozen=True, slots=True)
class CooldownPolicy:
    """The length of cooldowns in seconds: `base` doubles with every strike, nothing exceeds `max`."""

    base: float = 5
    max: float = 1800  # providers' reset hints can be stale by hours, so even they are capped here


@dataclass(frozen=True, slots=True)
class HeaderShape:
    """Headers of a call, in lower case: those to `set`, to set where they are missing (`default`), and to `drop`."""

    set: Mapping[str, str] = field(default_factory=dict, hash=False)
    default: Mapping[str, str] = field(default_factory=dict, hash=False)
    drop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BetaShape:
    """Beta flags to add (`set`), to send if the caller sends none (`default`), and to `drop`.

    With `drop_rejected`, a flag that a provider names in its rejection is left out and the request sent again.
    """

    set: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    drop_rejected: bool = False


@dataclass(frozen=True, slots=True)
class RequestShape:
    """The changes to requests before a deployment gets them: fields by path, headers, beta flags.

    `drop_params` leaves out parameters that the deployment's format cannot express. `forward_headers` are the client's
    headers to pass on, in lower case.
    """

    set: Mapping[str, Any] = field(default_factory=dict, hash=False)
    default: Mapping[str, Any] = field(default_factory=dict, hash=False)
    drop: tuple[str, ...] = ()
    headers: HeaderShape = field(default_factory=HeaderShape)
    betas: BetaShape = field(default_factory=BetaShape)
    drop_params: bool = False
    forward_headers: tuple[str, ...] = ()

    @property
    def changes_body(self) -> bool:
        """Return whether a field of the body is set or dropped."""
        return bool(self.set or self.default or self.drop)


@dataclass(frozen=True, slots=True)
class QuotaPolicy:
    """The reserve of a quota: beyond `threshold` percent, the rest is for `keys`, by alias."""

    threshold: float = 90
    keys: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Policy:
    """Every setting that routes.yaml may give to a deployment, merged: the nearest one wins."""

    timeouts: Timeouts = field(default_factory=Timeouts)
    retries: int = 1
    max_inline_wait: float = 2
    max_last_wait: float = 5
    cooldown: CooldownPolicy = field(default_factory=CooldownPolicy)
    reserve_tokens: int = 4096  # of an answer, reserved from a budget; the caller's limit if that is lower
    continuation: bool = False  # whether another deployment continues an answer that breaks here
    hedge_after: float | str | None = None  # seconds of silence, or p95, after which the next deployment is started
    hedge_share: float = 0.05  # of requests that may be hedged
    order: str = "weights"  # of the deployments of a step: routing.order
    stay: float = 5  # minutes for which a conversation stays on the deployment that served it
    quota: QuotaPolicy = field(default_factory=QuotaPolicy)
    shape: RequestShape | None = None  # None: requests are sent as callers send them

    @property
    def measures_first_token(self) -> bool:
        """Return whether a decision depends on the recent times to first token."""
        return isinstance(self.hedge_after, str) or self.order == "fastest"


@dataclass(frozen=True, slots=True)
class RelayMarks:
    """The marks of an error that a relay passes on from one of its accounts, as opposed to an error of its own.

    `passed_on_header`: a header, in lower case, that only passed-on errors have. `own_error_type`: the `type` of the
    relay's own errors; every other is passed on.
    """

    passed_on_header: str = "x-cpa-trace-id"  # CLIProxyAPI's; no other provider sends it
    own_error_type: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """An upstream API: `base_url` ends where `/chat/completions` begins; `secret` names its key.

    A provider of `type` bedrock is called with the function's role instead of a key, at its region's URL if `base_url`
    is empty.
    """

    name: str
    base_url: str
    secret: str
    formats: tuple[str, ...] = ("chat",)
    type: str = "openai"
    region: str | None = None
    endpoint: str | None = None  # of Bedrock, for chat and Responses: runtime (also None) or mantle
    relay: RelayMarks = field(default_factory=RelayMarks)

    @property
    def keyed(self) -> bool:
        """Return whether calls carry a key."""
        return self.type != "bedrock"

    @property
    def state_id(self) -> str:
        """The StateTable id of this provider's credential."""
        return f"credential#{self.name}"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A model at a provider, with the policy for calling it as a member of one chain."""

    provider: Provider
    model: str
    policy: Policy = field(default_factory=Policy)
    weight: float = 1
    formats: tuple[str, ...] = ("chat",)
    price: Price | None = None  # unknown
    context_window: int | None = None  # tokens of prompt and answer; unknown
    vision: bool = True  # whether it accepts images
    tools: bool = True  # whether it calls tools
    base_model: str | None = None  # the model behind an opaque name
    streams_only: bool = False  # whether it rejects requests for a whole answer

    @property
    def id(self) -> str:
        """`provider/model`, as headers, logs and tables name it."""
        return f"{self.provider.name}/{self.model}"

    @property
    def state_id(self) -> str:
        """The StateTable id of this deployment."""
        return f"deployment#{self.id}"

    @property
    def state_ids(self) -> tuple[str, str]:
        """The ids of the two states that decide whether it may be called: its own and its credential's."""
        return self.state_id, self.provider.state_id


@dataclass(frozen=True, slots=True)
class ComplexityRule:
    """The rule by which a virtual model is routed by complexity: to `mini` if a request is easy, else to `standard`.

    `mode` is manual, shadow or complexity; `share` the percentage of conversations that are routed in mode complexity.
    `strata` are the kinds of requests that may go to mini from the start. `quality` and `precision` are what the gates
    require. `dual` is the share of requests that both models answer, judged by `judge`, for at most `dual_budget`
    dollars a day.
    """

    mini: "VirtualModel"
    standard: "VirtualModel"
    mode: str = "shadow"
    share: float = 0
    quality: float = 0.98
    precision: float = 0.9
    strata: tuple[str, ...] = ("en",)
    evidence: bool = False
    dual: float = 0
    judge: "VirtualModel | None" = None
    dual_budget: float = 1


@dataclass(frozen=True, slots=True)
class LadderStep:
    """A step of a budget ladder: from this `share` of a budget on (over 0, at most 1), `model` serves instead."""

    share: float
    model: str


@dataclass(frozen=True, slots=True)
class VirtualModel:
    """A model as callers name it. `steps` are tried in order; the deployments of a step share its load by weight."""

    name: str
    description: str
    steps: tuple[tuple[Deployment, ...], ...]
    routing: ComplexityRule | None = None
    standard_of: tuple[str, ...] = ()  # models that are routed to this one, with evidence
    cache_seconds: int = 0  # for which repeatable answers are stored; 0 for none
    guards: tuple[str, ...] = ()  # that inspect its requests, and those of the models that it is routed to
    ladder: tuple[LadderStep, ...] = ()  # for keys and teams that have a budget, and no ladder of their own

    @property
    def chain(self) -> Iterator[Deployment]:
        """Every deployment, step by step."""
        return (deployment for step in self.steps for deployment in step)

    @property
    def is_dynamic(self) -> bool:
        """Return whether the order of deployments changes with what is observed of them."""
        return any(each.policy.order != "weights" for each in self.chain)

    @property
    def measures_first_token(self) -> bool:
        """Return whether a decision depends on recent times to first token."""
        return any(each.policy.measures_first_token for each in self.chain)

    @property
    def most_calls(self) -> int:
        """The most deployments that one request may be billed by."""
        policies = [each.policy for each in self.chain]
        return 1 + any(each.continuation for each in policies) + any(each.hedge_after is not None for each in policies)


ALERT_EVENTS = ("budget", "soft_budget", "quota", "cooldown", "credential", "no_deployment", "rollback")
RECEIVER_TYPES = ("slack", "feishu", "dingtalk", "json")


@dataclass(frozen=True, slots=True)
class Receiver:
    """A receiver of alerts. `url` and `secret` name entries of the router's secret; `host` bounds where `url` leads.

    Without `events` it receives all of them.
    """

    type: str
    url: str
    secret: str | None = None
    host: str | None = None
    events: tuple[str, ...] = ()

    def wants(self, event: str) -> bool:
        """Return whether alerts of `event` are sent here."""
        return not self.events or event in self.events


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """The receivers of alerts by name, and when alerts are raised: shares of a budget, minutes of a cooldown."""

    receivers: Mapping[str, Receiver]
    budget: tuple[float, ...] = (0.5, 0.8, 0.95)
    cooled_minutes: float = 15

    def wants(self, event: str) -> bool:
        """Return whether any receiver gets alerts of `event`."""
        return any(each.wants(event) for each in self.receivers.values())


class Guard(NamedTuple):  # a dataclass takes longer to create, which every cold start would pay for
    """A search in the texts of requests, and the action on what it finds.

    `kinds` are built in (guards.findings); `patterns` are regular expressions by the name of what they find. `places`
    are those of the texts, `action` is block, mask or report. With `bedrock` (id, version and region of a guardrail)
    Amazon Bedrock inspects the texts instead; `on_error` says what follows if it cannot: reject or continue.
    """

    name: str
    kinds: tuple[str, ...] = ()
    patterns: tuple[tuple[str, str], ...] = ()
    places: tuple[Any, ...] = ("prompts", "tool_results", "tool_arguments")
    action: str = "block"
    on_error: str = "reject"
    bedrock: tuple[str, str, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All models at a moment: the RoutesTable, read and resolved."""

    models: Mapping[str, VirtualModel]
    broken: frozenset[str] = frozenset()  # models whose rows are wrong, and were never right
    switched_off: frozenset[str] = frozenset()  # models without a deployment that is switched on
    aliases: Mapping[str, str] = field(default_factory=dict)  # names and patterns, and the virtual model of each
    alerts: AlertPolicy | None = None  # without receivers there are none
    guards: Mapping[str, Guard] = field(default_factory=dict)

    def resolve(self, name: str, own: Mapping[str, str] = _NO_ALIASES) -> str:
        """Return the virtual model that `name` means to a key with aliases of its `own`; `name` itself if none does.

        Exact names win over patterns, and longer patterns over shorter ones:

            own alias > model > alias > own pattern > pattern
        """
        if own and name in own:
            return own[name]
        if name in self.models or name in self.broken or name in self.switched_off:
            return name
        if (target := self.aliases.get(name)) is not None:
            return target
        if len(name) <= MAX_NAME:
            for aliases in (own, self.aliases):
                for pattern in by_precedence(aliases):
                    if matches(pattern, name):
                        return aliases[pattern]
        return name

    @property
    def deployments(self) -> dict[str, Deployment]:
        """Every deployment of any chain by its id."""
        return {deployment.id: deployment for model in self.models.values() for deployment in model.chain}

    @property
    def state_ids(self) -> tuple[str, ...]:
        """StateTable ids of every deployment and credential of any chain, each once."""
        return tuple(dict.fromkeys(each for deployment in self.deployments.values() for each in deployment.state_ids))
