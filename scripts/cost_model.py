"""The reckoning behind docs/cost.md: what a request, a month and ten thousand streams cost, and what ends first.

Pure, but for `load`, which reads docs/measured.json (`python -m bench`), docs/prices.json (dated), template.yaml and
routes.yaml. What is assumed is named in `Workload` and `Container`.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from samtranslator.yaml_helper import yaml_parse

from bench.payload import chunks
from vibe_cli.routes_file import load_file
from vibe_router.core.clock import Clock
from vibe_router.core.record import Record
from vibe_router.core.usage import Usage
from vibe_router.routing.spec import resolve
from vibe_router.store.dynamodb import to_item
from vibe_router.store.routes import rows_of
from vibe_router.store.usage import UsageWriter

__all__ = [
    "COLD_START_AIM",
    "CORE_MB",
    "FRESH_ROUTES",
    "FRESH_SECRETS",
    "FRESH_STATES",
    "MEMORIES",
    "ROOT",
    "VOLUMES",
    "Booking",
    "Container",
    "Limit",
    "Measured",
    "Model",
    "Stack",
    "Workload",
    "item_bytes",
    "load",
]

ROOT = Path(__file__).resolve().parents[1]
HOURS = 730.0
"""Of a month, as AWS counts."""
MONTH = HOURS * 3600
"""Seconds."""
CORE_MB = 1769
"""Memory with which Lambda gives a whole processor. https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html"""
MEMORIES = (256, 512, 1024, 1769)
VOLUMES = (0, 10_000, 1_000_000, 10_000_000)
FRESH_STATES, FRESH_ROUTES, FRESH_SECRETS = 1.0, 10.0, 300.0
"""Seconds that an environment keeps what it has read: `_FRESH` of store/state.py, routes.py and secrets.py."""
_READ_UNIT, _WRITE_UNIT = 4096, 1024
COLD_START_AIM = 2.0
"""Seconds that a caller may wait for the first byte of a cold environment. More feels broken."""
_MOST_ANSWER_MB, _MOST_REQUEST_MB, _COPIES = 32, 6, 3
"""The largest whole answer and request, and how often either may be in memory at once: as read, as parsed, as sent."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The request that the page reckons with. Assumed; every figure can be another's."""

    seconds: float = 20.0  # from the request to the last byte of the stream
    chunks: int = 500  # of the stream, a token or two each
    failing: float = 0.01  # share of requests whose first attempt fails
    writes_per_failure: int = 4  # a cooldown and its clearing, of up to 2 KB each
    ledgers: int = 1  # that a request is reserved from and settled in: its key's, which has a budget
    platform_log_bytes: int = 400  # Lambda's own START, END and REPORT lines


@dataclass(frozen=True, slots=True)
class Container:
    """The always-on gateway beside which the router is put: one Fargate task, Redis, PostgreSQL, a load balancer."""

    vcpu: float = 0.5
    gigabytes: float = 1.0
    database_gb: float = 20.0
    addresses: int = 3  # two of the load balancer, one of the task
    streams_per_task: int = 200  # that half a processor serves at once
    peak: float = 4.0  # times the month's mean


@dataclass(frozen=True, slots=True)
class Measured:
    """What `python -m bench` has found, of one whole processor. Milliseconds, MB of 2**20 bytes, bytes."""

    call_added_ms: float
    stream_added_ms_per_chunk: float
    after_ms: float
    cold_start_ms: float
    resident_mb: float
    log_bytes: float
    dynamodb_calls: Mapping[str, float]
    secret_calls: float
    machine: str
    at: str

    @classmethod
    def of(cls, report: Mapping[str, Any]) -> "Measured":
        """Read a report of the benchmark. KeyError or StopIteration if a section is missing."""
        sections = report["sections"]
        call = next(row for row in sections["calls"]["rows"] if row["target"] == "function")
        streams = sections["streams"]["rows"]
        stream = next(row for row in streams if row["stream"] == "2000 chunks" and row["target"] == "function")
        starts = {row["from the process's start"]: row["median_ms"] for row in sections["cold-start"]["rows"]}
        memory = [row for row in sections["memory"]["rows"] if row["process"].startswith("function, after")]
        log = next(row for row in sections["log"]["rows"] if row["request"].startswith("stream"))
        aws = sections["aws"]["rows"]
        return cls(
            call_added_ms=call["added_p50_ms"],
            stream_added_ms_per_chunk=stream["added_total_ms"] / 2000,
            after_ms=call["after_p50_ms"],
            cold_start_ms=starts["to the first answered byte"],
            resident_mb=memory[0]["resident_mb"],
            log_bytes=log["all_bytes"],
            dynamodb_calls={row["when"]: row["dynamodb_per_call"] for row in aws},
            secret_calls=max(row["secretsmanager_per_call"] for row in aws),
            machine=f"{report['machine']['processor']}, {report['machine']['cores']} cores",
            at=report["machine"]["at"][:10],
        )


_BOOKED = Record(
    request_id="6f1f9ab4-0c0e-4f0a-9b39-3d5a2f1f6a10",
    started=1_795_525_500.25,
    key="9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    key_alias="a laptop of somebody's",
    user="somebody",
    tags=("a tag",),
    model="auto-chat",
    resolved=True,
    deployment="cliproxyapi/claude-sonnet-4-6",
    provider_model="claude-sonnet-4-6",
    format="chat",
    provider_format="chat",
    stream=True,
    attempts=(
        {
            "deployment": "cliproxyapi/claude-sonnet-4-6",
            "verdict": "ok",
            "status": 200,
            "ms": 812.345,
            "cooldown_until": None,
        },
    ),
    usage=Usage(1_234, 567, cached_tokens=1_000, reasoning_tokens=128),
    cost=12_345_678,
    ttft_ms=812.345,
    total_ms=20_000.123,
)
"""The request whose booking is reckoned with: of a virtual key without a team, served at the first attempt."""


@dataclass(frozen=True, slots=True)
class Booking:
    """Write units of one request's booking, as store/usage.py writes it. In a transaction a write costs two."""

    row_bytes: int
    row: int
    indexes: int
    totals: int
    shares: int  # how many totals it is in

    @classmethod
    def of(cls, indexes: int) -> "Booking":
        """Count them, with so many indexes that hold whole rows."""
        put, *updates = UsageWriter(cast("Any", None), "usage", Clock(), days=90).items(_BOOKED)
        size = item_bytes(put["Put"]["Item"])
        units = math.ceil(size / _WRITE_UNIT)
        # A total is its key and a dozen numbers: one unit.
        return cls(size, 2 * units, indexes * units, 2 * len(updates), len(updates))


@dataclass(frozen=True, slots=True)
class Stack:
    """What template.yaml and routes.yaml say, as far as it costs money or bounds the load."""

    memory_mb: int
    throttle_rate: int
    throttle_burst: int
    alarm_metrics: int
    dashboards: int
    custom_metrics: int
    access_log_bytes: int
    routes_units: int  # to read the whole routes table
    state_units: int  # to read the states of the longest chain
    booking: Booking

    @classmethod
    def of(cls, template: Mapping[str, Any], routes: Path) -> "Stack":
        """Read the template and the routes, both as they stand in the checkout."""
        parameters, resources = template["Parameters"], template["Resources"]
        kinds = [each["Type"] for each in resources.values()]
        alarms = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::CloudWatch::Alarm"]
        spec = load_file(routes, {})
        rows = rows_of(spec)
        table = sum(item_bytes(to_item({"kind": kind, "name": name, **row})) for (kind, name), row in rows.items())
        chains = [
            {state for deployment in model.chain for state in deployment.state_ids}
            for model in resolve(spec)[0].models.values()
        ]
        return cls(
            memory_mb=int(parameters["MemorySize"]["Default"]),
            throttle_rate=int(parameters["ThrottleRate"]["Default"]),
            throttle_burst=int(parameters["ThrottleBurst"]["Default"]),
            alarm_metrics=sum(_alarm_metrics(each) for each in alarms),
            dashboards=kinds.count("AWS::CloudWatch::Dashboard"),
            # What decision.py writes: ten by service, failed attempts by eight verdicts, auth failures by provider.
            custom_metrics=10 + 8 + len(spec.providers),
            access_log_bytes=len(str(resources["RouterApi"]["Properties"]["AccessLogSetting"]["Format"])),
            routes_units=math.ceil(table / _READ_UNIT),
            state_units=max(len(chain) for chain in chains),
            booking=Booking.of(len(resources["UsageTable"]["Properties"]["GlobalSecondaryIndexes"])),
        )


def _alarm_metrics(alarm: Mapping[str, Any]) -> int:
    """Return how many metrics an alarm watches: its one, those of its expression, or one of a query."""
    return max(1, sum("MetricStat" in each for each in alarm.get("Metrics", [])))


def item_bytes(item: Mapping[str, Any]) -> int:
    """Return an item's size as DynamoDB counts it: names and values in UTF-8, 3 bytes for a list or map, 1 an entry.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
    """
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def _value_bytes(attribute: Mapping[str, Any]) -> int:
    ((kind, value),) = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "N":
            return len(value) // 2 + 2
        case "M":
            return 3 + sum(1 + len(name.encode()) + _value_bytes(each) for name, each in value.items())
        case "L":
            return 3 + sum(1 + _value_bytes(each) for each in value)
    return 1  # NULL, BOOL


@cache
def _answer_bytes(words: int) -> float:
    return float(sum(map(len, chunks("auto-chat", words))))


@dataclass(frozen=True, slots=True)
class Limit:
    """Something that ends at `streams` open ones, and what moves it."""

    what: str
    streams: int
    moved_by: str
    then: str


@dataclass(frozen=True, slots=True)
class Model:
    """The reckoning. Amounts are dollars a month unless a name says otherwise."""

    prices: Mapping[str, float]
    quotas: Mapping[str, float]
    measured: Measured
    stack: Stack
    workload: Workload = Workload()
    container: Container = Container()

    def of_memory(self, megabytes: int) -> "Model":
        """Return the same with another memory setting."""
        return replace(self, stack=replace(self.stack, memory_mb=megabytes))

    @property
    def slower(self) -> float:
        """How many times longer work on the processor takes here than on a whole one."""
        return max(1.0, CORE_MB / self.stack.memory_mb)

    @property
    def billed_seconds(self) -> float:
        """Of one request: the stream and all of the router's own work, as if none fell into the stream's pauses."""
        added = self.measured.call_added_ms + self.workload.chunks * self.measured.stream_added_ms_per_chunk
        return self.workload.seconds + (added + self.measured.after_ms) * self.slower / 1000

    @property
    def gb_seconds(self) -> float:
        """Of one request."""
        return self.billed_seconds * self.stack.memory_mb / 1024

    @property
    def cold_start_seconds(self) -> float:
        """From the start of the process to the first answered byte; Lambda's own work comes on top."""
        return self.measured.cold_start_ms * self.slower / 1000

    @property
    def answer_bytes(self) -> float:
        """Of one stream, as a provider writes it."""
        return _answer_bytes(self.workload.chunks)

    @property
    def reads(self) -> float:
        """DynamoDB's read units of one request; one that lasts as long as this finds both caches stale."""
        states = self.stack.state_units * min(1.0, self.workload.seconds / FRESH_STATES)
        return states + (self.stack.routes_units + self.key_reads) * min(1.0, self.workload.seconds / FRESH_ROUTES)

    @property
    def key_reads(self) -> int:
        """Read units for a key and its ledgers, which are kept as long as the routes."""
        return 1 + self.workload.ledgers

    @property
    def ledger_writes(self) -> int:
        """Write units of one request to reserve from its ledgers, and to settle within the booking's transaction."""
        return (1 + 2) * self.workload.ledgers

    @property
    def writes(self) -> float:
        """DynamoDB's write units of one request, in the mean."""
        booking = self.stack.booking
        booked = booking.row + booking.indexes + booking.totals + self.ledger_writes
        return booked + self.workload.failing * self.workload.writes_per_failure

    def standing(self) -> dict[str, float]:
        """Return what a stack costs that nobody calls."""
        return {
            "CloudWatch dashboard": self.stack.dashboards * self.prices["dashboard_month"],
            "CloudWatch alarms": self.stack.alarm_metrics * self.prices["alarm_metric_month"],
            "Secrets Manager, the secret": self.prices["secret_month"],
        }

    def snapstart(self) -> float:
        """Return what SnapStart's snapshot of one published version costs."""
        return self.prices["snapstart_cache_gb_second"] * self.stack.memory_mb / 1024 * MONTH

    def serving(self, requests: float) -> dict[str, float]:
        """Return what so many requests a month cost, beyond what stands."""
        price, load = self.prices, self.workload
        log = self.measured.log_bytes + self.stack.access_log_bytes + load.platform_log_bytes
        metrics = self.stack.custom_metrics * price["custom_metric_month"] if requests else 0.0
        apart = 10e6
        return {
            "Lambda, memory times seconds": requests * self.gb_seconds * price["lambda_gb_second"],
            "Data to the internet": requests * self.answer_bytes / 1e9 * price["egress_gb"],
            "X-Ray": self.traces(requests) / 1e6 * price["xray_million_traces"],
            "API Gateway": requests / 1e6 * math.ceil(self.answer_bytes / apart) * price["rest_api_million"],
            "CloudWatch custom metrics": metrics,
            "CloudWatch Logs": requests * log / 1e9 * price["logs_gb"],
            "DynamoDB": requests
            / 1e6
            * (self.reads * price["dynamodb_million_reads"] + self.writes * price["dynamodb_million_writes"]),
            "Secrets Manager, calls": requests
            * min(1.0, load.seconds / FRESH_SECRETS)
            / 1e4
            * price["secret_10000_calls"],
            "Lambda, requests": requests / 1e6 * price["lambda_million_requests"],
        }

    def traces(self, requests: float) -> float:
        """Return the traces that X-Ray records of evenly coming requests: one a second, a twentieth of the others."""
        return min(requests, MONTH + 0.05 * max(requests - MONTH, 0.0))

    def total(self, requests: float) -> float:
        """Return what the router costs."""
        return sum(self.standing().values()) + sum(self.serving(requests).values())

    def tasks(self, requests: float) -> int:
        """Return how many containers so many requests need at their peak."""
        at_once = requests * self.workload.seconds / MONTH * self.container.peak
        return max(1, math.ceil(at_once / self.container.streams_per_task))

    def container_total(self, requests: float) -> float:
        """Return what container, Redis, PostgreSQL and load balancer cost; data as for the router, no logs."""
        price, it = self.prices, self.container
        task = it.vcpu * price["fargate_vcpu_hour"] + it.gigabytes * price["fargate_gb_hour"]
        at_once, sent = requests * self.workload.seconds / MONTH, requests * self.answer_bytes / 1e9
        lcu = max(at_once / 3000, sent / HOURS)
        addresses = it.addresses + self.tasks(requests) - 1
        hourly = (
            self.tasks(requests) * task
            + price["redis_hour"]
            + price["postgres_hour"]
            + price["load_balancer_hour"]
            + lcu * price["load_balancer_lcu_hour"]
            + addresses * price["ipv4_hour"]
        )
        return hourly * HOURS + it.database_gb * price["postgres_gb_month"] + sent * price["egress_gb"]

    def break_even(self) -> int:
        """Return the requests a month, to the thousand, up to which the router is the cheaper one."""
        low, high = 0, 10**9
        while high - low > 1000:
            middle = (low + high) // 2
            low, high = (middle, high) if self.total(middle) <= self.container_total(middle) else (low, middle)
        return low // 1000 * 1000

    def best_memory(self) -> int:
        """Return the smallest setting that holds the largest request and starts within the aim."""
        return next(
            (
                size
                for size in MEMORIES
                if size >= self.memory_needed and self.of_memory(size).cold_start_seconds <= COLD_START_AIM
            ),
            MEMORIES[-1],
        )

    @property
    def memory_needed(self) -> float:
        """MB that the largest request and the largest whole answer need beside what the process holds."""
        return self.measured.resident_mb + _COPIES * (_MOST_ANSWER_MB + _MOST_REQUEST_MB)

    def limits(self, seconds: float) -> list[Limit]:
        """Return what ends at how many open streams of so many seconds each, in that order."""
        stack, quota = self.stack, self.quotas
        anew = max(FRESH_ROUTES, seconds)  # an environment reads the routes once in so many seconds
        states = max(FRESH_STATES, seconds)
        late = "requests are booked late, from memory or from the log; an alarm tells"
        from_memory = "answers come from what was read last; cooldowns reach others late; an alarm tells"
        limits = [
            Limit(
                "Lambda: calls at once, the account's quota",
                int(quota["lambda_concurrency"]),
                "quota L-B99A9384, `Concurrent executions`, on request; ReservedConcurrency keeps a share of it",
                "callers get 500 from API Gateway; an alarm tells",
            ),
            Limit(
                "API Gateway: requests per second of the stage",
                int(stack.throttle_rate * seconds),
                "the parameter ThrottleRate (and ThrottleBurst for what comes at once)",
                "callers get 429 with Retry-After: 1",
            ),
            Limit(
                "DynamoDB: the routes table, all of it on one partition",
                int(quota["partition_reads"] / stack.routes_units * anew),
                "`_FRESH` in store/routes.py: how old routes may be",
                from_memory,
            ),
            Limit(
                "DynamoDB: everybody's totals of an hour, all of them on one partition",
                int(quota["partition_writes"] / 2 * seconds),
                "`Record.shares` in record.py: which totals there are",
                late,
            ),
            Limit(
                "DynamoDB: the index of a day's requests, on one partition",
                int(quota["partition_writes"] / (stack.booking.row // 2) * seconds),
                "the index by-day of the usage table",
                late,
            ),
            Limit(
                "DynamoDB: a new state table",
                int(quota["table_reads_at_first"] / stack.state_units * states),
                "DynamoDB itself, within minutes; at once with WarmThroughput on the table",
                from_memory,
            ),
            Limit(
                "DynamoDB: reads of the state table, the account's quota",
                int(quota["table_reads"] / stack.state_units * states),
                "quota `Table-level read throughput limit`, on request",
                from_memory,
            ),
            Limit(
                "DynamoDB: the state of a key that every chain shares",
                int(quota["partition_reads"] * states),
                "`_FRESH` in store/state.py: how soon the fleet knows of a cooldown",
                from_memory,
            ),
            Limit(
                "API Gateway: requests per second, the account's quota",
                int(quota["api_requests_per_second"] * seconds),
                "quota L-8A5B8E43, `Throttle rate`, on request",
                "callers get 429",
            ),
            Limit(
                "Secrets Manager: reads per second",
                int(quota["secret_reads"] * FRESH_SECRETS),
                "`_FRESH` in store/secrets.py",
                "the keys read last go on being used",
            ),
        ]
        return sorted(limits, key=lambda limit: limit.streams)


def load(
    measured: Path = ROOT / "docs" / "measured.json", prices: Path = ROOT / "docs" / "prices.json"
) -> tuple[Model, dict[str, Any]]:
    """Read all that the page is made of; returns the model and the price file."""
    told = json.loads(prices.read_text(encoding="utf-8"))
    report = json.loads(measured.read_text(encoding="utf-8"))
    template = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    model = Model(
        prices={name: each["price"] for name, each in told["prices"].items()},
        quotas={name: each["value"] for name, each in told["quotas"].items()},
        measured=Measured.of(report),
        stack=Stack.of(template, ROOT / "routes.yaml"),
    )
    return model, told
