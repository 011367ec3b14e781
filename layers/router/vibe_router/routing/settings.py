"""Rows of the RoutesTable as plain values, read without pydantic: what the gateway needs of them.

`vibe routes` and the page validate routes with `routing.spec` before they write them, so the gateway reads rows by
plain code. `read_row` returns None for a row that may be invalid, for example one that was edited by
hand: then `routing.spec` decides, and reports the mistakes. A test holds both equal.

    a row of the table ── read_row ──────────────────────────────┬─> settings ── routing.resolution ─> Catalogue
                           └─ None ── spec.parse_row ── settings_of ┘
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast, dataclass_transform
from urllib.parse import urlsplit

from vibe_router.core.models import ALERT_EVENTS, RECEIVER_TYPES, LadderStep
from vibe_router.core.price import Price
from vibe_router.core.secret_names import RESERVED
from vibe_router.core.wire_formats import DECLARABLE

__all__ = [
    "ALERTS",
    "BEDROCK_ENDPOINTS",
    "DEAREST",
    "DEFAULTS",
    "FINDING_NAME",
    "GUARDRAIL_ID",
    "GUARDRAIL_VERSION",
    "GUARD_ACTIONS",
    "GUARD_KINDS",
    "GUARD_PLACES",
    "KINDS",
    "LONGEST",
    "LONGEST_CACHED",
    "LONGEST_COOLED",
    "LONGEST_LADDER",
    "LONGEST_PATTERN",
    "LONGEST_REST",
    "LONGEST_STAY",
    "LONGEST_WAIT",
    "LOWEST_SHARE",
    "MOST_GUARDS",
    "MOST_HEDGED",
    "MOST_RECEIVERS",
    "MOST_RESERVED",
    "MOST_RETRIES",
    "MOST_SHAPED",
    "MOST_SHARES",
    "MOST_TOKENS",
    "MOST_WEIGHT",
    "NATIVE_FORMATS",
    "ORDERS",
    "PARTS",
    "ROUTING_MODES",
    "SINGLE",
    "STRATA",
    "AlertSettings",
    "AliasSettings",
    "CacheSettings",
    "DefaultSettings",
    "DeploymentSettings",
    "GuardSettings",
    "GuardrailSettings",
    "Kind",
    "ModelSettings",
    "Place",
    "Problem",
    "ProviderSettings",
    "ReceiverSettings",
    "RelaySettings",
    "RouteSettings",
    "RoutingSettings",
    "Row",
    "RowKey",
    "RowSettings",
    "Rows",
    "Settings",
    "checked_base_url",
    "checked_beta",
    "checked_header",
    "checked_header_value",
    "checked_host",
    "checked_path",
    "checked_secret_name",
    "checked_values",
    "provider_formats",
    "read_row",
]

# Lambda ends an invocation after 900 s; the rest is for settling.
LONGEST = 880
# API Gateway drops a connection that has carried no byte for 300 s, and every wait comes before the first one.
LONGEST_WAIT = 280
# A deployment that cools for longer than a month should leave the chain.
LONGEST_REST = 31 * 86_400
# Dollars per million tokens, a cent per token: a higher number is a price in another unit.
DEAREST = 10_000
# No model's answer is longer.
MOST_RESERVED = 10_000_000
# Of all requests: hedging is for the slowest few.
MOST_HEDGED = 0.5
# Seconds, 30 days: prompts and models change sooner.
LONGEST_CACHED = 30 * 86_400
# Minutes, a day: no provider caches a prompt for longer.
LONGEST_STAY = 1440
# No model takes more.
MOST_TOKENS = 1_000_000_000
MOST_RETRIES = 10
LONGEST_LADDER = 10  # steps
MOST_WEIGHT = 1_000_000
MOST_SHAPED = 50  # fields, headers or flags in one list
_MOST_SHAPE_BYTES = 8192
MOST_RECEIVERS = 20
MOST_SHARES = 10  # of a budget
LOWEST_SHARE = 0.01
LONGEST_COOLED = 31 * 1440  # minutes
ORDERS = ("weights", "cheapest", "fastest", "quota")
GUARD_KINDS = ("secrets", "emails", "phones", "cards")
GUARD_PLACES = ("prompts", "tool_results", "tool_arguments")
GUARD_ACTIONS = ("block", "mask", "report")
MOST_GUARDS = 20  # of a model, and of things to find for a guard
LONGEST_PATTERN = 500  # characters

Kind = Literal["provider", "model", "alias", "guard", "defaults", "alerts"]
Place = tuple[str | int, ...]
KINDS: tuple[Kind, ...] = ("provider", "model", "alias", "guard", "defaults", "alerts")
RowKey = tuple[str, str]  # kind, name
Row = Mapping[str, Any]  # plain values, without the key
Rows = Mapping[RowKey, Row]
DEFAULTS: RowKey = ("defaults", "defaults")
ALERTS: RowKey = ("alerts", "alerts")
SINGLE: Mapping[str, RowKey] = {"defaults": DEFAULTS, "alerts": ALERTS}
"""The kinds of which there is one row at most, and its key."""
PARTS: Mapping[Kind, str] = {
    "provider": "providers",
    "model": "models",
    "alias": "aliases",
    "guard": "guards",
    "defaults": "defaults",
    "alerts": "alerts",
}
"""The part of the file that holds the rows of each kind."""


# What Bedrock speaks itself; everything else is asked through Converse.
NATIVE_FORMATS = frozenset({"chat", "responses", "messages"})
BEDROCK_ENDPOINTS = ("runtime", "mantle")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the routes: its place, and the reason in words for its author."""

    place: Place
    reason: str

    @property
    def path(self) -> str:
        """The place as in `models.auto-chat.chain[1].provider`."""
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place)
        return path.removeprefix(".")

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}" if self.place else self.reason


_EMPTY: Mapping[str, Any] = MappingProxyType({})


@dataclass_transform(kw_only_default=True, frozen_default=True)
class _Value:
    """A value with the annotated fields, which have defaults. Equal values of one class are equal.

    A dataclass takes 2 to 3 ms to create, which every cold start would pay for each of these.
    """

    def __init__(self, **given: object) -> None:
        self.__dict__.update(given)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(
            getattr(self, name) == getattr(other, name) for name in self.field_names()
        )

    def __hash__(self) -> int:
        return hash(type(self))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.__dict__})"

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Return the names of the fields."""
        return tuple(name for each in reversed(cls.__mro__) for name in getattr(each, "__annotations__", ()))


class Settings(_Value):
    """Settings that apply to everything below them unless a nearer one overrides them; None is not given.

    `timeouts`, `cooldown` and `quota` hold the given fields of `Timeouts`, `CooldownPolicy` and `QuotaPolicy`,
    `headers` and `betas` those of `HeaderShape` and `BetaShape`; the fields from `set` on are those of `RequestShape`.
    """

    timeouts: Mapping[str, float] = _EMPTY
    retries: int | None = None
    max_inline_wait: float | None = None
    max_last_wait: float | None = None
    cooldown: Mapping[str, float] = _EMPTY
    reserve_tokens: int | None = None
    continuation: bool | None = None
    hedge_after: float | str | None = None
    hedge_share: float | None = None
    order: str | None = None
    stay: float | None = None
    quota: Mapping[str, Any] = _EMPTY
    set: Mapping[str, Any] = _EMPTY
    default: Mapping[str, Any] = _EMPTY
    drop: tuple[str, ...] = ()
    headers: Mapping[str, Any] = _EMPTY
    betas: Mapping[str, Any] = _EMPTY
    drop_params: bool | None = None
    forward_headers: tuple[str, ...] = ()


class DefaultSettings(Settings):
    """The settings of every deployment."""


class RelaySettings(_Value):
    """The marks of errors of a relay's accounts, as `spec.RelaySpec` describes it."""

    passed_on_header: str | None = None
    own_error_type: str | None = None


class ProviderSettings(Settings):
    """A row of a provider, as `spec.ProviderSpec` describes it."""

    type: str = "openai"
    base_url: str = ""
    secret: str = ""
    region: str | None = None
    endpoint: str | None = None
    formats: tuple[str, ...] | None = None
    relay: RelaySettings | None = None


class DeploymentSettings(Settings):
    """A member of a chain, as `spec.DeploymentSpec` describes it."""

    provider: str = ""
    model: str = ""
    weight: float = 1
    formats: tuple[str, ...] | None = None
    price: Price | None = None
    enabled: bool = True
    context_window: int | None = None
    vision: bool = True
    tools: bool = True
    base_model: str | None = None
    stream: str | None = None


class RoutingSettings(_Value):
    """Routing by complexity, as `spec.RoutingSpec` describes it."""

    by: str = "complexity"
    mini: str = ""
    standard: str | None = None
    mode: str = "shadow"
    share: float = 0
    quality: float = 0.98
    precision: float = 0.9
    strata: tuple[str, ...] = ("en",)
    evidence: bool = False
    dual: float = 0
    judge: str | None = None
    dual_budget: float = 1


class CacheSettings(_Value):
    """Storage of repeatable answers, as `spec.CacheSpec` describes it."""

    seconds: int = 0


class ModelSettings(Settings):
    """A row of a virtual model, as `spec.ModelSpec` describes it."""

    description: str = ""
    cache: CacheSettings | None = None
    routing: RoutingSettings | None = None
    budget_ladder: tuple[LadderStep, ...] = ()
    guards: tuple[str, ...] = ()
    chain: tuple[tuple[DeploymentSettings, ...], ...] = ()


class AliasSettings(_Value):
    """A row of an alias, as `spec.AliasSpec` describes it."""

    model: str = ""


class GuardrailSettings(_Value):
    """A guardrail of Amazon Bedrock, as `spec.GuardrailSpec` describes it."""

    id: str = ""
    version: str = "DRAFT"
    region: str | None = None


class GuardSettings(_Value):
    """A row of a guard, as `spec.GuardSpec` describes it. `find` has kinds, and patterns as (name, pattern)."""

    find: tuple[str | tuple[str, str], ...] = ()
    bedrock: GuardrailSettings | None = None
    places: tuple[str, ...] = GUARD_PLACES
    action: str = "block"
    on_error: str = "reject"


class ReceiverSettings(_Value):
    """A receiver of alerts, as `spec.ReceiverSpec` describes it."""

    type: str = "json"
    url: str = ""
    secret: str | None = None
    host: str | None = None
    events: tuple[str, ...] = ()


class AlertSettings(_Value):
    """The row of the alerts, as `spec.AlertsSpec` describes it."""

    receivers: Mapping[str, ReceiverSettings] = _EMPTY
    budget: tuple[float, ...] = (0.5, 0.8, 0.95)
    cooled_minutes: float = 15


RowSettings = ProviderSettings | ModelSettings | AliasSettings | GuardSettings | DefaultSettings | AlertSettings


class RouteSettings(_Value):
    """All rows of the table that are valid."""

    providers: Mapping[str, ProviderSettings] = _EMPTY
    defaults: DefaultSettings = DefaultSettings()
    models: Mapping[str, ModelSettings] = _EMPTY
    aliases: Mapping[str, AliasSettings] = _EMPTY
    guards: Mapping[str, GuardSettings] = _EMPTY
    alerts: AlertSettings = AlertSettings()


def provider_formats(kind: str, formats: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the formats of the models of a provider with such a `type` and `formats`, unless they give their own."""
    return formats or (("converse",) if kind == "bedrock" else ("chat",))


def checked_base_url(value: str) -> str:
    """Return an API's base URL without its last slash. Raises ValueError with the reason.

    The text of the error never repeats the value: a URL with a key in it is one of the mistakes.
    """
    if not value or any(character <= " " or character == "\x7f" for character in value):
        raise ValueError("must be a URL without blanks, such as https://api.example.com/v1")
    try:
        url = urlsplit(value)
        port = url.port
        (url.hostname or "").encode("idna")  # labels that are empty or too long have no address
    except ValueError:
        raise ValueError("must be a URL, such as https://api.example.com/v1") from None
    if url.scheme not in ("http", "https") or not url.hostname or port == 0:
        raise ValueError("must be an http:// or https:// URL with a host, such as https://api.example.com/v1")
    if url.username is not None or url.password is not None:
        raise ValueError("must not hold credentials; name them with `secret` instead")
    if "?" in value or "#" in value:
        raise ValueError("must not have a query or a fragment; keys are named with `secret`")
    base_url = value.rstrip("/")
    if base_url.endswith("/chat/completions"):
        raise ValueError("must end where /chat/completions begins; leave that part out")
    return base_url


def checked_secret_name(value: str) -> str:
    """Return the name of a secret. Raises ValueError with the reason."""
    # The value is not repeated either: a key pasted where its name belongs must not end up in a terminal's history.
    if not (value.isascii() and value.isidentifier() and len(value) <= 128):
        raise ValueError("must be the name of a secret (letters, digits, underscores), not the secret itself")
    if value in RESERVED:
        raise ValueError(f"{value} opens the router itself and must not be sent to a provider")
    return value


_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_PATH = re.compile(r"[A-Za-z0-9_$-]{1,64}(\.([A-Za-z0-9_$-]{1,64}|\*)){0,9}")
# What the router itself decides on.
_OWNED = frozenset({"model", "stream", "stream_options"})
# Keys and the framing of a call; a provider's key is named with `secret`.
_FORBIDDEN_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "host", "connection"}
    | {"content-length", "content-type", "content-encoding", "transfer-encoding", "te", "upgrade", "keep-alive"}
    | {"accept", "accept-encoding", "expect", "trailer", "x-amz-security-token", "x-amz-date"}
)
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_BETA = re.compile(r"[A-Za-z0-9._:=/-]{1,100}")


def checked_path(value: object) -> str:
    """Return a path of a field. Raises ValueError with the reason."""
    if not isinstance(value, str) or not _PATH.fullmatch(value):
        raise ValueError("must be a path such as reasoning.effort or tools.*.strict")
    if value.partition(".")[0] in _OWNED:
        raise ValueError(f"{value.partition('.')[0]!r} is set by the router")
    return value


def checked_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by path. Raises ValueError with the reason."""
    if len(values) > MOST_SHAPED:
        raise ValueError(f"must have at most {MOST_SHAPED} entries")
    checked = {checked_path(path): value for path, value in values.items()}
    try:
        size = len(json.dumps(checked, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise ValueError("must hold values that JSON can express") from None
    if size > _MOST_SHAPE_BYTES:
        raise ValueError(f"must be at most {_MOST_SHAPE_BYTES} bytes of JSON")
    return checked


def checked_header(value: object) -> str:
    """Return the name of a header in lower case. Raises ValueError with the reason."""
    if not isinstance(value, str) or not _HEADER.fullmatch(value):
        raise ValueError("must be the name of a header")
    if value.lower() in _FORBIDDEN_HEADERS:
        raise ValueError(f"{value.lower()!r} is the router's own; a provider's key is named with `secret`")
    return value.lower()


def checked_header_value(value: object) -> str:
    """Return the value of a header. Raises ValueError with the reason."""
    if not isinstance(value, str) or not (value.isascii() and value.isprintable() and len(value) <= 1000):
        raise ValueError("must be printable ASCII of at most 1000 characters")
    return value


def checked_beta(value: object) -> str:
    """Return a beta flag. Raises ValueError with the reason."""
    if not isinstance(value, str) or not _BETA.fullmatch(value):
        raise ValueError("must be a beta flag such as context-1m-2025-08-07")
    return value


def checked_host(value: object) -> str:
    """Return the host that a receiver's URL must lead to. Raises ValueError with the reason."""
    if not isinstance(value, str) or not _HOST.fullmatch(value):
        raise ValueError("must be a host such as hooks.example.com, without https:// and path")
    return value.lower()


def read_row(kind: str, name: str, row: Mapping[str, object]) -> RowSettings | None:
    """Read a row that is valid beyond doubt; None for any other, which `spec.parse_row` decides on."""
    read, pattern = _READERS.get(kind, (None, None))
    if read is None or (pattern is not None and not pattern.fullmatch(name)):
        return None
    try:
        return read(row)
    except (_DoubtError, TypeError, ValueError, RecursionError):
        return None


class _DoubtError(Exception):
    """The row may be invalid."""


Read = TypeVar("Read")
_PROVIDER_NAME = re.compile(r"[A-Za-z0-9\-_.]{1,64}")
_VIRTUAL_NAME = re.compile(r"[A-Za-z0-9\-_.:/@]{1,128}")
_ALIAS_NAME = re.compile(r"[A-Za-z0-9\-_.:/@*\[\]()+]{1,128}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9\-_.:/@()\[\]+,=~!*'%&]{1,256}")
FINDING_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
GUARDRAIL_ID = re.compile(
    r"[a-z0-9]{1,64}|arn:aws[a-z-]{0,20}:bedrock:[a-z0-9-]{1,30}:[0-9]{12}:guardrail/[a-z0-9]{1,64}"
)
GUARDRAIL_VERSION = re.compile(r"DRAFT|[1-9][0-9]{0,7}")
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}")
_FORMATS = frozenset(DECLARABLE)
_ALERT_EVENTS = frozenset(ALERT_EVENTS)
_TIMEOUTS = ("connect", "first_byte", "first_token", "idle", "response", "probe", "total")
ROUTING_MODES = ("manual", "shadow", "complexity")
STRATA = frozenset(("en", "zh", "tools", "long"))
_ROUTING_NUMBERS = {
    "share": (0, 100),
    "quality": (0.5, 1),
    "precision": (0.5, 1),
    "dual": (0, 0.05),
    "dual_budget": (0, DEAREST),
}
_PRICES = ("input", "output", "cache_read", "cache_write", "audio_input", "audio_output")


class _Fields:
    """The fields of a mapping; each may be taken once, and none may be left."""

    def __init__(self, values: object) -> None:
        if not isinstance(values, dict):
            raise _DoubtError
        self._left = dict(values)

    def has(self, name: str) -> bool:
        return name in self._left

    def is_text(self, name: str, text: str) -> bool:
        """Take the field if it is `text`, and return whether it is."""
        if self._left.get(name) != text:
            return False
        del self._left[name]
        return True

    def take(self, name: str) -> object:
        return self._left.pop(name, None)

    def end(self) -> None:
        if self._left:
            raise _DoubtError

    def number(self, name: str, *, most: float, over: float | None = None, least: float | None = None) -> float | None:
        value = self.take(name)
        if value is None:
            return None
        if type(value) not in (int, float):
            raise _DoubtError
        number = cast("float", value)
        if not number <= most or (over is not None and not number > over) or (least is not None and number < least):
            raise _DoubtError
        return float(number)

    def whole(self, name: str, *, least: int, most: int) -> int | None:
        value = self.take(name)
        if value is None:
            return None
        if type(value) is not int or not least <= value <= most:
            raise _DoubtError
        return value

    def text(self, name: str, *, most: int, least: int = 0) -> str | None:
        value = self.take(name)
        if value is None:
            return None
        if type(value) is not str or not least <= len(value) <= most:
            raise _DoubtError
        value.encode()  # raises ValueError for a lone surrogate
        return value

    def matching(self, name: str, pattern: re.Pattern[str]) -> str | None:
        value = self.take(name)
        if value is None:
            return None
        if type(value) is not str or not pattern.fullmatch(value):
            raise _DoubtError
        return value

    def values(self, name: str) -> dict[str, Any]:
        value = self.take(name)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _DoubtError
        return checked_values(value)

    def checked_texts(self, name: str, check: Callable[[str], str]) -> tuple[str, ...]:
        values = self.take(name)
        if values is None:
            return ()
        if not isinstance(values, list | tuple) or len(values) > MOST_SHAPED:
            raise _DoubtError
        return tuple(check(each) for each in values)

    def one_of(self, name: str, values: Collection[str]) -> str | None:
        value = self.take(name)
        if value is not None and (type(value) is not str or value not in values):
            raise _DoubtError
        return value

    def texts(self, name: str, *, most: int) -> tuple[str, ...] | None:
        values = self.take(name)
        if values is None:
            return None
        if not isinstance(values, list | tuple):
            raise _DoubtError
        for each in values:
            if type(each) is not str or not 1 <= len(each) <= most:
                raise _DoubtError
            each.encode()  # raises ValueError for a lone surrogate
        return tuple(values)

    def flag(self, name: str) -> bool:
        value = self._left.pop(name, True)
        if type(value) is not bool:
            raise _DoubtError
        return value

    def formats(self, name: str) -> tuple[str, ...] | None:
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, list | tuple) or not value or len(set(value)) != len(value):
            raise _DoubtError
        if not _FORMATS.issuperset(value):
            raise _DoubtError
        return tuple(value)


def _given(fields: _Fields) -> dict[str, Any]:
    """Take the fields of `Settings`."""
    return {
        "timeouts": _group(fields, "timeouts", _TIMEOUTS, LONGEST),
        "retries": fields.whole("retries", least=0, most=MOST_RETRIES),
        "max_inline_wait": fields.number("max_inline_wait", least=0, most=LONGEST_WAIT),
        "max_last_wait": fields.number("max_last_wait", least=0, most=LONGEST_WAIT),
        "cooldown": _group(fields, "cooldown", ("base", "max"), LONGEST_REST),
        "reserve_tokens": fields.whole("reserve_tokens", least=0, most=MOST_RESERVED),
        "continuation": fields.flag("continuation") if fields.has("continuation") else None,
        "hedge_after": _hedge_delay(fields),
        "hedge_share": fields.number("hedge_share", least=0, most=MOST_HEDGED),
        "order": fields.one_of("order", ORDERS),
        "stay": fields.number("stay", least=0, most=LONGEST_STAY),
        "quota": _quota(fields.take("quota")),
        **_shape(fields),
    }


def _shape(fields: _Fields) -> dict[str, Any]:
    """Take the fields of a `RequestShape`."""
    return {
        "set": fields.values("set"),
        "default": fields.values("default"),
        "drop": fields.checked_texts("drop", checked_path),
        "headers": _header_shape(fields.take("headers")),
        "betas": _beta_shape(fields.take("betas")),
        "drop_params": fields.flag("drop_params") if fields.has("drop_params") else None,
        "forward_headers": fields.checked_texts("forward_headers", checked_header),
    }


def _header_shape(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    fields = _Fields(value)
    given = {
        "set": _headers(fields.take("set")),
        "default": _headers(fields.take("default")),
        "drop": fields.checked_texts("drop", checked_header),
    }
    fields.end()
    return {name: each for name, each in given.items() if each}


def _headers(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise _DoubtError
    headers = {checked_header(name): checked_header_value(each) for name, each in value.items()}
    if len(headers) != len(value):
        raise _DoubtError
    return headers


def _beta_shape(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    fields = _Fields(value)
    given: dict[str, Any] = {
        name: fields.checked_texts(name, checked_beta) for name in ("set", "default", "drop") if fields.has(name)
    }
    if fields.has("drop_rejected"):
        given["drop_rejected"] = fields.flag("drop_rejected")
    fields.end()
    return {name: each for name, each in given.items() if each}


def _quota(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    fields = _Fields(value)
    given = {"threshold": fields.number("threshold", least=0, most=100), "keys": fields.texts("keys", most=200)}
    fields.end()
    return {name: each for name, each in given.items() if each is not None}


def _hedge_delay(fields: _Fields) -> float | str | None:
    if fields.is_text("hedge_after", "p95"):
        return "p95"
    return fields.number("hedge_after", over=0, most=LONGEST_WAIT)


def _group(fields: _Fields, name: str, names: tuple[str, ...], most: float) -> dict[str, float]:
    value = fields.take(name)
    if value is None:
        return {}
    group = _Fields(value)
    given = {each: number for each in names if (number := group.number(each, over=0, most=most)) is not None}
    group.end()
    return given


def _certain(value: Read | None) -> Read:
    if value is None:
        raise _DoubtError
    return value


def _read_defaults(row: object) -> DefaultSettings:
    fields = _Fields(row)
    settings = DefaultSettings(**_given(fields))
    fields.end()
    return settings


def _read_provider(row: object) -> ProviderSettings:
    fields = _Fields(row)
    given = _given(fields)
    kind = _certain(fields.text("type", most=10)) if fields.has("type") else "openai"
    relay = _read_relay(fields.take("relay"))
    if kind == "bedrock":
        if fields.has("secret"):
            raise _DoubtError
        formats = _certain(fields.formats("formats")) if fields.has("formats") else None
        if formats and not set(formats) <= NATIVE_FORMATS:
            raise _DoubtError
        base_url = fields.take("base_url") if fields.has("base_url") else ""
        if type(base_url) is not str:
            raise _DoubtError
        settings = ProviderSettings(
            **given,
            type=kind,
            base_url=checked_base_url(base_url) if base_url else "",
            region=fields.matching("region", _REGION),
            endpoint=fields.one_of("endpoint", BEDROCK_ENDPOINTS),
            formats=formats,
            relay=relay,
        )
    elif kind == "openai":
        if fields.take("region") is not None or fields.take("endpoint") is not None:
            raise _DoubtError
        base_url, secret = fields.take("base_url"), fields.take("secret")
        if type(base_url) is not str or type(secret) is not str:
            raise _DoubtError
        formats = _certain(fields.formats("formats")) if fields.has("formats") else None
        settings = ProviderSettings(
            **given,
            base_url=checked_base_url(base_url),
            secret=checked_secret_name(secret),
            formats=formats,
            relay=relay,
        )
    else:
        raise _DoubtError
    fields.end()
    return settings


def _read_relay(value: object) -> RelaySettings | None:
    if value is None:
        return None
    fields = _Fields(value)
    relay = RelaySettings(
        passed_on_header=fields.matching("passed_on_header", _HEADER),
        own_error_type=fields.text("own_error_type", least=1, most=64),
    )
    fields.end()
    return relay


def _read_model(row: object) -> ModelSettings:
    fields = _Fields(row)
    given = _given(fields)
    description = _certain(fields.text("description", most=1000)) if fields.has("description") else ""
    cache = _read_cache(fields.take("cache"))
    routing = _read_routing(fields.take("routing"))
    ladder = _read_ladder(fields.take("budget_ladder")) if fields.has("budget_ladder") else ()
    guards = _read_guard_names(fields.take("guards")) if fields.has("guards") else ()
    chain = fields.take("chain") if fields.has("chain") or routing is None else ()
    if not isinstance(chain, list | tuple) or not (chain or routing):
        raise _DoubtError
    fields.end()
    steps = tuple(_read_step(step) for step in chain)
    return ModelSettings(
        **given,
        description=description,
        cache=cache,
        routing=routing,
        budget_ladder=ladder,
        guards=guards,
        chain=steps,
    )


def _read_guard_names(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_GUARDS or len(set(value)) != len(value):
        raise _DoubtError
    if not all(isinstance(each, str) and FINDING_NAME.fullmatch(each) for each in value):
        raise _DoubtError
    return tuple(value)


def _read_cache(value: object) -> CacheSettings | None:
    if value is None:
        return None
    fields = _Fields(value)
    cache = CacheSettings(seconds=_certain(fields.whole("seconds", least=1, most=LONGEST_CACHED)))
    fields.end()
    return cache


def _read_ladder(value: object) -> tuple[LadderStep, ...]:
    if not isinstance(value, list | tuple) or len(value) > LONGEST_LADDER:
        raise _DoubtError
    ladder: list[LadderStep] = []
    for each in value:
        fields = _Fields(each)
        share, model = fields.number("from", over=0, most=1), fields.matching("model", _VIRTUAL_NAME)
        ladder.append(LadderStep(_certain(share), _certain(model)))
        fields.end()
    return tuple(ladder)


def _read_routing(value: object) -> RoutingSettings | None:
    if value is None:
        return None
    fields = _Fields(value)
    if not fields.is_text("by", "complexity"):
        raise _DoubtError
    given: dict[str, Any] = {"mini": _certain(fields.matching("mini", _VIRTUAL_NAME))}
    for name in ("standard", "judge"):
        given[name] = fields.matching(name, _VIRTUAL_NAME)
    for name, (least, most) in _ROUTING_NUMBERS.items():
        if fields.has(name):
            given[name] = _certain(fields.number(name, least=least, most=most))
    if fields.has("mode"):
        given["mode"] = fields.take("mode")
        if given["mode"] not in ROUTING_MODES:
            raise _DoubtError
    if fields.has("strata"):
        strata = fields.take("strata")
        if not isinstance(strata, list | tuple) or not STRATA.issuperset(strata):
            raise _DoubtError
        given["strata"] = tuple(strata)
    if fields.has("evidence"):
        given["evidence"] = fields.flag("evidence")
    fields.end()
    return RoutingSettings(**given)


def _read_alias(row: object) -> AliasSettings:
    fields = _Fields(row)
    alias = AliasSettings(model=_certain(fields.matching("model", _VIRTUAL_NAME)))
    fields.end()
    return alias


def _read_guard(row: object) -> GuardSettings:
    fields = _Fields(row)
    find = fields.take("find") if fields.has("find") else ()
    if not isinstance(find, list | tuple) or len(find) > MOST_GUARDS:
        raise _DoubtError
    given: dict[str, Any] = {"find": tuple(map(_read_find, find)), "bedrock": _read_guardrail(fields.take("bedrock"))}
    if bool(given["find"]) == bool(given["bedrock"]):
        raise _DoubtError
    if fields.has("places"):
        given["places"] = fields.texts("places", most=20)
        if not given["places"] or not set(given["places"]) <= set(GUARD_PLACES):
            raise _DoubtError
    for name, values in (("action", GUARD_ACTIONS), ("on_error", ("reject", "continue"))):
        if fields.has(name):
            given[name] = _certain(fields.one_of(name, values))
    fields.end()
    return GuardSettings(**given)


def _read_find(value: object) -> str | tuple[str, str]:
    if isinstance(value, str):
        if value not in GUARD_KINDS:
            raise _DoubtError
        return value
    fields = _Fields(value)
    name = _certain(fields.matching("name", FINDING_NAME))
    pattern = _certain(fields.text("pattern", least=1, most=LONGEST_PATTERN))
    fields.end()
    if name in GUARD_KINDS:
        raise _DoubtError
    from vibe_router.routing.guard_patterns import checked_pattern  # few guards have patterns of their own

    return name, checked_pattern(pattern)


def _read_guardrail(value: object) -> GuardrailSettings | None:
    if value is None:
        return None
    fields = _Fields(value)
    guardrail = GuardrailSettings(
        id=_certain(fields.matching("id", GUARDRAIL_ID)),
        version=_certain(fields.matching("version", GUARDRAIL_VERSION)) if fields.has("version") else "DRAFT",
        region=fields.matching("region", _REGION),
    )
    fields.end()
    return guardrail


def _read_alerts(row: object) -> AlertSettings:
    fields = _Fields(row)
    receivers = fields.take("receivers") if fields.has("receivers") else {}
    if not isinstance(receivers, dict) or len(receivers) > MOST_RECEIVERS:
        raise _DoubtError
    given: dict[str, Any] = {"receivers": {name: _read_receiver(name, each) for name, each in receivers.items()}}
    if fields.has("budget"):
        given["budget"] = _read_shares(fields.take("budget"))
    if fields.has("cooled_minutes"):
        given["cooled_minutes"] = _certain(fields.number("cooled_minutes", least=1, most=LONGEST_COOLED))
    fields.end()
    return AlertSettings(**given)


def _read_receiver(name: object, value: object) -> ReceiverSettings:
    if not isinstance(name, str) or not _PROVIDER_NAME.fullmatch(name):
        raise _DoubtError
    fields = _Fields(value)
    url, secret, host = fields.take("url"), fields.take("secret"), fields.take("host")
    if type(url) is not str or (secret is not None and type(secret) is not str):
        raise _DoubtError
    events = fields.texts("events", most=20) if fields.has("events") else ()
    if events is None or not _ALERT_EVENTS.issuperset(events):
        raise _DoubtError
    receiver = ReceiverSettings(
        type=_certain(fields.one_of("type", RECEIVER_TYPES)),
        url=checked_secret_name(url),
        secret=None if secret is None else checked_secret_name(secret),
        host=None if host is None else checked_host(host),
        events=events,
    )
    fields.end()
    return receiver


def _read_shares(value: object) -> tuple[float, ...]:
    if not isinstance(value, list | tuple) or len(value) > MOST_SHARES:
        raise _DoubtError
    shares = [_Fields({"share": each}).number("share", least=LOWEST_SHARE, most=1) for each in value]
    return tuple(_certain(share) for share in shares)


def _read_step(step: object) -> tuple[DeploymentSettings, ...]:
    if not isinstance(step, list | tuple):
        return (_read_deployment(step),)
    if not step:
        raise _DoubtError
    return tuple(_read_deployment(member) for member in step)


def _read_deployment(value: object) -> DeploymentSettings:
    fields = _Fields(value)
    deployment = DeploymentSettings(
        **_given(fields),
        provider=_certain(fields.matching("provider", _PROVIDER_NAME)),
        model=_certain(fields.matching("model", _MODEL_NAME)),
        weight=_certain(fields.number("weight", over=0, most=MOST_WEIGHT)) if fields.has("weight") else 1,
        formats=fields.formats("formats"),
        price=_read_price(fields.take("price")),
        enabled=fields.flag("enabled"),
        context_window=fields.whole("context_window", least=1, most=MOST_TOKENS),
        vision=fields.flag("vision"),
        tools=fields.flag("tools"),
        base_model=fields.matching("base_model", _MODEL_NAME),
        stream=_read_stream(fields.take("stream")),
    )
    fields.end()
    return deployment


def _read_stream(value: object) -> str | None:
    if value not in (None, "always"):
        raise _DoubtError
    return "always" if value else None


def _read_price(value: object) -> Price | None:
    if value is None:
        return None
    fields = _Fields(value)
    dollars = {name: fields.number(name, least=0, most=DEAREST) for name in _PRICES}
    _certain(dollars["input"]), _certain(dollars["output"])
    price = Price(**dollars, source=fields.text("source", most=100))  # type: ignore[arg-type]  # two are certain
    fields.end()
    return price


_READERS: Mapping[str, tuple[Callable[[object], RowSettings], re.Pattern[str] | None]] = {
    "defaults": (_read_defaults, None),
    "provider": (_read_provider, _PROVIDER_NAME),
    "model": (_read_model, _VIRTUAL_NAME),
    "alias": (_read_alias, _ALIAS_NAME),
    "guard": (_read_guard, FINDING_NAME),
    "alerts": (_read_alerts, None),
}
