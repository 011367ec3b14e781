"""The RoutesTable: one row per provider and virtual model, and one for the defaults.

    kind      name        attributes, as in routes.yaml
    provider  ark         base_url, secret, formats …
    model     auto-chat   description, chain …
    alias     gpt-5*      model
    defaults  defaults    timeouts, retries …
    guard     secrets     find, places, action …
    alerts    alerts      receivers, budget …
    complexity auto       mode, share, strata, trees …: see store.complexity
    version   version     number: counts the writes of the routes; written_at: the last one (epoch seconds)

Rows may be edited by hand, so each is validated on every read. While a row is invalid, its last good version is served.

Every writer raises the version in the transaction of its change, on the condition that it is still the one it read.
Of two concurrent editors one wins, and the other gets RoutesChangedError.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, cast

from vibe_router.core.clock import Clock
from vibe_router.core.models import Catalogue
from vibe_router.routing.resolution import resolve
from vibe_router.routing.settings import (
    ALERTS,
    DEFAULTS,
    KINDS,
    SINGLE,
    AlertSettings,
    AliasSettings,
    DefaultSettings,
    GuardSettings,
    Kind,
    ModelSettings,
    Problem,
    ProviderSettings,
    RouteSettings,
    Row,
    RowKey,
    Rows,
    RowSettings,
    checked_base_url,
    read_row,
)
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.circuit_breaker import AWS_ERRORS, CallMode, CircuitBreaker, Spawn, error_code, run_in_background
from vibe_router.store.dynamodb import DynamoDB, Item, from_item, to_item

if TYPE_CHECKING:
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

__all__ = [
    "COMPLEXITY",
    "KINDS",
    "CatalogueCache",
    "RoutesChangedError",
    "RoutesSnapshot",
    "RoutesStore",
    "RoutesUnavailableError",
    "Row",
    "RowKey",
    "Rows",
]

_FRESH = 10.0  # seconds; a row edited in the table is live within this
_TRANSACTION = 100  # items per TransactWriteItems
_VERSION: RowKey = ("version", "version")
COMPLEXITY = "complexity"
"""The kind of rows that hold rollouts and trees of complexity routing, and are no routes."""

_log = logging.getLogger(__name__)


class RoutesUnavailableError(Exception):
    """The routes were never read, and DynamoDB is unreachable."""


class RoutesChangedError(Exception):
    """The routes were written since they were read."""


@dataclass(frozen=True, slots=True)
class RoutesSnapshot:
    """The table's rows and their version; 0 if they were only written by hand."""

    rows: Rows
    version: int


class RoutesStore:
    """Reads and writes rows. Raises AwsError."""

    def __init__(self, client: DynamoDB, table: str) -> None:
        self.client = client
        self._table = table
        self.complexity: Mapping[str, Row] = {}  # by routed model, of the rows that were read last (store.complexity)
        self.written_at = 0  # epoch seconds, of the routes that were read last; 0 if unknown

    def accept_complexity(self, model: str, item: Row) -> None:
        """Use the rollout of a model that this environment has just written, before the rows are read again."""
        self.complexity = {**self.complexity, model: item}

    def read(self) -> Rows:
        """Read the whole table, consistently: some kilobytes."""
        return self.snapshot().rows

    def snapshot(self) -> RoutesSnapshot:
        """Read the whole table, consistently, and its version."""
        rows: dict[RowKey, Row] = {}
        for page in self.client.pages("Scan", TableName=self._table, ConsistentRead=True):
            if "Items" not in page:  # another server's response
                raise ClientError({"Error": {"Code": "MalformedAnswer"}}, "Scan")
            for item in page["Items"]:
                values = from_item(item)
                values.pop("expires_at", None)  # used by the table's TTL
                rows[values.pop("kind"), values.pop("name")] = values
        version = rows.pop(_VERSION, {})
        self.complexity = {name: rows.pop((kind, name)) for kind, name in list(rows) if kind == COMPLEXITY}
        number, written_at = version.get("number", 0), version.get("written_at", 0)
        self.written_at = written_at if isinstance(written_at, int) else 0
        return RoutesSnapshot(rows, number if isinstance(number, int) else 0)

    def write(
        self,
        rows: Rows,
        current: Rows,
        version: int | None = None,
        also: "Sequence[TransactWriteItemTypeDef]" = (),
        *,
        becomes: int | None = None,
    ) -> None:
        """Change the table's rows from `current` to `rows`; rows of unknown kinds stay.

        `version` is the version of `current`: if it has changed, RoutesChangedError is raised and nothing is written.
        None overwrites any version. `also` are further writes of the same transaction. The version rises by one, or to
        `becomes`.

        Up to a hundred changed rows are one transaction, so no reader sees half a change. Beyond that, rows are put
        first, providers before models, and deleted last: no chain ever names a missing provider.
        """
        put = sorted((key for key, row in rows.items() if current.get(key) != row), key=_by_kind)
        gone = sorted((key for key in current if key[0] in KINDS and key not in rows), key=_by_kind, reverse=True)
        writes: list[TransactWriteItemTypeDef] = [
            {"Put": {"TableName": self._table, "Item": _item_of(key, rows[key])}} for key in put
        ]
        writes.extend({"Delete": {"TableName": self._table, "Key": _item_of(key, {})}} for key in gone)
        if not writes:
            return
        writes = [self._raise_version(version, becomes), *also, *writes]
        try:
            for start in range(0, len(writes), _TRANSACTION):
                self.client.transact_write_items(TransactItems=writes[start : start + _TRANSACTION])
        except ClientError as error:
            if error_code(error) == "TransactionCanceledException" and version is not None:
                reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", ())}
                if reasons & {"ConditionalCheckFailed", "TransactionConflict"}:
                    raise RoutesChangedError from None
            raise

    def _raise_version(self, seen: int | None, becomes: int | None) -> "TransactWriteItemTypeDef":
        """Raise the version: unconditionally, or only if it is still `seen`."""
        number = {"#number": "number"}
        now = int(time.time())
        if seen is None:
            return {
                "Update": {
                    "TableName": self._table,
                    "Key": _item_of(_VERSION, {}),
                    "UpdateExpression": "ADD #number :one SET written_at = :now",
                    "ExpressionAttributeNames": number,
                    "ExpressionAttributeValues": to_item({":one": 1, ":now": now}),
                }
            }
        condition = "#number = :seen" if seen else "attribute_not_exists(#number) OR #number = :seen"
        return {
            "Put": {
                "TableName": self._table,
                "Item": _item_of(_VERSION, {"number": becomes or seen + 1, "written_at": now}),
                "ConditionExpression": condition,
                "ExpressionAttributeNames": number,
                "ExpressionAttributeValues": to_item({":seen": seen}),
            }
        }


class CatalogueCache:
    """The routing table, at most ten seconds old.

    `read` reads the rows (`RoutesStore.read`), `base_urls` (provider → URL) overrides theirs, and `spawn` runs work in
    the background.
    """

    def __init__(
        self,
        read: Callable[[], Rows],
        clock: Clock,
        *,
        ttl: float = _FRESH,
        base_urls: Mapping[str, str] | None = None,
        spawn: Spawn = run_in_background,
        service: CircuitBreaker | None = None,
    ) -> None:
        self._read = read
        self._clock = clock
        self._ttl = ttl
        self._base_urls = {name: checked_base_url(url) for name, url in (base_urls or {}).items()}
        self._spawn = spawn
        self._breaker = CircuitBreaker("the routes table", clock, service=service)
        self._refreshing = Lock()
        self._catalogue: Catalogue | None = None
        self._asked_at = 0.0  # when the last read was sent; later changes are not in it
        self._rows: Rows = {}
        self._settings: dict[RowKey, RowSettings] = {}  # the last good version of every row
        self._logged: frozenset[Problem] = frozenset()

    def get(self) -> Catalogue:
        """Return the catalogue: from memory while it is fresh or DynamoDB is unreachable, else read again.

        Raises RoutesUnavailableError if there is none in memory either.
        """
        if not self._is_fresh():
            active = self._breaker.is_open
            advice = self._breaker.next_call()
            if advice is CallMode.PROBE and self._catalogue:
                self._spawn(self._refresh)
            elif advice is not CallMode.SKIP:
                with self._refreshing:  # a thread that waited here finds the result of the other one
                    if not self._is_fresh() and (active or not self._breaker.is_open):
                        self._refresh()
        if self._catalogue is None:
            raise RoutesUnavailableError("the routes table cannot be read, and was never read before")
        return self._catalogue

    @property
    def cached(self) -> Catalogue | None:
        """The catalogue in memory, however old; None if there is none."""
        return self._catalogue

    @property
    def is_fresh(self) -> bool:
        """Return whether `get` returns at once."""
        return self._is_fresh()

    def prefetch(self) -> None:
        """Start to read stale routes in the background: `get` waits for it."""
        if not self._is_fresh() and not self._breaker.is_open:
            self._spawn(self._refresh_stale)

    def _refresh_stale(self) -> None:
        with self._refreshing:
            if not self._is_fresh() and not self._breaker.is_open:
                self._refresh()

    def _is_fresh(self) -> bool:
        return self._catalogue is not None and 0 <= self._clock.now() - self._asked_at < self._ttl

    def _refresh(self) -> None:
        asked_at = self._clock.now()
        try:
            rows = self._read()
        except AWS_ERRORS as error:
            self._breaker.record_failure(error)
            return
        self._breaker.record_success()
        if self._catalogue is None or rows != self._rows:
            self._catalogue = self._resolved(rows)
            self._rows = rows
        self._asked_at = asked_at

    def _resolved(self, rows: Rows) -> Catalogue:
        problems: list[Problem] = []
        settings: dict[RowKey, RowSettings] = {}
        for key, row in rows.items():
            read, found = _checked(key, row)
            problems += found
            if read := read or self._settings.get(key):
                settings[key] = read
        models = {name for kind, name in rows if kind == "model"}
        catalogue, found = resolve(_route_settings(settings), self._base_urls, models)
        problems += found
        edited = {("model", str(problem.place[1])) for problem in found if problem.place[0] == "models"}
        better = {key: good for key in edited if (good := self._settings.get(key)) and good != settings[key]}
        if better:
            settings |= better
            catalogue, _ = resolve(_route_settings(settings), self._base_urls)
        for problem in problems:
            if problem not in self._logged:
                _log.warning(
                    "a row of the routes table is invalid, so its last good version is used, if any: %s", problem
                )
        self._logged = frozenset(problems)
        self._settings = settings
        return replace(catalogue, broken=frozenset(models - catalogue.models.keys() - catalogue.switched_off))


def _checked(key: RowKey, row: Row) -> tuple[RowSettings | None, list[Problem]]:
    kind, name = key
    if kind not in KINDS or key != SINGLE.get(kind, key):
        return None, [Problem(key, f"is of an unknown kind; `kind` is one of {', '.join(KINDS)}")]
    if settings := read_row(kind, name, row):
        return settings, []
    from vibe_router.routing import spec  # pydantic takes 76 ms to import; it says what is wrong

    parsed, problems = spec.parse_row(kind, name, row)
    return spec.settings_of(parsed) if parsed else None, problems


def _route_settings(rows: Mapping[RowKey, RowSettings]) -> RouteSettings:
    defaults, alerts = rows.get(DEFAULTS), rows.get(ALERTS)
    return RouteSettings(
        providers={name: row for (_, name), row in rows.items() if isinstance(row, ProviderSettings)},
        defaults=defaults if isinstance(defaults, DefaultSettings) else DefaultSettings(),
        models={name: row for (_, name), row in rows.items() if isinstance(row, ModelSettings)},
        aliases={name: row for (_, name), row in rows.items() if isinstance(row, AliasSettings)},
        guards={name: row for (_, name), row in rows.items() if isinstance(row, GuardSettings)},
        alerts=alerts if isinstance(alerts, AlertSettings) else AlertSettings(),
    )


def _by_kind(key: RowKey) -> tuple[int, str]:
    return KINDS.index(cast("Kind", key[0])), key[1]


def _item_of(key: RowKey, row: Row) -> Item:
    kind, name = key
    return to_item({**row, "kind": kind, "name": name})
