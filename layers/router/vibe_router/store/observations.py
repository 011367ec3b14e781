"""The observations of deployments by all environments: quota and times to first token. Items of the StateTable.

    id                       attributes
    observed#<deployment>    windows, first_tokens, written_at, expires_at

An environment reads an item at most every ten seconds. All together write one at most every ten seconds: a write is
conditional on the age of the last one, and an environment that loses adds what it has seen to its next write.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from vibe_router.core.clock import Clock
from vibe_router.core.rows import read_number, read_text, read_time
from vibe_router.routing.order import NOTHING, Observed
from vibe_router.routing.quota import QuotaWindow
from vibe_router.store.circuit_breaker import (
    AWS_ERRORS,
    CallMode,
    CircuitBreaker,
    Spawn,
    error_code,
    run_in_background,
)
from vibe_router.store.dynamodb import DynamoDB, Value, from_item, to_item

__all__ = ["ObservationStore"]

_PREFIX = "observed#"
_INTERVAL = 10.0  # seconds between two reads, and two writes, of one item
_BATCH = 100
_MOST_TIMES = 50  # of first tokens, in an item
_KEEP_SECONDS = 8 * 86_400  # longer than the longest window


class ObservationStore:
    """Reads and writes observations. Never raises: without the table there is what this environment has observed.

    `spawn` runs work in the background. `service` is the breaker of DynamoDB as a whole.
    """

    def __init__(
        self,
        client: DynamoDB,
        table: str,
        clock: Clock,
        *,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._spawn = spawn
        self._breaker = CircuitBreaker("the table of observations", clock, service=service)
        self._cache: dict[str, Observed] = {}
        self._read_at: dict[str, float] = {}
        self._tried_at: dict[str, float] = {}  # the last write
        self._new: dict[str, Observed] = {}  # not written yet

    def read(self, deployments: Iterable[str]) -> dict[str, Observed]:
        """Return the observations by deployment."""
        now = self._clock.now()
        ids = list(dict.fromkeys(deployments))
        stale = [each for each in ids if not 0 <= now - self._read_at.get(each, 0.0) < _INTERVAL]
        if stale and self._breaker.next_call() is not CallMode.SKIP:
            try:
                for start in range(0, len(stale), _BATCH):
                    self._refresh(stale[start : start + _BATCH])
                self._breaker.record_success()
            except AWS_ERRORS as error:
                self._breaker.record_failure(error)
        return {each: _merged(self._cache.get(each, NOTHING), self._new.get(each, NOTHING)) for each in ids}

    def record(
        self,
        deployment: str,
        windows: Sequence[QuotaWindow] = (),
        first_tokens: Sequence[tuple[float, float]] = (),
        /,
    ) -> None:
        """Add what was observed of a deployment, and write it if the last write is ten seconds ago."""
        now = self._clock.now()
        seen = Observed(tuple(windows), tuple(first_tokens))
        new = self._new[deployment] = _merged(self._new.get(deployment, NOTHING), seen)
        written_at = max(self._cache.get(deployment, NOTHING).written_at, self._tried_at.get(deployment, 0.0))
        if not 0 <= now - written_at < _INTERVAL:
            observed = _merged(self._cache.get(deployment, NOTHING), new)
            self._breaker.run(lambda: self._write(deployment, observed, now), self._spawn)

    def _write(self, deployment: str, observed: Observed, now: float) -> None:
        self._tried_at[deployment] = now
        windows: list[Value] = [
            {"name": each.name, "used": each.used, "resets_at": each.resets_at} for each in observed.windows
        ]
        item = to_item(
            {
                "id": _PREFIX + deployment,
                "windows": windows,
                "first_tokens": [list(each) for each in observed.first_tokens],
                "written_at": now,
                "expires_at": int(now) + _KEEP_SECONDS,
            }
        )
        try:
            self._client.put_item(
                TableName=self._table,
                Item=item,
                ConditionExpression="attribute_not_exists(written_at) OR written_at <= :before",
                ExpressionAttributeValues=to_item({":before": now - _INTERVAL}),
            )
        except AWS_ERRORS as error:
            if error_code(error) == "ConditionalCheckFailedException":  # another environment has just written
                self._breaker.record_success()
            else:
                self._breaker.record_failure(error)
            return
        self._breaker.record_success()
        self._new.pop(deployment, None)
        self._cache[deployment] = Observed(observed.windows, observed.first_tokens, now)
        self._read_at[deployment] = now

    def _refresh(self, deployments: Sequence[str]) -> None:
        keys = [to_item({"id": _PREFIX + each}) for each in deployments]
        response = self._client.batch_get_item(RequestItems={self._table: {"Keys": keys}})
        found = {item["id"]["S"]: item for item in response.get("Responses", {}).get(self._table, ())}
        for each in deployments:
            item = found.get(_PREFIX + each)
            self._cache[each] = _read(from_item(item)) if item else NOTHING
            self._read_at[each] = self._clock.now()


def _merged(old: Observed, new: Observed) -> Observed:
    """Return both: the newer quota, and the latest times."""
    times = sorted({*old.first_tokens, *new.first_tokens})[-_MOST_TIMES:]
    return Observed(new.windows or old.windows, tuple(times), max(old.written_at, new.written_at))


def _read(row: Mapping[str, Any]) -> Observed:
    """Return a row as observations; nothing for a malformed one, which the next write replaces."""
    try:
        windows = tuple(
            QuotaWindow(
                read_text(each, "name") or "",
                read_number(each, "used", most=1) or 0.0,
                read_time(each, "resets_at") or 0.0,
            )
            for each in row.get("windows") or ()
        )
        times = tuple((float(at), float(seconds)) for at, seconds in row.get("first_tokens") or ())
        return Observed(windows, times[-_MOST_TIMES:], read_time(row, "written_at") or 0.0)
    except (ValueError, TypeError, AttributeError):
        return NOTHING
