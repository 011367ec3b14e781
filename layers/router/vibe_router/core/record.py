"""One request, as it is remembered: what its ROUTING DECISION line says, and what its row in the UsageTable says.

Both hold all of it, so that a row which could not be written can be made from the line. Pure; money is in nano-dollars
inside and in dollars in the line, times are epoch seconds inside and ISO 8601 in both.
"""

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

from vibe_router.core.price import NANO, as_dollars
from vibe_router.core.usage import Usage

__all__ = [
    "COUNTERS",
    "DECISION",
    "MASTER_ID",
    "Kind",
    "Record",
    "Share",
    "bounded_tags",
    "iso",
    "of_line",
    "row_id",
    "seconds",
    "tags_in",
    "text",
]

DECISION = "ROUTING DECISION"
MASTER_ID = "master"  # what the master key's requests are filed under
COUNTERS = (
    "requests",
    "errors",
    "failovers",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
    "ttft_ms_sum",
    "ttft_count",
)

Kind = str
"""What is added up: `all`, `key`, `team`, `model` or `deployment`."""

_SHARDS = 8  # of every total: transactions that touch the same item at once refuse each other
_TAG_HEADERS = ("x-vibe-tags", "x-litellm-tags")
_MOST_TAGS, _TAG_CHARACTERS = 20, 100
_MOST_ATTEMPTS = 32  # a row is billed by the KiB, and three times: itself and two indexes
_TEXT_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Share:
    """What one request adds to one total: `name` is whose, None for the total of all."""

    kind: Kind
    name: str | None
    at: str  # the total's hour or day, its name and its shard
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """One request. `key` is the id of the caller's key, None for a caller that nobody knows; such a one has no row.

    `resolved` says that `model` is one of the router's own, and not just anything that a caller wrote. `cost` is in
    nano-dollars, None where the price or the tokens are unknown; a request that reached no provider costs 0.
    """

    request_id: str
    started: float  # epoch seconds, to the millisecond
    key: str | None = None
    key_alias: str | None = None
    team: str | None = None
    user: str | None = None
    tags: tuple[str, ...] = ()
    model: str | None = None
    resolved: bool = False
    deployment: str | None = None
    provider_model: str | None = None
    format: str | None = None
    provider_format: str | None = None
    stream: bool = False
    status: int = 200
    error: str | None = None
    attempts: tuple[Mapping[str, Any], ...] = ()
    cooling: tuple[str, ...] = ()
    unfit: tuple[Mapping[str, Any], ...] = ()
    fallbacks: int = 0
    reasoning_left_out: int = 0  # proofs of earlier reasoning that the deployment was not sent
    usage: Usage = field(default_factory=Usage)
    cost: int | None = None
    ttft_ms: float | None = None
    total_ms: float = 0.0

    @property
    def at(self) -> str:
        """When it began, as rows are sorted: 2026-11-24T13:05:00.250Z."""
        return iso(self.started)

    @property
    def day(self) -> str:
        """The day on which it began, in UTC: 2026-11-24."""
        return self.at[:10]

    @property
    def failed(self) -> bool:
        """Whether the caller got an error, or an answer that broke off."""
        return self.status >= 400 or self.error is not None

    @property
    def failover(self) -> bool:
        """Whether another deployment served than the first one of the chain."""
        return self.deployment is not None and self.fallbacks > 0

    def as_line(self) -> dict[str, Any]:
        """Return the fields of its ROUTING DECISION line."""
        usage = {each.name: getattr(self.usage, each.name) for each in fields(Usage)}
        return {
            "request_id": self.request_id,
            "started": self.at,
            "key": self.key,
            "key_alias": self.key_alias,
            "team": self.team,
            "user": self.user,
            "tags": list(self.tags),
            "selected_model": self.model,
            "resolved": self.resolved,
            "routing_mode": "manual_selection",
            "attempts": [dict(attempt) for attempt in self.attempts],
            "cooling": list(self.cooling),
            "unfit": [dict(each) for each in self.unfit],
            "deployment": self.deployment,
            "provider_model": self.provider_model,
            "fallbacks": self.fallbacks,
            "status": self.status,
            "error": self.error,
            "stream": self.stream,
            "format": self.format,
            "provider_format": self.provider_format,
            "reasoning_left_out": self.reasoning_left_out,
            **usage,
            "cost": as_dollars(self.cost),
            "ttft_ms": self.ttft_ms,
            "total_ms": self.total_ms,
        }

    def as_row(self, days: int) -> dict[str, Any]:
        """Return its row, which TTL takes after `days`; what is None, empty or false is left out."""
        attempts: Sequence[Mapping[str, Any]] = self.attempts
        if len(attempts) > _MOST_ATTEMPTS:  # how it began and how it ended
            attempts = (*attempts[: _MOST_ATTEMPTS // 2], *attempts[-_MOST_ATTEMPTS // 2 :])
        usage = {each.name: getattr(self.usage, each.name) for each in fields(Usage)}
        row: dict[str, Any] = {
            "id": row_id(self.request_id),
            "at": self.at,
            "day": self.day,
            "key": self.key,
            "key_alias": self.key_alias,
            "team": self.team,
            "user": self.user,
            "tags": self.tags,
            "model": self.model,
            "resolved": self.resolved,
            "deployment": self.deployment,
            "provider_model": self.provider_model,
            "format": self.format,
            "provider_format": self.provider_format,
            "stream": self.stream,
            "status": self.status,
            "error": self.error,
            "attempts": attempts,
            "cooling": self.cooling[:_MOST_ATTEMPTS],
            "unfit": self.unfit[:_MOST_ATTEMPTS],
            "fallbacks": self.fallbacks,
            "reasoning_left_out": self.reasoning_left_out or None,
            "failover": self.failover,
            **usage,
            "cost": self.cost,
            "ttft_ms": self.ttft_ms,
            "total_ms": self.total_ms,
            "expires_at": int(self.started) + days * 86_400,
        }
        return {name: value for name, value in row.items() if value is not None and value is not False and value != ()}

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> "Record":
        """Read what `as_row` wrote. Raises ValueError for a row that can't be meant."""
        try:
            return cls(
                request_id=str(row["id"]).removeprefix(_ROW),
                started=seconds(row["at"]),
                model=_text(row.get("model")),
                **_common(row),
                cost=_whole(row.get("cost")),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a row of usage that can't be read ({type(error).__name__})") from error

    def shares(self) -> list[Share]:
        """Return what it adds to the totals: to everybody's by the hour, to its key's and others' by the day."""
        hour, shard = self.at[:13], zlib.crc32(self.request_id.encode(errors="replace")) % _SHARDS
        counters = self.counters()
        shares = [Share("all", None, f"{hour}#{shard}", counters)]
        of = {
            "key": self.key,
            "team": self.team,
            "model": self.model if self.resolved else None,
            "deployment": self.deployment,
        }
        for kind, name in of.items():
            if name:
                shares.append(Share(kind, name, f"{self.day}#{name}#{shard}", counters))
        return shares

    def counters(self) -> dict[str, int]:
        """Return what it adds to each of its totals; what it adds nothing to is left out."""
        counters = {
            "requests": 1,
            "errors": int(self.failed),
            "failovers": int(self.failover),
            "prompt_tokens": self.usage.prompt_tokens or 0,
            "completion_tokens": self.usage.completion_tokens or 0,
            "cached_tokens": self.usage.cached_tokens or 0,
            "reasoning_tokens": self.usage.reasoning_tokens or 0,
            "cost": self.cost or 0,
            "unpriced": int(self.cost is None),
            "ttft_ms_sum": 0 if self.ttft_ms is None else round(self.ttft_ms),
            "ttft_count": int(self.ttft_ms is not None),
        }
        return {name: value for name, value in counters.items() if value}


_ROW = "request#"


def row_id(request_id: str) -> str:
    """Return the id of the row of a request."""
    return _ROW + request_id


def of_line(line: Mapping[str, Any]) -> Record | None:
    """Read the fields of a ROUTING DECISION line; None for one that is of nobody known, or of no request at all.

    Raises ValueError for one that can't be meant.
    """
    if line.get("message", DECISION) != DECISION or line.get("key") is None:
        return None
    dollars = line.get("cost")
    if dollars is not None and (isinstance(dollars, bool) or not isinstance(dollars, int | float)):
        raise ValueError("a decision whose cost is no number")
    try:
        return Record(
            request_id=str(line["request_id"]),
            started=seconds(line["started"]),
            model=_text(line.get("selected_model")),
            **_common(line),
            cost=None if dollars is None else round(dollars * NANO),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"a decision that can't be read ({type(error).__name__})") from error


def bounded_tags(*groups: Iterable[str]) -> tuple[str, ...]:
    """Return tags of several origins, each once and without blanks around it: the first ones, and a long one cut.

    What can't be written into a table (half a surrogate pair) is replaced.
    """
    found: dict[str, None] = {}
    for tag in (tag for group in groups for tag in group):
        if (kept := text(tag.strip(), _TAG_CHARACTERS)) and len(found) < _MOST_TAGS:
            found[kept] = None
    return tuple(found)


def tags_in(headers: Mapping[str, str]) -> tuple[str, ...]:
    """Return the tags that a caller gives a request: those of `x-vibe-tags` or `x-litellm-tags`, by commas."""
    return bounded_tags(*(headers.get(name, "").split(",") for name in _TAG_HEADERS))


def text(value: str, most: int = _TEXT_CHARACTERS) -> str:
    """Return `value` cut to `most` characters, without the lone surrogates that neither log nor table can hold."""
    return value[:most].encode(errors="replace").decode()


def iso(moment: float) -> str:
    """Return epoch seconds as 2026-11-24T13:05:00.250Z, to the nearest millisecond."""
    whole, milliseconds = divmod(round(moment * 1000), 1000)
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03d}Z"


def seconds(moment: str) -> float:
    """Return the epoch seconds of what `iso` wrote, or of any ISO 8601 time with a zone. Raises ValueError."""
    at = datetime.fromisoformat(moment)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return round(at.timestamp(), 3)


def _common(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read what line and row call by the same name."""
    return {
        "key": _text(values["key"]),
        "key_alias": _text(values.get("key_alias")),
        "team": _text(values.get("team")),
        "user": _text(values.get("user")),
        "tags": tuple(str(tag) for tag in values.get("tags") or ()),
        "resolved": bool(values.get("resolved")),
        "deployment": _text(values.get("deployment")),
        "provider_model": _text(values.get("provider_model")),
        "format": _text(values.get("format")),
        "provider_format": _text(values.get("provider_format")),
        "stream": bool(values.get("stream")),
        "status": int(values["status"]),
        "error": _text(values.get("error")),
        "attempts": tuple(dict(attempt) for attempt in values.get("attempts") or ()),
        "cooling": tuple(str(each) for each in values.get("cooling") or ()),
        "unfit": tuple(dict(each) for each in values.get("unfit") or ()),
        "fallbacks": int(values.get("fallbacks") or 0),
        "reasoning_left_out": int(values.get("reasoning_left_out") or 0),
        "usage": Usage(**{each.name: _whole(values.get(each.name)) for each in fields(Usage)}),
        "ttft_ms": _number(values.get("ttft_ms")),
        "total_ms": _number(values.get("total_ms")) or 0.0,
    }


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _whole(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("not a whole number")
    return value


def _number(value: object) -> float | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise ValueError("not a number")
    return value
