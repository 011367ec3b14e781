"""The fields of keys and teams, as LiteLLM names them: what they may hold, and how they are told.

Dollars and durations stand at this edge only: inside, money is nano-dollars and time is epoch seconds.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vibe_router.access.keys import Key, Limits, Team, duration_seconds
from vibe_router.access.ledger import Ledger
from vibe_router.core.price import NANO

__all__ = [
    "Alias",
    "Body",
    "Dollars",
    "Duration",
    "Holding",
    "LiteLLMOnly",
    "NotHonoured",
    "TeamId",
    "dollars",
    "example",
    "iso",
    "limits_of",
    "nano",
    "optional",
    "told_holder",
]

_MOST_DOLLARS = 1e9
_MOST = 10**12  # of requests or tokens in a minute, or of requests at once
_DEFAULTS: tuple[object, ...] = (None, "", 0, False, [], {}, "default")
_METADATA_BYTES = 8 * 1024
_METADATA_LEVELS = 12  # DynamoDB takes 32

_NONE = Limits()


class Body(BaseModel):
    """A body: what it has no field for is a mistake, and a number in quotes is not a number."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


def _text(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("must be text without line breaks or other control characters")
    return value


def _duration(value: str) -> str:
    duration_seconds(value)
    return value


def _model(value: str) -> str:
    # LiteLLM's word for every model; its "all-team-models" is what a key of a team may use anyhow.
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
                    raise ValueError("must not have a name that is empty")
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, int | float) and each and not 1e-100 < abs(each) < 1e37:
                raise ValueError("holds a number that is out of range")
        if not below:
            return value
        levels = below
    raise ValueError(f"must have at most {_METADATA_LEVELS} levels")


def _default(value: object) -> None:
    if value not in _DEFAULTS:
        raise ValueError("is not honoured here; leave it out")


Text = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_text)]
Alias = Text
TeamId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@-]{1,128}$")]
Duration = Annotated[str, AfterValidator(_duration)]
Dollars = Annotated[float, Field(ge=0, le=_MOST_DOLLARS)]
Count = Annotated[int, Field(ge=0, le=_MOST)]
Models = Annotated[list[Annotated[str, Field(max_length=256), AfterValidator(_model)]], Field(max_length=200)]
Tags = Annotated[list[Text], Field(max_length=50)]
Metadata = Annotated[dict[str, Any], AfterValidator(_metadata)]
NotHonoured = Annotated[
    Any,
    AfterValidator(_default),
    Field(description="Taken where it is null or LiteLLM's default", json_schema_extra={"deprecated": True}),
]


def optional(description: str) -> Any:
    """Return the field that is null while nothing is said of it; `description` is the API's of it."""
    return Field(default=None, description=description)


def example(**values: Any) -> ConfigDict:
    """Return a model's config with an example for the API's description; "$KEY" and its like stand for one's own."""
    return ConfigDict(json_schema_extra={"examples": [values]})


class Holding(Body):
    """What keys and teams have in common; what is null is no limit."""

    models: Models | None = optional("Virtual models that may be used, * standing for anything; none are all")
    max_budget: Dollars | None = optional("Dollars that may be spent")
    budget_duration: Duration | None = optional("When the budget begins anew: 1h, 1d, 30d, 1mo; never otherwise")
    rpm_limit: Count | None = optional("Requests a minute")
    tpm_limit: Count | None = optional("Tokens a minute")
    max_parallel_requests: Count | None = optional("Requests at the same time")
    metadata: Metadata | None = optional("Whatever else should be known, up to 8 KB")
    tags: Tags | None = optional("What its usage is filed under")
    blocked: bool | None = optional("Whether it opens nothing for now")

    def holding(self, before: Limits = _NONE) -> dict[str, Any]:
        """Return what was said of a holder, by the names of its fields; `before` are the limits it has."""
        said = self.model_dump(exclude_unset=True)
        fields: dict[str, Any] = {"limits": limits_of(said, before)}
        for name in ("models", "tags"):
            if name in said:
                fields[name] = tuple(dict.fromkeys(said[name] or ()))
        if "metadata" in said:
            fields["metadata"] = said["metadata"] or {}
        if said.get("blocked") is not None:
            fields["blocked"] = said["blocked"]
        return fields


class LiteLLMOnly(Body):
    """Fields that LiteLLM has and this router has no use for: they pass while they say nothing."""

    access_group_ids: NotHonoured = None
    agent_id: NotHonoured = None
    aliases: NotHonoured = None
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
    model_max_budget: NotHonoured = None
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
    soft_budget: NotHonoured = None
    temp_budget_expiry: NotHonoured = None
    temp_budget_increase: NotHonoured = None
    tpm_limit_type: NotHonoured = None


def limits_of(said: Mapping[str, Any], before: Limits = _NONE) -> Limits:
    """Return the limits that `said` (LiteLLM's names) gives; what it does not name stays as `before`."""
    budget = said.get("max_budget")
    return Limits(
        max_budget=(None if budget is None else nano(budget)) if "max_budget" in said else before.max_budget,
        budget_duration=said.get("budget_duration", before.budget_duration),
        rpm=said.get("rpm_limit", before.rpm),
        tpm=said.get("tpm_limit", before.tpm),
        parallel=said.get("max_parallel_requests", before.parallel),
    )


def told_holder(holder: Key | Team, ledger: Ledger | None) -> dict[str, Any]:
    """Return what keys and teams have in common, by LiteLLM's names; `ledger` is the one of the period that runs."""
    limits = holder.limits
    return {
        "spend": dollars(ledger.spent) if ledger else 0.0,
        "reserved": dollars(ledger.committed - ledger.spent) if ledger else 0.0,
        "total_spend": dollars(ledger.total) if ledger else 0.0,
        "max_budget": None if limits.max_budget is None else dollars(limits.max_budget),
        "budget_duration": limits.budget_duration,
        "budget_reset_at": iso(ledger.period_ends if ledger else None),
        "rpm_limit": limits.rpm,
        "tpm_limit": limits.tpm,
        "max_parallel_requests": limits.parallel,
        "models": list(holder.models),
        "blocked": holder.blocked,
        "tags": list(holder.tags),
        "metadata": dict(holder.metadata),
        "created_at": iso(holder.created_at),
        "updated_at": iso(holder.updated_at),
    }


def nano(amount: float) -> int:
    """Return dollars in nano-dollars."""
    return int((Decimal(str(amount)) * NANO).to_integral_value())


def dollars(amount: int) -> float:
    """Return nano-dollars in dollars."""
    return amount / NANO


def iso(at: float | None) -> str | None:
    """Return epoch seconds as a time in ISO 8601, UTC."""
    return None if not at else datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
