"""The schema of routes.yaml and of the RoutesTable's rows, for those who write them.

`parse` reads a whole file, `parse_row` one row of the table. No mistake in the routes raises: each is returned as a
`Problem` with its place, so that all can be reported at once, and a bad row affects only itself. The gateway reads
valid rows with `routing.settings` instead, because pydantic adds 76 ms to a cold start; a new field goes into both
(docs/architecture.md).
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import ErrorDetails

from vibe_router.core.models import ALERT_EVENTS, RECEIVER_TYPES, Catalogue, LadderStep
from vibe_router.core.price import Price
from vibe_router.core.wire_formats import DECLARABLE
from vibe_router.routing import resolution
from vibe_router.routing.resolution import (
    MAX_ALIASES,
    ONLY_NATIVE,
    alias_problems,
    chain_problems,
    guard_problems,
    ladder_problems,
    nearest,
    routing_problems,
)
from vibe_router.routing.settings import (
    DEAREST,
    FINDING_NAME,
    GUARD_ACTIONS,
    GUARD_KINDS,
    GUARD_PLACES,
    GUARDRAIL_ID,
    GUARDRAIL_VERSION,
    LONGEST,
    LONGEST_CACHED,
    LONGEST_COOLED,
    LONGEST_LADDER,
    LONGEST_PATTERN,
    LONGEST_REST,
    LONGEST_STAY,
    LONGEST_WAIT,
    LOWEST_SHARE,
    MOST_GUARDS,
    MOST_HEDGED,
    MOST_RECEIVERS,
    MOST_RESERVED,
    MOST_RETRIES,
    MOST_SHAPED,
    MOST_SHARES,
    MOST_TOKENS,
    MOST_WEIGHT,
    NATIVE_FORMATS,
    PARTS,
    SINGLE,
    AlertSettings,
    AliasSettings,
    CacheSettings,
    DefaultSettings,
    DeploymentSettings,
    GuardrailSettings,
    GuardSettings,
    Kind,
    ModelSettings,
    Place,
    Problem,
    ProviderSettings,
    ReceiverSettings,
    RelaySettings,
    RouteSettings,
    RoutingSettings,
    RowSettings,
    checked_base_url,
    checked_beta,
    checked_header,
    checked_header_value,
    checked_host,
    checked_path,
    checked_secret_name,
    checked_values,
)

__all__ = [
    "MAX_ALIASES",
    "PARTS",
    "AlertsSpec",
    "AliasSpec",
    "DefaultsSpec",
    "DeploymentSpec",
    "GuardSpec",
    "GuardrailSpec",
    "Kind",
    "ModelSpec",
    "Overrides",
    "Place",
    "PriceSpec",
    "Problem",
    "ProviderSpec",
    "ReceiverSpec",
    "RelaySpec",
    "RoutesSpec",
    "RoutingSpec",
    "RowSpec",
    "as_row",
    "checked_base_url",
    "parse",
    "parse_row",
    "resolve",
    "route_settings_of",
    "settings_of",
]

if TYPE_CHECKING:
    Format = str
    AlertEvent = str
    GuardKind = str
    GuardPlace = str
    GuardAction = str
    ReceiverType = str
else:  # Literals for pydantic, whose names no type checker can read from a table
    Format = Literal[DECLARABLE]
    AlertEvent = Literal[ALERT_EVENTS]
    GuardKind = Literal[GUARD_KINDS]
    GuardPlace = Literal[GUARD_PLACES]
    GuardAction = Literal[GUARD_ACTIONS]
    ReceiverType = Literal[RECEIVER_TYPES]


def _token(characters: str, most: int) -> Callable[[str], str]:
    """Return a check for names that are used in headers, ids and log lines."""

    def check(value: str) -> str:
        for character in value:
            if not (character.isascii() and (character.isalnum() or character in characters)):
                allowed = " ".join(characters)
                raise ValueError(f"must not contain {character!r}; letters, digits and {allowed} are allowed")
        if not 1 <= len(value) <= most:
            raise ValueError(f"must be 1 to {most} characters long")
        return value

    return check


def _steps(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of deployments, tried in order")
    if not value:
        raise ValueError("is empty; name at least one deployment, such as {provider: NAME, model: NAME}")
    return tuple(value)


def _chain(value: object, info: ValidationInfo) -> object:
    if not value and isinstance(value, list | tuple):
        if info.data.get("routing") is not None:
            return ()
        if value == ():
            raise ValueError("is missing")
    return _steps(value)


def _step(value: object) -> object:
    """Return a step, which is one deployment or a list of deployments that share it by weight, as a tuple."""
    if not isinstance(value, list | tuple):
        return (value,)
    if not value:
        raise ValueError("is an empty step; name a deployment or leave the step out")
    return tuple(value)


def _formats(value: object) -> object:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError("must be a list of at least one format, such as [chat, responses]")
    if len({str(item) for item in value}) != len(value):
        raise ValueError("names a format twice")
    return tuple(value)


def _texts(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list, such as [temperature]")
    return tuple(value)


def _hedge_delay(value: object) -> object:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if value != "p95" and not (is_number and 0 < cast("float", value) <= LONGEST_WAIT):
        raise ValueError(f"must be seconds, at most {LONGEST_WAIT}, or p95")
    return value


_Bound = Annotated[float, Field(gt=0, le=LONGEST)]
_Wait = Annotated[float, Field(ge=0, le=LONGEST_WAIT)]
_HedgeDelay = Annotated[float | Literal["p95"], BeforeValidator(_hedge_delay)]
_Rest = Annotated[float, Field(gt=0, le=LONGEST_REST)]
_Dollars = Annotated[float, Field(ge=0, le=DEAREST)]
# A slash separates provider and model in a deployment's id, and `#` the kind of a state from its name.
_CHECKED_NAMES = {
    "provider": _token("-_.", 64),
    "model": _token("-_.:/@", 128),
    "alias": _token("-_.:/@*[]()+", 128),  # clients add such suffixes as [1m]
}
_ALLOWED_NAME = "must be a name of small letters, digits, - and _ that begins with a letter, up to 40 characters long"


def _finding_name(value: str) -> str:
    if not FINDING_NAME.fullmatch(value):
        raise ValueError(_ALLOWED_NAME)
    return value


def _own_finding(value: str) -> str:
    if value in GUARD_KINDS:
        raise ValueError(f"{value!r} is built in; choose another name")
    return _finding_name(value)


def _pattern(value: str) -> str:
    from vibe_router.routing.guard_patterns import checked_pattern  # few guards have patterns of their own

    return checked_pattern(value)


def _guardrail_id(value: str) -> str:
    if not GUARDRAIL_ID.fullmatch(value):
        raise ValueError("must be the id or the ARN of a guardrail")
    return value


def _guardrail_version(value: str) -> str:
    if not GUARDRAIL_VERSION.fullmatch(value):
        raise ValueError("must be DRAFT or a number in quotes, such as '1'")
    return value


def _guard_names(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of guards, such as [secrets]")
    if len({str(item) for item in value}) != len(value):
        raise ValueError("names a guard twice")
    return tuple(value)


_CHECKED_NAMES["guard"] = _finding_name
_GuardName = Annotated[str, AfterValidator(_finding_name)]
_GuardNames = Annotated[
    tuple[_GuardName, ...], Field(strict=False, max_length=MOST_GUARDS), BeforeValidator(_guard_names)
]
_ProviderName = Annotated[str, AfterValidator(_CHECKED_NAMES["provider"])]
_VirtualName = Annotated[str, AfterValidator(_CHECKED_NAMES["model"])]
_AliasName = Annotated[str, AfterValidator(_CHECKED_NAMES["alias"])]
_ModelName = Annotated[str, AfterValidator(_token("-_.:/@()[]+,=~!*'%&", 256))]
_SecretName = Annotated[str, AfterValidator(checked_secret_name)]
_Host = Annotated[str, AfterValidator(checked_host)]
_KeyAlias = Annotated[str, Field(min_length=1, max_length=200)]
_Values = Annotated[dict[str, Any], AfterValidator(checked_values)]
_Path = Annotated[str, AfterValidator(checked_path)]
_HeaderName = Annotated[str, AfterValidator(checked_header)]
_HeaderValue = Annotated[str, AfterValidator(checked_header_value)]
_Beta = Annotated[str, AfterValidator(checked_beta)]
_Paths = Annotated[tuple[_Path, ...], Field(strict=False, max_length=MOST_SHAPED), BeforeValidator(_texts)]
_HeaderNames = Annotated[tuple[_HeaderName, ...], Field(strict=False, max_length=MOST_SHAPED), BeforeValidator(_texts)]
_Betas = Annotated[tuple[_Beta, ...], Field(strict=False, max_length=MOST_SHAPED), BeforeValidator(_texts)]
_Headers = dict[_HeaderName, _HeaderValue]
_Formats = Annotated[tuple[Format, ...], Field(strict=False), BeforeValidator(_formats)]


class _Spec(BaseModel):
    # Built when first used: that halves what this module adds to a cold start.
    # Strict: "5" is not a number and yes is not a name. Whole numbers pass for floats all the same.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True, defer_build=True
    )


class TimeoutOverrides(_Spec):
    """Some of `Timeouts`, in seconds."""

    connect: _Bound | None = None
    first_byte: _Bound | None = None
    first_token: _Bound | None = None
    idle: _Bound | None = None
    response: _Bound | None = None
    probe: _Bound | None = None
    total: _Bound | None = None


class CooldownOverrides(_Spec):
    """Some of `CooldownPolicy`, in seconds."""

    base: _Rest | None = None
    max: _Rest | None = None


class QuotaOverrides(_Spec):
    """Some of `QuotaPolicy`. `threshold` is in percent; `keys` are the aliases of virtual keys."""

    threshold: Annotated[float, Field(ge=0, le=100)] | None = None
    keys: Annotated[tuple[_KeyAlias, ...], Field(strict=False)] | None = None


class HeaderShapeSpec(_Spec):
    """Headers of a call: to set, to set where they are missing, and to drop."""

    set: _Headers | None = None
    default: _Headers | None = None
    drop: _HeaderNames | None = None


class BetaShapeSpec(_Spec):
    """Beta flags: to add, to send if the caller sends none, and to drop."""

    set: _Betas | None = None
    default: _Betas | None = None
    drop: _Betas | None = None
    drop_rejected: bool | None = None


class Overrides(_Spec):
    """Settings that apply to everything below them unless a nearer one overrides them."""

    timeouts: TimeoutOverrides | None = None
    retries: Annotated[int, Field(ge=0, le=MOST_RETRIES)] | None = None
    max_inline_wait: _Wait | None = None
    max_last_wait: _Wait | None = None
    cooldown: CooldownOverrides | None = None
    reserve_tokens: Annotated[int, Field(ge=0, le=MOST_RESERVED)] | None = None
    continuation: bool | None = None
    hedge_after: _HedgeDelay | None = None
    hedge_share: Annotated[float, Field(ge=0, le=MOST_HEDGED)] | None = None
    order: Literal["weights", "cheapest", "fastest", "quota"] | None = None
    stay: Annotated[float, Field(ge=0, le=LONGEST_STAY)] | None = None
    quota: QuotaOverrides | None = None
    set: _Values | None = None
    default: _Values | None = None
    drop: _Paths | None = None
    headers: HeaderShapeSpec | None = None
    betas: BetaShapeSpec | None = None
    drop_params: bool | None = None
    forward_headers: _HeaderNames | None = None


class DefaultsSpec(Overrides):
    """The settings of every deployment."""


class RelaySpec(_Spec):
    """The marks of errors of a relay's accounts, which concern one deployment, as opposed to errors of its own.

    Passed-on errors have `passed_on_header`; the relay's own errors have `own_error_type`.
    """

    passed_on_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    own_error_type: Annotated[str, Field(min_length=1, max_length=64)] | None = None


class ProviderSpec(Overrides):
    """An upstream API. A provider without `formats` speaks chat completions only.

    A provider of `type` bedrock is called with the function's role in its `region` (the function's by default), at the
    region's endpoint unless `base_url` names another: through Converse, or in the native `formats` that it names.
    """

    type: Literal["openai", "bedrock"] = "openai"
    base_url: Annotated[str, Field(validate_default=True)] = ""
    secret: Annotated[str, Field(validate_default=True)] = ""
    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")] | None = None
    endpoint: Literal["runtime", "mantle"] | None = None
    formats: _Formats | None = None
    relay: RelaySpec | None = None

    @field_validator("base_url", "secret")
    @classmethod
    def _keyed(cls, value: str, info: ValidationInfo) -> str:
        secret, bedrock = info.field_name == "secret", info.data.get("type") == "bedrock"
        if bedrock and secret and value:
            raise ValueError("does not apply to a provider of type bedrock, which is called with the router's role")
        if not value:
            if bedrock:
                return value
            raise ValueError("is missing")
        return checked_secret_name(value) if secret else checked_base_url(value)

    @field_validator("region", "endpoint", "formats")
    @classmethod
    def _of_its_type(cls, value: Any, info: ValidationInfo) -> Any:
        bedrock = info.data.get("type") == "bedrock"
        if info.field_name != "formats" and value is not None and not bedrock:
            raise ValueError("applies only to a provider of type bedrock")
        if info.field_name == "formats" and bedrock and value and not set(value) <= NATIVE_FORMATS:
            raise ValueError(ONLY_NATIVE)
        return value


class PriceSpec(_Spec):
    """A `Price`: dollars per million tokens."""

    input: _Dollars
    output: _Dollars
    cache_read: _Dollars | None = None
    cache_write: _Dollars | None = None
    audio_input: _Dollars | None = None
    audio_output: _Dollars | None = None
    source: Annotated[str, Field(max_length=100)] | None = None


class DeploymentSpec(Overrides):
    """A model at a provider, as a member of a chain. By default its formats are the provider's.

    A deployment that is not `enabled` is left out of the chain. Without a `price` its cost is unknown. It is skipped
    for a request that exceeds its `context_window`, or that needs `vision` or `tools` if these are false. `base_model`
    is the model behind an opaque name: an inference profile of Bedrock, a deployment at Azure. With
    `stream: always` it is asked for a stream even if the caller wants a whole answer.
    """

    provider: _ProviderName
    model: _ModelName
    weight: Annotated[float, Field(gt=0, le=MOST_WEIGHT)] = 1
    formats: _Formats | None = None
    price: PriceSpec | None = None
    enabled: bool = True
    context_window: Annotated[int, Field(ge=1, le=MOST_TOKENS)] | None = None
    vision: bool = True
    tools: bool = True
    base_model: _ModelName | None = None
    stream: Literal["always"] | None = None


_Step = Annotated[tuple[DeploymentSpec, ...], Field(strict=False), BeforeValidator(_step)]


class RoutingSpec(_Spec):
    """Routing by complexity: easy requests go to the model `mini`, all others to `standard`.

    Without `standard` it is the model itself. In mode `shadow` nothing changes but the record; in mode `complexity`
    `share` percent of the conversations are routed. Commands and the page change mode, share and strata without a
    change of the file; from then on theirs apply.
    """

    by: Literal["complexity"]
    mini: _VirtualName
    standard: _VirtualName | None = None
    mode: Literal["manual", "shadow", "complexity"] = "shadow"
    share: Annotated[float, Field(ge=0, le=100)] = 0
    quality: Annotated[float, Field(ge=0.5, le=1)] = 0.98
    precision: Annotated[float, Field(ge=0.5, le=1)] = 0.9
    strata: Annotated[tuple[Literal["en", "zh", "tools", "long"], ...], Field(strict=False)] = ("en",)
    evidence: bool = False
    dual: Annotated[float, Field(ge=0, le=0.05)] = 0
    judge: _VirtualName | None = None
    dual_budget: Annotated[float, Field(ge=0, le=DEAREST)] = 1


class CacheSpec(_Spec):
    """Stores repeatable answers (embeddings, and those to requests with temperature 0) for some seconds."""

    seconds: Annotated[int, Field(ge=1, le=LONGEST_CACHED)]


class LadderStepSpec(_Spec):
    """A step of a budget ladder: from this share of the budget of a key or its team on, another model serves."""

    share: Annotated[float, Field(gt=0, le=1, alias="from")]
    model: _VirtualName


class ModelSpec(Overrides):
    """A virtual model: its description, and its chain of deployments, which may be missing with `routing`.

    `budget_ladder` has the models that serve instead when a key or its team has used a share of its budget.
    """

    description: Annotated[str, Field(max_length=1000)] = ""
    cache: CacheSpec | None = None
    routing: RoutingSpec | None = None
    budget_ladder: Annotated[tuple[LadderStepSpec, ...], Field(strict=False, max_length=LONGEST_LADDER)] = ()
    guards: _GuardNames = ()
    chain: Annotated[tuple[_Step, ...], Field(strict=False, validate_default=True), BeforeValidator(_chain)] = ()


def _alias(value: object) -> object:
    return {"model": value} if isinstance(value, str) else value


class AliasSpec(_Spec):
    """A virtual model under another name. In a file it is the model's name alone."""

    model: _VirtualName


class PatternSpec(_Spec):
    """A regular expression of Python, and the name of what it finds."""

    name: Annotated[str, AfterValidator(_own_finding)]
    pattern: Annotated[str, Field(min_length=1, max_length=LONGEST_PATTERN), AfterValidator(_pattern)]


def _found(value: object) -> object:
    """Return what a guard finds; a kind that is unknown gets a reason of its own."""
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list, such as [secrets, emails]")
    for each in value:
        if not isinstance(each, Mapping | PatternSpec) and each not in GUARD_KINDS:
            raise ValueError(f"must have kinds ({', '.join(GUARD_KINDS)}) and patterns ({{name: …, pattern: …}})")
    return tuple(value)


_FOUND = ("kind", "own")  # tags of the two alternatives, which are no part of a place
_Found = Annotated[
    Annotated[GuardKind, Tag(_FOUND[0])] | Annotated[PatternSpec, Tag(_FOUND[1])],
    Discriminator(lambda value: _FOUND[0] if isinstance(value, str) else _FOUND[1]),
]


def _guard_places(value: object) -> object:
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"must be a list of at least one of {', '.join(GUARD_PLACES)}")
    return tuple(value)


class GuardrailSpec(_Spec):
    """A guardrail of Amazon Bedrock, called with the function's role in its `region` (the function's by default)."""

    id: Annotated[str, AfterValidator(_guardrail_id)]
    version: Annotated[str, AfterValidator(_guardrail_version)] = "DRAFT"
    region: Annotated[str, Field(pattern=r"^[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}$")] | None = None


class GuardSpec(_Spec):
    """A search in the texts of requests, and the action on what it finds.

    A guard has either `find` or `bedrock`. `places` are where it looks.
    """

    find: Annotated[tuple[_Found, ...], Field(strict=False, max_length=MOST_GUARDS), BeforeValidator(_found)] = ()
    bedrock: Annotated[GuardrailSpec | None, Field(validate_default=True)] = None
    places: Annotated[tuple[GuardPlace, ...], Field(strict=False), BeforeValidator(_guard_places)] = GUARD_PLACES
    action: GuardAction = "block"
    on_error: Literal["reject", "continue"] = "reject"

    @field_validator("bedrock")
    @classmethod
    def _one_of_both(cls, value: GuardrailSpec | None, info: ValidationInfo) -> GuardrailSpec | None:
        if "find" in info.data and bool(info.data["find"]) == (value is not None):
            raise ValueError("is missing; a guard needs `find` or `bedrock`" if value is None else "excludes `find`")
        return value


def _shares(value: object) -> object:
    if not isinstance(value, list | tuple):
        raise ValueError("must be a list of shares, such as [0.5, 0.8, 0.95]")
    return tuple(value)


class ReceiverSpec(_Spec):
    """A receiver of alerts. `url` and `secret` name entries of the router's secret, as a URL holds a token.

    The URL may only lead to `host`: by default the type's own, and for json any. Without `events` it gets all alerts.
    """

    type: ReceiverType
    url: _SecretName
    secret: _SecretName | None = None
    host: _Host | None = None
    events: Annotated[tuple[AlertEvent, ...], Field(strict=False)] = ()


class AlertsSpec(_Spec):
    """The receivers of alerts by name, and when alerts are raised."""

    receivers: Annotated[dict[_ProviderName, ReceiverSpec], Field(max_length=MOST_RECEIVERS)] = {}
    budget: Annotated[
        tuple[Annotated[float, Field(ge=LOWEST_SHARE, le=1)], ...],
        Field(strict=False, max_length=MOST_SHARES),
        BeforeValidator(_shares),
    ] = (0.5, 0.8, 0.95)
    cooled_minutes: Annotated[float, Field(ge=1, le=LONGEST_COOLED)] = 15


class RoutesSpec(_Spec):
    """The content of routes.yaml. A name in `aliases` may be a pattern, in which `*` is any text."""

    providers: dict[_ProviderName, ProviderSpec] = {}
    defaults: DefaultsSpec = DefaultsSpec()
    models: dict[_VirtualName, ModelSpec] = {}
    aliases: dict[_AliasName, Annotated[AliasSpec, BeforeValidator(_alias)]] = {}
    guards: dict[_GuardName, GuardSpec] = {}
    alerts: AlertsSpec = AlertsSpec()

    @property
    def secret_names(self) -> frozenset[str]:
        """The names of the secrets that providers and receivers of alerts use."""
        named = [provider.secret for provider in self.providers.values()]
        named += [name for each in self.alerts.receivers.values() for name in (each.url, each.secret or "")]
        return frozenset(filter(None, named))


RowSpec = ProviderSpec | ModelSpec | AliasSpec | GuardSpec | DefaultsSpec | AlertsSpec
_SHAPES: dict[Kind, type[ProviderSpec | ModelSpec | AliasSpec | GuardSpec | DefaultsSpec | AlertsSpec]] = {
    "provider": ProviderSpec,
    "model": ModelSpec,
    "alias": AliasSpec,
    "guard": GuardSpec,
    "defaults": DefaultsSpec,
    "alerts": AlertsSpec,
}


def parse(data: object) -> tuple[RoutesSpec | None, list[Problem]]:
    """Read the content of a file: the spec, or None and all its problems."""
    if not isinstance(data, Mapping) or not data:
        return None, [Problem((), "must hold `providers` and `models`")]
    problems: list[Problem] = []
    broken: set[Place] = set()
    try:
        spec = RoutesSpec.model_validate(data)
    except ValidationError as error:
        problems += _problems(error, data)
        broken = {problem.place[:2] for problem in problems}
        spec = _unbroken(data, broken)
    missing = [part for part in ("providers", "models") if not data.get(part)]
    problems += (Problem((part,), "is missing; name at least one") for part in missing)
    written = data.get("providers")
    names = list(written) if isinstance(written, Mapping) else []
    settings = route_settings_of(spec)
    for name, model in settings.models.items():
        for problem, member in chain_problems(settings, name, model, names):
            if member or ("models", name) not in broken:
                problems.append(problem)
    written = data.get("models")
    written_models = list(written) if isinstance(written, Mapping) else []
    problems += alias_problems(settings, written_models)
    written = data.get("guards")
    problems += guard_problems(settings, list(written) if isinstance(written, Mapping) else [])
    for name, model in settings.models.items():
        if ("models", name) not in broken:
            problems += routing_problems(settings, name, model, written_models)
            problems += ladder_problems(settings, name, model, written_models)
    return (None if problems else spec), problems


def _unbroken(data: Mapping[Any, object], broken: Collection[Place]) -> RoutesSpec:
    """Return the valid part of a file with mistakes, so that mistakes of every kind can be reported at once.

    A model with a mistake outside its chain is reduced to its bare chain.
    """
    valid: dict[str, dict[Any, object]] = {"providers": {}, "models": {}, "aliases": {}, "guards": {}}
    for part, entries in valid.items():
        written = data.get(part)
        for name, entry in written.items() if isinstance(written, Mapping) else ():
            if (part, name) not in broken:
                entries[name] = entry
            elif part == "models" and isinstance(name, str) and isinstance(entry, Mapping):
                bare = {"chain": _bare(entry.get("chain"))}
                if parse_row("model", name, bare)[0]:
                    entries[name] = bare
    return RoutesSpec.model_validate(valid)


def _bare(chain: object) -> object:
    """Reduce a chain to providers and models; anything else is left as it is, and rejected later."""
    if isinstance(chain, Mapping):
        return {name: chain[name] for name in ("provider", "model") if name in chain}
    return [_bare(item) for item in chain] if isinstance(chain, list | tuple) else chain


def parse_row(kind: Kind, name: str, attributes: Mapping[str, object]) -> tuple[RowSpec | None, list[Problem]]:
    """Read one row of the table: the spec, or None and all its problems."""
    place: Place = (kind,) if kind in SINGLE else (PARTS[kind], name)
    problems: list[Problem] = []
    if kind in _CHECKED_NAMES:
        try:
            _CHECKED_NAMES[kind](name)
        except ValueError as error:
            problems.append(Problem(place, str(error)))
    try:
        spec = _SHAPES[kind].model_validate(attributes)
    except ValidationError as error:
        problems += (Problem(place + found.place, found.reason) for found in _problems(error, attributes))
        return None, problems
    return (None if problems else spec), problems


def as_row(spec: RowSpec) -> dict[str, object]:
    """Return a spec in plain values, as a person would write it; settings that were not given are left out."""
    row = cast(
        "dict[str, object]", _plain(spec.model_dump(mode="json", exclude_unset=True, exclude_none=True, by_alias=True))
    )
    if isinstance(spec, ModelSpec):
        chain = cast("list[list[object]]", row.get("chain") or [])
        if chain:
            row["chain"] = [step[0] if len(step) == 1 else step for step in chain]
    return row


def settings_of(spec: RowSpec) -> RowSettings:
    """Return a row as `settings.read_row` reads it."""
    match spec:
        case ProviderSpec():
            return ProviderSettings(**_plain_fields(spec))
        case ModelSpec():
            return ModelSettings(**_plain_fields(spec))
        case AliasSpec():
            return AliasSettings(**_plain_fields(spec))
        case GuardSpec():
            return GuardSettings(**_plain_fields(spec))
        case DefaultsSpec():
            return DefaultSettings(**_plain_fields(spec))
        case AlertsSpec():
            return AlertSettings(**_plain_fields(spec))


def route_settings_of(spec: RoutesSpec) -> RouteSettings:
    """Return the content of a routes file in plain values."""
    return RouteSettings(
        providers={name: ProviderSettings(**_plain_fields(each)) for name, each in spec.providers.items()},
        defaults=DefaultSettings(**_plain_fields(spec.defaults)),
        models={name: ModelSettings(**_plain_fields(each)) for name, each in spec.models.items()},
        aliases={name: AliasSettings(**_plain_fields(each)) for name, each in spec.aliases.items()},
        guards={name: GuardSettings(**_plain_fields(each)) for name, each in spec.guards.items()},
        alerts=AlertSettings(**_plain_fields(spec.alerts)),
    )


def resolve(
    spec: RoutesSpec, base_urls: Mapping[str, str] | None = None, invalid: Collection[str] = ()
) -> tuple[Catalogue, list[Problem]]:
    """Merge a routes file into its catalogue, as `resolution.resolve` does."""
    return resolution.resolve(route_settings_of(spec), base_urls, invalid)


def _plain_fields(spec: _Spec) -> dict[str, Any]:
    fields = {name: _plain_value(getattr(spec, name)) for name in type(spec).model_fields}
    for group in ("timeouts", "cooldown", "quota", "set", "default", "headers", "betas"):
        if group in fields and fields[group] is None:
            fields[group] = {}
    for group in ("drop", "forward_headers"):
        if group in fields and fields[group] is None:
            fields[group] = ()
    return fields


def _plain_value(value: object) -> object:
    """Convert the specs in `value` to their counterparts in `settings`; groups become what is given of them."""
    match value:
        case TimeoutOverrides() | CooldownOverrides() | QuotaOverrides():
            return {name: given for name, given in _plain_fields(value).items() if given is not None}
        case HeaderShapeSpec() | BetaShapeSpec():
            return {name: given for name, given in _plain_fields(value).items() if given}
        case DeploymentSpec():
            return DeploymentSettings(**_plain_fields(value))
        case PriceSpec():
            return Price(**_plain_fields(value))
        case RoutingSpec():
            return RoutingSettings(**_plain_fields(value))
        case CacheSpec():
            return CacheSettings(**_plain_fields(value))
        case RelaySpec():
            return RelaySettings(**_plain_fields(value))
        case PatternSpec():
            return value.name, value.pattern
        case GuardrailSpec():
            return GuardrailSettings(**_plain_fields(value))
        case ReceiverSpec():
            return ReceiverSettings(**_plain_fields(value))
        case dict():
            return {name: _plain_value(each) for name, each in value.items()}
        case LadderStepSpec():
            return LadderStep(value.share, value.model)
        case tuple():
            return tuple(_plain_value(each) for each in value)
    return value


def _problems(error: ValidationError, data: object) -> Iterator[Problem]:
    for details in error.errors(include_url=False):
        place = _faithful(details["loc"], data)
        if details["type"] == "extra_forbidden":
            yield Problem(place, f"unknown setting{_belongs(str(place[-1]))}")
        else:
            yield Problem(place, _reason(details))


def _reason(details: ErrorDetails) -> str:
    """Return the reason in plain words; pydantic's own are for programmers."""
    limits = details.get("ctx", {})
    match details["type"]:
        case "missing":
            return "is missing"
        case "value_error":
            return str(limits["error"])
        case "string_type":
            return "must be text; quote it if it looks like something else"
        case "bool_type":
            return "must be true or false"
        case "float_type":
            return "must be a number"
        case "int_type" | "int_from_float":
            return "must be a whole number"
        case "finite_number":
            return "must be a finite number"
        case "greater_than":
            return f"must be greater than {limits['gt']:g}"
        case "greater_than_equal":
            return f"must be at least {limits['ge']:g}"
        case "less_than_equal":
            return f"must be at most {limits['le']:g}"
        case "string_too_long":
            return f"must be at most {limits['max_length']} characters long"
        case "literal_error":
            return f"must be one of {limits['expected']}"
        case "model_type" | "dict_type":
            return "must be a mapping, such as {name: value}"
        case _:
            return details["msg"]


def _faithful(loc: Place, data: object) -> Place:
    """Convert pydantic's location to the one in the file, in which a single deployment may be a step."""
    place: list[str | int] = []
    for part in loc:
        match data:
            case list() | tuple() if isinstance(part, int):
                data = data[part]
            case Mapping() if part in data:
                data = data[part]
            case _ if part == "[key]" or part in _FOUND or isinstance(part, int):
                continue
        place.append(part)
    return tuple(place)


def _belongs(name: str) -> str:
    """Return a hint about the right place or name of an unknown setting."""
    groups = (
        ("timeouts", TimeoutOverrides),
        ("cooldown", CooldownOverrides),
        ("quota", QuotaOverrides),
        ("price", PriceSpec),
        ("cache", CacheSpec),
    )
    for group, shape in groups:
        if name in shape.model_fields:
            return f"; {name!r} belongs under `{group}`"
    shapes = (
        RoutesSpec,
        ProviderSpec,
        ModelSpec,
        GuardSpec,
        DeploymentSpec,
        TimeoutOverrides,
        CooldownOverrides,
        PriceSpec,
    )
    hint = nearest(name, {field for shape in shapes for field in shape.model_fields} - {name})
    return f"; {hint}" if hint else ""


def _plain(value: object) -> object:
    """Write whole floats as whole numbers, as people do and as DynamoDB gives them back."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
