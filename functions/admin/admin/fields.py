"""The fields of keys and teams by LiteLLM's names: their validation and their rendering.

Dollars and durations exist only here. Inside the router, money is nano-dollars and time is epoch seconds.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from vibe_router.access.keys import Holder, Key, Ladders, Limits, ModelBudget, Team, duration_seconds, model_ledger_id
from vibe_router.access.ledger import Ledger
from vibe_router.core.models import LadderStep
from vibe_router.core.price import NANO
from vibe_router.routing.resolution import step_problem
from vibe_router.routing.settings import LONGEST_CACHED, LONGEST_LADDER, MOST_GUARDS

__all__ = [
    "Alias",
    "Aliases",
    "Body",
    "Dollars",
    "Duration",
    "HolderFields",
    "LiteLLMOnly",
    "NotHonoured",
    "TeamId",
    "dollars",
    "example",
    "holder_fields",
    "iso",
    "limit_fields",
    "limits_of",
    "nano",
    "optional",
]

_MOST_DOLLARS = 1e9
_MOST = 10**12  # of requests or tokens per minute, or of concurrent requests
_NUMBER = re.compile(r"[0-9]{1,10}(\.[0-9]{1,12})?", re.ASCII)
_DEFAULTS: tuple[object, ...] = (None, "", 0, False, [], {}, "default")
_METADATA_BYTES = 8 * 1024
_METADATA_LEVELS = 12  # DynamoDB takes 32

_NONE = Limits()


class Body(BaseModel):
    """A strict body: an unknown field is an error, and a number in quotes is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


def _text(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be text without line breaks or other control characters")
    return value


def _duration(value: str) -> str:
    duration_seconds(value)
    return value


def _model(value: str) -> str:
    # LiteLLM's names for every model and for the models of the key's team.
    return "*" if value in ("all-proxy-models", "all-team-models") else _text(value)


def _metadata(value: dict[str, Any]) -> dict[str, Any]:
    if len(json.dumps(value)) > _METADATA_BYTES:
        raise ValueError(f"must take at most {_METADATA_BYTES // 1024} KB")
    levels: list[Any] = [value]
    for _ in range(_METADATA_LEVELS):
        below: list[Any] = []
        for each in levels:
            if isinstance(each, dict):
                if not all(each):
                    raise ValueError("must not contain an empty name")
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, int | float) and each and not 1e-100 < abs(each) < 1e37:
                raise ValueError("contains a number that is out of range")
        if not below:
            return value
        levels = below
    raise ValueError(f"must have at most {_METADATA_LEVELS} levels")


def _default(value: object) -> None:
    if value not in _DEFAULTS:
        raise ValueError("is not supported; remove it")


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_text)]
Alias = Text
TeamId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@-]{1,128}$")]
Duration = Annotated[str, AfterValidator(_duration)]
Dollars = Annotated[float, Field(ge=0, le=_MOST_DOLLARS)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Models = Annotated[list[Annotated[str, Field(max_length=256), AfterValidator(_model)]], Field(max_length=200)]
_Name = Annotated[str, Field(max_length=256), AfterValidator(_text)]
Aliases = Annotated[
    dict[_Name, _Name], Field(max_length=50), BeforeValidator(lambda value: value if value not in _DEFAULTS else {})
]


NotHonoured = Annotated[
    Any,
    AfterValidator(_default),
    Field(description="Accepted only if null or LiteLLM's default", json_schema_extra={"deprecated": True}),
]


class LadderStepBody(Body):
    """A step of a budget ladder."""

    share: Annotated[float, Field(gt=0, le=1, alias="from", description="The share of the budget from which on")]
    model: Annotated[str, Field(description="The virtual model that serves then")]


def _budget(value: object) -> object:
    """Return a budget by LiteLLM's other names for its fields; it takes numbers in quotes, too."""
    if not isinstance(value, dict):
        return value
    names = {"max_budget": "budget_limit", "budget_duration": "time_period"}
    renamed = {names.get(name, name): each for name, each in value.items() if each is not None or name not in names}
    limit = renamed.get("budget_limit")
    if isinstance(limit, str) and _NUMBER.fullmatch(limit):
        renamed["budget_limit"] = float(limit)
    return renamed


class ModelBudgetBody(Body):
    """A budget for a virtual model."""

    budget_limit: Annotated[Dollars, Field(description="The budget in USD; also called max_budget")]
    time_period: Annotated[
        Duration | None,
        Field(description="The period after which it resets, as in budget_duration, which is another name for it"),
    ] = None
    rpm_limit: NotHonoured = None
    tpm_limit: NotHonoured = None


def _ladders(value: "dict[str, list[LadderStepBody]]") -> "dict[str, list[LadderStepBody]]":
    steps = {model: [LadderStep(each.share, each.model) for each in ladder] for model, ladder in value.items()}
    for model, ladder in steps.items():
        for index, step in enumerate(ladder):
            if reason := step_problem(ladder, index, model):
                raise ValueError(f"step {index + 1} of {model!r} {reason}")
            if any(below.model == model for below in steps.get(step.model, ())):
                raise ValueError(f"makes a circle: {model!r} and {step.model!r} lead to each other")
    return value


def _if_given(value: object) -> object:
    return value if value not in _DEFAULTS else {}


ModelBudgets = Annotated[
    dict[_Name, Annotated[ModelBudgetBody, BeforeValidator(_budget)]],
    Field(max_length=20),
    BeforeValidator(_if_given),
]
BudgetLadders = Annotated[
    dict[_Name, Annotated[list[LadderStepBody], Field(max_length=LONGEST_LADDER)]],
    Field(max_length=50),
    BeforeValidator(_if_given),
    AfterValidator(_ladders),
]
Tags = Annotated[list[Text], Field(max_length=50)]
Guards = Annotated[list[Annotated[str, Field(min_length=1, max_length=40)]], Field(max_length=MOST_GUARDS)]
CacheSeconds = Annotated[int, Field(ge=0, le=LONGEST_CACHED)]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]


def optional(description: str) -> Any:
    """Return a field that is null by default, with its `description` in the API."""
    return Field(default=None, description=description)


def example(**values: Any) -> ConfigDict:
    """Return a model's config with an example for the API; "$KEY" and the like are placeholders."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class HolderFields(Body):
    """Fields that keys and teams share. A limit that is null does not apply."""

    models: Models | None = optional("Allowed models, by name or pattern (*). Empty for all")
    max_budget: Dollars | None = optional("The budget in USD")
    budget_duration: Duration | None = optional(
        "The period after which the budget resets: 1h, 1d, 30d, 1mo. Never if null"
    )
    soft_budget: Dollars | None = optional("Spending in USD beyond which responses and records warn")
    model_max_budget: ModelBudgets | None = optional(
        "Budgets for single virtual models (names or patterns), besides max_budget"
    )
    budget_ladder: BudgetLadders | None = optional(
        "The models that serve instead of a virtual model (a name or pattern) from a share of the budget on. They "
        "replace the ladder of the routes; an empty list switches it off"
    )
    rpm_limit: Count | None = optional("Requests per minute")
    tpm_limit: Count | None = optional("Tokens per minute")
    max_parallel_requests: Count | None = optional("Concurrent requests")
    cache_seconds: CacheSeconds | None = optional(
        "Seconds for which its repeatable answers are stored; 0 for never. If null, team or model decide"
    )
    guards: Guards | None = optional("Guards that inspect its requests, beside those of the model")
    metadata: Metadata | None = optional("Any other data, up to 8 KB")
    tags: Tags | None = optional("Tags of its usage")
    blocked: bool | None = optional("Whether it is blocked")

    def changed_fields(self, before: Limits = _NONE) -> dict[str, Any]:
        """Return the fields that were sent, by the names of the record; `before` are its current limits."""
        sent = self.model_dump(exclude_unset=True)
        fields: dict[str, Any] = {"limits": limits_of(sent, before)}
        for name in ("models", "tags", "guards"):
            if name in sent:
                fields[name] = tuple(dict.fromkeys(sent[name] or ()))
        if "metadata" in sent:
            fields["metadata"] = sent["metadata"] or {}
        if "cache_seconds" in sent:
            fields["cache_seconds"] = sent["cache_seconds"]
        if "budget_ladder" in sent:
            fields["budget_ladder"] = {
                model: tuple(LadderStep(step.share, step.model) for step in ladder)
                for model, ladder in (self.budget_ladder or {}).items()
            }
        if sent.get("blocked") is not None:
            fields["blocked"] = sent["blocked"]
        return fields


class LiteLLMOnly(Body):
    """LiteLLM's fields that this router does not support: accepted only with their default."""

    access_group_ids: NotHonoured = None
    agent_id: NotHonoured = None
    allowed_cache_controls: NotHonoured = None
    allowed_passthrough_routes: NotHonoured = None
    allowed_routes: NotHonoured = None
    allowed_vector_store_indexes: NotHonoured = None
    auto_rotate: NotHonoured = None
    budget_id: NotHonoured = None
    budget_limits: NotHonoured = None
    config: NotHonoured = None
    disable_global_guardrails: NotHonoured = None
    enforced_params: NotHonoured = None
    guardrails: NotHonoured = None
    key_type: NotHonoured = None
    model_rpm_limit: NotHonoured = None
    model_tpm_limit: NotHonoured = None
    object_permission: NotHonoured = None
    organization_id: NotHonoured = None
    permissions: NotHonoured = None
    policies: NotHonoured = None
    project_id: NotHonoured = None
    prompts: NotHonoured = None
    rotation_interval: NotHonoured = None
    router_settings: NotHonoured = None
    rpm_limit_type: NotHonoured = None
    send_invite_email: NotHonoured = None
    temp_budget_expiry: NotHonoured = None
    temp_budget_increase: NotHonoured = None
    tpm_limit_type: NotHonoured = None


def limits_of(sent: Mapping[str, Any], before: Limits = _NONE) -> Limits:
    """Return the limits in `sent` (LiteLLM's names); a limit that is missing stays as in `before`."""
    budget, soft = sent.get("max_budget"), sent.get("soft_budget")
    return Limits(
        max_budget=(None if budget is None else nano(budget)) if "max_budget" in sent else before.max_budget,
        budget_duration=sent.get("budget_duration", before.budget_duration),
        rpm=sent.get("rpm_limit", before.rpm),
        tpm=sent.get("tpm_limit", before.tpm),
        parallel=sent.get("max_parallel_requests", before.parallel),
        soft_budget=(None if soft is None else nano(soft)) if "soft_budget" in sent else before.soft_budget,
        models=before.models
        if "model_max_budget" not in sent
        else tuple(
            ModelBudget(model, nano(each["budget_limit"]), each.get("time_period"))
            for model, each in (sent["model_max_budget"] or {}).items()
        ),
    )


def holder_fields(holder: Key | Team, ledgers: Mapping[str, Ledger]) -> dict[str, Any]:
    """Return the shared fields by LiteLLM's names; `ledgers` are those of the current period, by id."""
    return {
        **limit_fields(holder, ledgers),
        "cache_seconds": holder.cache_seconds,
        "guards": list(holder.guards),
        "models": list(holder.models),
        "blocked": holder.blocked,
        "tags": list(holder.tags),
        "metadata": dict(holder.metadata),
        "created_at": iso(holder.created_at),
        "updated_at": iso(holder.updated_at),
    }


def limit_fields(holder: Holder, ledgers: Mapping[str, Ledger]) -> dict[str, Any]:
    """Return limits and spending by LiteLLM's names; `ledgers` are as in `holder_fields`."""
    limits, ledger = holder.limits, ledgers.get(holder.ledger_id)
    of_models = {each.model: ledgers.get(model_ledger_id(holder, each.model)) for each in limits.models}
    return {
        "spend": dollars(ledger.spent) if ledger else 0.0,
        "reserved": dollars(ledger.committed - ledger.spent) if ledger else 0.0,
        "total_spend": dollars(ledger.total) if ledger else 0.0,
        "max_budget": None if limits.max_budget is None else dollars(limits.max_budget),
        "budget_duration": limits.budget_duration,
        "budget_reset_at": iso(ledger.period_ends if ledger else None),
        "soft_budget": None if limits.soft_budget is None else dollars(limits.soft_budget),
        "model_max_budget": {
            each.model: {"budget_limit": dollars(each.max_budget), "time_period": each.duration}
            for each in limits.models
        },
        "model_spend": {model: dollars(spent.spent) if spent else 0.0 for model, spent in of_models.items()},
        "budget_ladder": _ladder_fields(holder.budget_ladder),
        "rpm_limit": limits.rpm,
        "tpm_limit": limits.tpm,
        "max_parallel_requests": limits.parallel,
    }


def _ladder_fields(ladders: Ladders) -> dict[str, list[dict[str, Any]]]:
    return {model: [{"from": step.share, "model": step.model} for step in ladder] for model, ladder in ladders.items()}


def nano(amount: float) -> int:
    """Convert dollars to nano-dollars."""
    return int((Decimal(str(amount)) * NANO).to_integral_value())


def dollars(amount: int) -> float:
    """Convert nano-dollars to dollars."""
    return amount / NANO


def iso(at: float | None) -> str | None:
    """Return epoch seconds as a time in ISO 8601, UTC."""
    return None if not at else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
