"""Usage over time: the steps of a range, and series of totals by model, key, team and others.

    step      totals                 rows (`keys`, or an hour of one name)
    hour      of all requests        3 days
    day       400 days               90 days, which is how long rows are stored
    week      400 days, from Monday  90 days

Totals of names are stored by the day. Hours of a name, and what some keys used by model, deployment or tag, are added
up from the rows of the requests, so they are bounded more tightly.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from aws_lambda_powertools.event_handler import Response
from aws_lambda_powertools.event_handler.openapi.params import Query

from admin.call import Call
from admin.series_csv import to_csv
from admin.usage_logic import day_of, summed, today
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.histogram import BOUNDS_MS
from vibe_router.store import usage
from vibe_router.store.usage import TooMuchError, Total, UsageReader

__all__ = ["ABOUT", "By", "Csv", "Day", "Most", "Range", "Step", "StepOrAuto", "read_range", "respond", "series_of"]

By = Literal["all", "model", "deployment", "key", "team", "user", "tag"]
Step = Literal["hour", "day", "week"]
StepOrAuto = Literal["auto", "hour", "day", "week"]

Day = Annotated[str | None, Query(pattern=r"^\d{4}-\d\d-\d\d$", description="A day in UTC, which is in the range")]
Most = Annotated[int, Query(ge=1, le=1000, description="Names; those with fewer requests are added up as one")]
Csv = Annotated[bool, Query(description="Answer with CSV, a line for each point")]
ABOUT = (
    "`times`, the steps of the range; `totals` and `points` of all requests, and in `series` those of each name. "
    "A point has `at` and counters; steps without requests have none. p50 and p95 are estimated from buckets up to "
    "`bounds_ms`. With `csv=true` a line for each point."
)

_DAYS = 7  # of a range without dates
_MOST_DAYS = 400
_MOST_DAYS_OF_HOURS, _MOST_DAYS_OF_HOURS_BY_NAME = 31, 3
_MOST_DAYS_BY_DAY = 100  # of a step that is chosen here: more points than that do not fit a chart
_OWNERS = ("key", "user", "team")  # of a key: known without its requests


@dataclass(frozen=True, slots=True)
class Range:
    """A range of days in UTC, both inclusive, in steps. `is_chosen_here`: whether the caller left the step open."""

    first: date
    last: date
    step: Step
    is_chosen_here: bool = False

    @property
    def days(self) -> list[date]:
        """Its days."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def times(self) -> list[str]:
        """Its steps: hours (2026-11-24T13), days, or the Mondays of its weeks."""
        if self.step == "hour":
            return [f"{day.isoformat()}T{hour:02}" for day in self.days for hour in range(24)]
        return list(dict.fromkeys(self._step_of_day().values()))

    def step_of(self) -> Callable[[str], str | None]:
        """Return a function of a total's time, which returns its step; None outside the range."""
        if self.step == "hour":
            times = set(self.times)
            return lambda at: at if at in times else None
        steps = self._step_of_day()
        return lambda at: steps.get(at[:10])

    def _step_of_day(self) -> dict[str, str]:
        back = (lambda day: day.weekday()) if self.step == "week" else (lambda _: 0)
        return {day.isoformat(): (day - timedelta(days=back(day))).isoformat() for day in self.days}


def read_range(
    call: Call, start: str | None, end: str | None, step: StepOrAuto, by: By, *, has_keys: bool = False
) -> Range:
    """Read a range; without dates it is the last week. Raises ApiError (400), naming the field."""
    last = day_of("end_date", end) if end else today(call)
    first = day_of("start_date", start) if start else date.fromordinal(max(last.toordinal() - _DAYS + 1, 1))
    days = (last - first).days + 1
    if days < 1:
        raise bad_request("start_date: is after end_date.", param="start_date")
    if days > _MOST_DAYS:
        raise bad_request(f"start_date: a range may have {_MOST_DAYS} days at most.", param="start_date")
    by_name = by != "all" or has_keys
    is_open = step == "auto"
    if step == "auto":
        most = 1 if by_name else _MOST_DAYS_OF_HOURS_BY_NAME
        step = "hour" if days <= most else "day" if days <= _MOST_DAYS_BY_DAY else "week"
    most = _MOST_DAYS_OF_HOURS_BY_NAME if by_name else _MOST_DAYS_OF_HOURS
    if step == "hour" and days > most:
        what = f"by={by}" if by != "all" else "these keys"
        which = f" with {what}" if by_name else ""
        raise bad_request(f"step: hours{which} are for ranges of up to {most} days; choose day.", param="step")
    return Range(first, last, step, is_open)


def series_of(
    call: Call,
    by: By,
    wanted: Range,
    *,
    keys: Mapping[str, Mapping[str, str | None]] | None = None,
    names: Mapping[str, Mapping[str, Any]] | None = None,
    only: str | None = None,
    most: int = 20,
) -> dict[str, Any]:
    """Return usage over time by `by`, of all requests or of `keys`.

    `keys` are the ids of keys, with the present user and team of each. `names` are display fields by name. Of more than
    `most` names, those with the fewest requests are added up as one without a name. `only` is a name. Raises ApiError
    (400).
    """
    try:
        every, named = _totals(call.environment.usage, by, wanted, keys)
    except TooMuchError:
        if wanted.step == "hour" and wanted.is_chosen_here:
            by_day = replace(wanted, step="day")
            return series_of(call, by, by_day, keys=keys, names=names, only=only, most=most)
        raise ApiError(400, _too_much(by, wanted, keys), code="range_too_large", param="start_date") from None
    if only is not None:
        named = [total for total in named if total.name == only]
    return {
        "by": by,
        "step": wanted.step,
        "start_date": wanted.first.isoformat(),
        "end_date": wanted.last.isoformat(),
        "times": wanted.times,
        "bounds_ms": list(BOUNDS_MS),
        "totals": summed(every),
        "points": _points(every, wanted),
        "series": _series(named, wanted, names or {}, most),
    }


def respond(answer: dict[str, Any], *, csv: bool) -> Response[Any]:
    """Return the response with an answer of `series_of`."""
    if not csv:
        return Response(200, "application/json", answer)
    name = f"usage-{answer['by']}-{answer['start_date']}-{answer['end_date']}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"', "x-content-type-options": "nosniff"}
    return Response(200, "text/csv; charset=utf-8", to_csv(answer), headers=headers)


def _totals(
    reader: UsageReader, by: By, wanted: Range, keys: Mapping[str, Mapping[str, str | None]] | None
) -> tuple[list[Total], list[Total]]:
    """Return the totals of all requests and those by name, which are in the range."""
    step_of = wanted.step_of()
    is_hourly = wanted.step == "hour"
    if keys is None and not (is_hourly and by != "all"):
        every = reader.totals("all", wanted.first, wanted.last, bounded=True)
        named = reader.totals(by, wanted.first, wanted.last, bounded=True) if by != "all" else []
    elif keys is not None and not is_hourly and by in ("all", *_OWNERS):
        found = reader.totals("key", wanted.first, wanted.last, bounded=True)
        every = [total for total in found if total.name in keys]
        owners = {key: key if by == "key" else fields.get(by) for key, fields in keys.items()}
        named = [Total(each.at, name, each.counters) for each in every if (name := owners[each.name])]
    else:
        every, named = _from_rows(reader, by, wanted, None if keys is None else list(keys))
    return [each for each in every if step_of(each.at)], [each for each in named if step_of(each.at)]


def _from_rows(
    reader: UsageReader, by: By, wanted: Range, keys: Collection[str] | None
) -> tuple[list[Total], list[Total]]:
    # The totals tell at once whether there are too many rows.
    counted = reader.totals("all" if keys is None else "key", wanted.first, wanted.last, bounded=True)
    if sum(total["requests"] for total in counted if keys is None or total.name in keys) > usage.MAX_ROWS:
        raise TooMuchError
    every: list[Total] = []
    named: list[Total] = []
    for record in reader.records(wanted.first, wanted.last, keys):
        at = record.at[:13]
        every.append(Total(at, "", record.counters()))
        named += (
            Total(at, each.name, each.counters) for each in record.contributions() if each.kind == by and each.name
        )
    return every, named


def _too_much(by: By, wanted: Range, keys: Collection[str] | None) -> str:
    text = "start_date: the range has too much usage to add up in one call; send fewer days"
    if wanted.step == "hour" and (by != "all" or keys):
        return f"{text}, or step=day."
    return f"{text}, or by=key." if keys else f"{text}."


def _points(totals: Iterable[Total], wanted: Range) -> list[dict[str, Any]]:
    """Return the steps that have requests."""
    step_of = wanted.step_of()
    at: defaultdict[str, list[Total]] = defaultdict(list)
    for total in totals:
        if step := step_of(total.at):
            at[step].append(total)
    return [{"at": step, **summed(each)} for step, each in sorted(at.items())]


def _series(
    totals: Iterable[Total], wanted: Range, names: Mapping[str, Mapping[str, Any]], most: int
) -> list[dict[str, Any]]:
    """Return the series of the names, most requests first; the last one has no name if there are more than `most`."""
    of: defaultdict[str, list[Total]] = defaultdict(list)
    for total in totals:
        of[total.name].append(total)
    ranked = sorted(of.items(), key=lambda each: (-sum(total["requests"] for total in each[1]), each[0]))
    found = [{"name": name, **names.get(name, {}), **_one(each, wanted)} for name, each in ranked[:most]]
    if rest := ranked[most:]:
        others: Sequence[Total] = [total for _, each in rest for total in each]
        found.append({"name": None, "names": len(rest), **_one(others, wanted)})
    return found


def _one(totals: Sequence[Total], wanted: Range) -> dict[str, Any]:
    return {"totals": summed(totals), "points": _points(totals, wanted)}
