"""One request as it is recorded: in its ROUTING DECISION line and in its row of the UsageTable.

Each field of `Record` is declared once, with the way it is spelled in line and row. Everything that reads, writes or
renders a request derives from that declaration. Line and row hold the same, so that a lost row can be rebuilt from the
line. Pure. Money is in nano-dollars inside and in the row, and in dollars in the line and for people; times are epoch
seconds inside and ISO 8601 elsewhere.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields
from operator import attrgetter
from typing import Any

from vibe_router.core.clock import parse_iso, to_iso
from vibe_router.core.histogram import FIRST_TOKEN, TOTAL_TIME
from vibe_router.core.price import NANO, as_dollars
from vibe_router.core.rows import LARGEST, LATEST
from vibe_router.core.usage import Usage

__all__ = [
    "ALWAYS_LOGGED",
    "COUNTERS",
    "DAY_SHARDS",
    "DECISION",
    "HISTOGRAM_COUNTERS",
    "KINDS",
    "MASTER_ID",
    "Contribution",
    "Kind",
    "Record",
    "day_partitions",
    "is_counted_later",
    "row_id",
]

DECISION = "ROUTING DECISION"
MASTER_ID = "master"  # the key id of requests with the master key

Kind = str
"""A kind of totals: one of KINDS."""
KINDS = ("all", "key", "team", "model", "deployment", "user", "tag")

_ROW_PREFIX = "request#"
_CHOSEN_BY_CALLER = "manual_selection"
DAY_SHARDS = 8  # of the index by day: a partition takes 1,000 write units a second, a row takes one or two
_MAX_ITEMS = 32  # of a list in a row, which is billed by the KiB, and three times: itself and two indexes

_Convert = Callable[[Any], Any]


def row_id(request_id: str) -> str:
    """Return the id of the row of a request."""
    return _ROW_PREFIX + request_id


def day_partitions(day: str) -> list[str]:
    """Return the partitions of the index by day that have rows of `day`: its shards, and that of earlier releases."""
    return [day, *(f"{day}#{shard}" for shard in range(DAY_SHARDS))]


def is_counted_later(row: Mapping[str, Any]) -> bool:
    """Return whether the aggregator counts a row. Earlier releases counted their rows themselves, and had no shards."""
    return "#" in str(row.get("day"))


def _text(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise ValueError("not a text")
    return value


def _integer(value: object) -> int | None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or abs(value) > LARGEST):
        raise ValueError("not a whole number in range")
    return value


def _number(value: object) -> float | None:
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= LATEST
    ):
        raise ValueError("not a number in range")
    return value


def _nano_dollars(dollars: object) -> int | None:
    number = _number(dollars)
    return None if number is None else round(number * NANO)


def _count(value: object) -> int:
    return _integer(value) or 0


def _counts(value: Any) -> Mapping[str, int] | None:
    return {str(name): _count(each) for name, each in value.items()} if value else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in value or ())


def _mappings(value: Any) -> tuple[dict[str, Any], ...]:
    return tuple(dict(each) for each in value or ())


def _as_list(items: tuple[Any, ...]) -> list[Any]:
    return [dict(each) if isinstance(each, Mapping) else each for each in items]


def _bounded(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the first and the last items of a list that is too long for a row."""
    return items if len(items) <= _MAX_ITEMS else items[: _MAX_ITEMS // 2] + items[-_MAX_ITEMS // 2 :]


@dataclass(frozen=True, slots=True)
class _Spelling:
    """A field's name in line or row, and how its value is read back and, if not as it is, written."""

    name: str
    write: _Convert | None
    read: _Convert


@dataclass(frozen=True, slots=True)
class _Column:
    """A field outside `Record`.

    `always_logged`: the line holds it even without a value (Powertools drops null). `line_only`: the row does not have
    it. `is_internal`: people and programs do not see it.
    """

    path: str  # in `Record`
    line: _Spelling
    row: _Spelling
    required: bool = False
    always_logged: bool = False
    omits_zero: bool = False  # in the row
    line_only: bool = False
    is_internal: bool = False


def _field(read: _Convert, default: Any = MISSING, **spelling: Any) -> Any:
    """Declare a field with what reads its value.

    `spelling` is what differs from the field's own name and value: `line` and `row` are names, `to_line`, `from_line`,
    `to_row` and `from_row` converters. The others are options of `_Column`.
    """
    metadata = {"read": read, **spelling}
    return field(metadata=metadata) if default is MISSING else field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Contribution:
    """The amounts that one request adds to one total: `name` is the owner's, None for the total of all requests."""

    kind: Kind
    name: str | None
    at: str  # the total's hour, or its day and name
    counters: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """One request, in the order of its log line.

    `key` is the id of the caller's key, None without a valid key; such a request has no row. `resolved`: whether
    `model` is one of the router's own and not an arbitrary text. `cost` is in nano-dollars, None if price or tokens are
    unknown; a request that reached no provider costs 0. Key and team are charged `cost`, or `charged` where that
    differs. `hold` is the id of what was reserved in their ledgers, and in those of budgets for models (`model_holds`:
    owner and model). The aggregator charges those of "key", "team" and budgets for models that are in `charge_later`,
    whose ledgers have no such hold.
    """

    request_id: str = _field(
        _text, row="id", to_row=row_id, from_row=lambda it: it.removeprefix(_ROW_PREFIX), required=True
    )
    started: float = _field(parse_iso, row="at", to_line=to_iso, to_row=to_iso, required=True)
    key: str | None = _field(_text, None, always_logged=True, required=True)
    key_alias: str | None = _field(_text, None, always_logged=True)
    team: str | None = _field(_text, None, always_logged=True)
    user: str | None = _field(_text, None, always_logged=True)
    tags: tuple[str, ...] = _field(_texts, ())
    model: str | None = _field(_text, None, line="selected_model", always_logged=True)
    requested_model: str | None = _field(_text, None)  # the alias that was sent, if `model` was resolved from one
    resolved: bool = _field(bool, False)
    ladder_model: str | None = _field(_text, None)  # the model that a budget ladder has `model` serve for
    ladder_from: float | None = _field(_number, None)  # the share of the budget from which on it does
    ladder_budget: str | None = _field(_text, None)  # whose budget that is: key or team
    soft_budgets: tuple[str, ...] = _field(_texts, ())  # soft budgets that were spent before: key, team
    attempts: tuple[Mapping[str, Any], ...] = _field(_mappings, ())
    cooling: tuple[str, ...] = _field(_texts, ())
    unfit: tuple[Mapping[str, Any], ...] = _field(_mappings, ())
    deployment: str | None = _field(_text, None, always_logged=True)
    provider_model: str | None = _field(_text, None)
    fallbacks: int = _field(_count, 0)
    status: int = _field(_count, 200, required=True)
    error: str | None = _field(_text, None, always_logged=True)
    stream: bool = _field(bool, False)
    archived: bool = _field(bool, False)  # request and answer are in the archive, if nothing went wrong
    cache_hit: bool = _field(bool, False)  # a stored answer was replayed, whose tokens these are
    format: str | None = _field(_text, None)
    provider_format: str | None = _field(_text, None)
    parts: tuple[Mapping[str, Any], ...] = _field(_mappings, ())  # of a continued answer: who wrote what
    dropped_params: tuple[str, ...] = _field(_texts, ())  # parameters and beta flags that were not sent
    reasoning_left_out: int = _field(_count, 0, omits_zero=True)  # proofs of reasoning not sent to the deployment
    guard_findings: Mapping[str, int] | None = _field(_counts, None)  # of guards, by kind; never what was found
    usage: Usage = field(default_factory=Usage)
    usage_flag: str | None = _field(_text, None)  # why the tokens are not those reported (pipeline.accounting)
    cost: int | None = _field(_integer, None, to_line=as_dollars, from_line=_nano_dollars, always_logged=True)
    charged: int | None = _field(_integer, None, to_line=as_dollars, from_line=_nano_dollars, is_internal=True)
    hold: str | None = _field(_text, None, line_only=True, is_internal=True)
    model_holds: tuple[str, ...] = _field(_texts, (), line_only=True, is_internal=True)  # "key#auto-codex"
    charge_later: tuple[str, ...] = _field(_texts, (), is_internal=True)
    ttft_ms: float | None = _field(_number, None, always_logged=True)
    # Of a model that is routed by complexity (routing.complexity.decision); None for one that the caller chose.
    routing_mode: str | None = _field(
        _text,
        None,
        to_line=lambda mode: mode or _CHOSEN_BY_CALLER,
        from_line=lambda mode: None if mode == _CHOSEN_BY_CALLER else _text(mode),
        always_logged=True,
    )
    routing_score: float | None = _field(_number, None)
    routing_would: str | None = _field(_text, None)  # the choice by score alone: mini or standard
    routing_choice: str | None = _field(_text, None)
    routing_arm: str | None = _field(_text, None)  # of a request that both choices were open for
    routing_strata: tuple[str, ...] = _field(_texts, ())
    routing_model: str | None = _field(_text, None)  # the version of the complexity model
    routing_stage: str | None = _field(_text, None)  # the rollout's number and share
    routing_features: str | None = _field(_text, None)  # buckets, one character each
    feedback: int | None = _field(_integer, None)  # of the caller: 1 or -1; written later
    judged: float | None = _field(_number, None)  # mini's score against standard's in a dual run; written later
    total_ms: float = _field(lambda it: _number(it) or 0.0, 0.0)

    @property
    def at(self) -> str:
        """The start of the request, as rows are sorted: 2026-11-24T13:05:00.250Z."""
        return to_iso(self.started)

    @property
    def day(self) -> str:
        """The day of the start in UTC: 2026-11-24."""
        return self.at[:10]

    @property
    def failed(self) -> bool:
        """Return whether the caller got an error, or an answer that broke off."""
        return self.status >= 400 or self.error is not None

    @property
    def failover(self) -> bool:
        """Return whether another deployment than the first of the chain served."""
        return self.deployment is not None and self.fallbacks > 0

    @property
    def charge(self) -> int:
        """The amount that its key and team are charged, in nano-dollars."""
        return (self.cost or 0) if self.charged is None else self.charged

    def as_line(self) -> dict[str, Any]:
        """Return the fields of the ROUTING DECISION line."""
        return {
            each.line.name: each.line.write(value) if each.line.write else value
            for each, value in zip(_COLUMNS, _values_of(self), strict=True)
        }

    def as_row(self, days: int) -> dict[str, Any]:
        """Return the row, which expires after `days`; values that are None, empty or false are left out."""
        shard = zlib.crc32(self.request_id.encode(errors="replace")) % DAY_SHARDS
        row: dict[str, Any] = {"day": f"{self.day}#{shard}", "expires_at": int(self.started) + days * 86_400}
        if self.failover:
            row["failover"] = True
        for each, value in zip(_COLUMNS, _values_of(self), strict=True):
            if not each.line_only and (value or (value == 0 and value is not False and not each.omits_zero)):
                row[each.row.name] = each.row.write(value) if each.row.write else value
        return row

    def as_json(self) -> dict[str, Any]:
        """Return the request in plain values for people and programs, with the cost in dollars."""
        line = self.as_line()
        hidden = ("request_id", "resolved")
        own = {
            each.row.name: line[each.line.name] for each in _COLUMNS if each.path not in hidden and not each.is_internal
        }
        return {"request_id": self.request_id, **own, "day": self.day, "failover": self.failover}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Record":
        """Read a row of `as_row`. Raises ValueError for a malformed one."""
        try:
            return cls._read(row, attrgetter("row"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a malformed row of usage ({type(error).__name__})") from error

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> "Record | None":
        """Read a ROUTING DECISION line; None for another line and for a request without a valid key.

        Raises ValueError for a malformed one.
        """
        if line.get("message", DECISION) != DECISION or line.get("key") is None:
            return None
        try:
            return cls._read(line, attrgetter("line"))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"a malformed decision ({type(error).__name__})") from error

    @classmethod
    def _read(cls, values: Mapping[str, Any], spelling_in: Callable[[_Column], _Spelling]) -> "Record":
        own: dict[str, Any] = {}
        usage: dict[str, Any] = {}
        for column in _COLUMNS:
            spelling = spelling_in(column)
            value = values.get(spelling.name)
            if value is None and column.required:
                raise KeyError(spelling.name)
            group, _, name = column.path.rpartition(".")
            (usage if group else own)[name] = spelling.read(value)
        return cls(**own, usage=Usage(**usage))

    def contributions(self) -> list[Contribution]:
        """Return what the request adds to the totals: of all by the hour, of key, team and others by the day.

        A request with several tags is in the total of each.
        """
        counters = self.counters()
        found = [Contribution("all", None, self.at[:13], counters)]
        owners = {
            "key": self.key,
            "team": self.team,
            "model": self.model if self.resolved else None,
            "deployment": self.deployment,
            "user": self.user,
        }
        named = [*owners.items(), *(("tag", tag) for tag in dict.fromkeys(self.tags))]
        found += (Contribution(kind, name, f"{self.day}#{name}", counters) for kind, name in named if name)
        return found

    def counters(self) -> dict[str, int]:
        """Return the nonzero amounts that the request adds to each of its totals.

        Its times are in the histograms if they are those of a deployment: a stored answer and a rejection take no
        time. The total time is that of an answer that is complete.
        """
        counters = {name: value for name, count in _COUNTERS.items() if (value := int(count(self) or 0))}
        if self.ttft_ms is not None and not self.cache_hit:
            counters |= FIRST_TOKEN.counters_of(self.ttft_ms)
        if self.deployment and not self.failed:
            counters |= TOTAL_TIME.counters_of(self.total_ms)
        return {name: value for name, value in counters.items() if value}


_COUNTERS: Mapping[str, Callable[[Record], int | None]] = {
    "requests": lambda _: 1,
    "errors": lambda record: record.failed,
    "failovers": lambda record: record.failover,
    "prompt_tokens": lambda record: record.usage.prompt_tokens,
    "completion_tokens": lambda record: record.usage.completion_tokens,
    "cache_hits": lambda record: record.cache_hit,
    "cached_tokens": lambda record: record.usage.cached_tokens,
    "reasoning_tokens": lambda record: record.usage.reasoning_tokens,
    "cost": lambda record: record.cost,
    "unpriced": lambda record: record.cost is None,
    "ttft_ms_sum": lambda record: None if record.ttft_ms is None else round(record.ttft_ms),
    "ttft_count": lambda record: record.ttft_ms is not None,
}
COUNTERS = tuple(_COUNTERS)
HISTOGRAM_COUNTERS = (*FIRST_TOKEN.names, *TOTAL_TIME.names)
"""The counters of the histograms, which totals of earlier releases do not have."""


_OPTIONS = ("required", "always_logged", "omits_zero", "line_only", "is_internal")


def _columns(owner: type, prefix: str = "") -> Iterator[_Column]:
    """Yield the columns of a dataclass, the tokens of `usage` one by one."""
    for each in fields(owner):
        if each.name == "usage":
            yield from _columns(Usage, "usage.")
            continue
        name, given = each.name, {"read": _integer, "always_logged": each.name in COUNTERS, **each.metadata}
        as_list, bounded = (_as_list, _bounded) if each.default == () else (None, None)
        read = given["read"]
        line = _Spelling(given.get("line", name), given.get("to_line", as_list), given.get("from_line", read))
        row = _Spelling(given.get("row", name), given.get("to_row", bounded), given.get("from_row", read))
        options = {option: given.get(option, False) for option in _OPTIONS}
        yield _Column(prefix + name, line, row, **options)


_COLUMNS = tuple(_columns(Record))
_values_of = attrgetter(*(each.path for each in _COLUMNS))
ALWAYS_LOGGED = tuple(each.line.name for each in _COLUMNS if each.always_logged)
