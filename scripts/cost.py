"""The cost model behind docs/cost.md: `python -m scripts.cost` prints its figures.

Prices and quotas come from docs/prices.json, measurements from docs/measured.json (`make bench`), parameters from
template.yaml. Everything else is assumed, and named here. Amounts are dollars a month.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from bench.payload import chunks
from scripts.artefacts import ROOT
from vibe_router.core.metrics import METRICS

__all__ = ["MEMORIES", "PAGE", "VOLUMES", "CostModel", "Line", "figures", "load_model"]

PAGE = ROOT / "docs/cost.md"
MEMORIES = (128, 256, 512, 1769)
VOLUMES = (0, 10_000, 1_000_000, 10_000_000)

_HOURS = 730.0  # of a month, as AWS counts
_MONTH = _HOURS * 3600  # seconds
_DAYS = _HOURS / 24
_FULL_CORE_MB = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html

# The request: a stream of 20 s and 500 chunks, with a key that has a budget.
_SECONDS, _CHUNKS = 20.0, 500
_AWS_WAIT_SECONDS = 0.02  # assumed, for the reservation before the stream and the booking after it
_PLATFORM_LOG_BYTES = 400  # Lambda's own START, END and REPORT lines
_SECRET_SECONDS = 300.0  # for which an environment caches the secret
# Read units: the states of all deployments, the routes table, the key and its ledger, all cached for seconds.
_READS = 0.5 + 1 + 2
# Write units: the row, its two indexes, reservation and settlement; one in a hundred of the latter conflicts and is
# repeated; a cooldown (4 units) in one request of a hundred.
_WRITES = 1 + 2 + 1 + 1 + 0.02 + 0.04
_ROW_GB, _INDEXES = 1e3 / 1e9, 2
# The aggregator adds a batch of rows to five totals (of a key without owner and tags) and moves its position, in one
# transaction, which doubles units. A new on-demand table has four partitions, and its stream as many shards, each with
# a batch in every batching window.
_BATCH_WRITES, _STREAM_SHARDS, _BATCH_SECONDS = 2 * (5 + 1), 4, 50.0
_BATCH_GB_SECONDS = 0.1 * 0.25  # of Lambda

# The container for comparison: Fargate, Redis, PostgreSQL, a load balancer.
_VCPU, _GIGABYTES, _DATABASE_GB, _ADDRESSES = 0.5, 1.0, 20.0, 3
_STREAMS_PER_TASK, _PEAK = 200, 4.0  # peak: times the month's mean


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill: a quantity, the price of one, and how many are free for ever."""

    quantity: float
    price: float
    free: float = 0.0

    @property
    def amount(self) -> float:
        """The amount in dollars."""
        return self.quantity * self.price

    @property
    def beyond_free(self) -> float:
        """The amount in an account that uses the free tier for nothing else."""
        return max(self.quantity - self.free, 0.0) * self.price


@dataclass(frozen=True, slots=True)
class CostModel:
    """The cost of a month of the router with a memory setting and the parameter `monitoring`, in dollars."""

    prices: Mapping[str, float]
    free: Mapping[str, float]
    call_cpu_ms: float
    start_ms: float
    first_answer_ms: float
    log_bytes: float
    alarm_metrics: int
    secrets: int
    usage_days: int
    trace_rate: float
    memory_mb: int
    monitoring: str = "full"

    @property
    def slowdown(self) -> float:
        """The factor by which work takes longer than on a full core."""
        return max(1.0, _FULL_CORE_MB / self.memory_mb)

    @property
    def call_seconds(self) -> float:
        """Time of the router's own work on the processor for a call that meets a warm environment."""
        return self.call_cpu_ms * self.slowdown / 1000

    @property
    def billed_seconds(self) -> float:
        """Billed time of one request: the stream, the router's own work, and its calls to DynamoDB."""
        return _SECONDS + self.call_seconds + _AWS_WAIT_SECONDS

    @property
    def cold_start_seconds(self) -> float:
        """Time from the start of the process to the first byte of its first answer.

        Lambda's init phase has a full core, so only the first answer's work depends on the memory.
        """
        return (self.start_ms + self.first_answer_ms * self.slowdown) / 1000

    def fixed(self) -> dict[str, Line]:
        """Return the lines without any request."""
        price = self.prices
        dashboards = int(self.monitoring == "full")
        alarms = self.alarm_metrics if self.monitoring != "none" else 0
        return {
            "CloudWatch dashboard": Line(dashboards, price["dashboard_month"], self.free["dashboards"]),
            "CloudWatch alarms": Line(alarms, price["alarm_metric_month"], self.free["alarm_metrics"]),
            "Secrets Manager, the secrets": Line(self.secrets, price["secret_month"]),
        }

    def variable(self, requests: float) -> dict[str, Line]:
        """Return the lines of so many requests a month, in addition to the fixed ones."""
        price, free, millions = self.prices, self.free, requests / 1e6
        batches = min(requests, _STREAM_SHARDS * _MONTH / _BATCH_SECONDS)
        batch_price = (
            _BATCH_WRITES * price["dynamodb_million_writes"]
            + 1e6 * _BATCH_GB_SECONDS * price["lambda_gb_second"]
            + price["lambda_million_requests"]
        ) / 1e6
        request_price = (
            _READS * price["dynamodb_million_reads"] + _WRITES * price["dynamodb_million_writes"]
        )  # of a million
        secret_calls = requests * _SECONDS / _SECRET_SECONDS
        stored = requests * self.usage_days / _DAYS * _ROW_GB  # once the oldest rows expire
        return {
            "Lambda, memory × seconds": Line(
                requests * self.billed_seconds * self.memory_mb / 1024,
                price["lambda_gb_second"],
                free["lambda_gb_seconds"],
            ),
            "Data to the internet": Line(requests * _answer_bytes() / 1e9, price["egress_gb"], free["egress_gb"]),
            "DynamoDB, requests": Line(millions, request_price),
            "API Gateway": Line(millions, price["rest_api_million"]),
            "DynamoDB, storage": Line(stored * (1 + _INDEXES), price["dynamodb_gb_month"], free["dynamodb_gb"]),
            "CloudWatch metrics": Line(
                len(METRICS) if requests else 0, price["custom_metric_month"], free["custom_metrics"]
            ),
            "Totals": Line(batches, batch_price),
            "CloudWatch Logs": Line(requests * self.log_bytes / 1e9, price["logs_gb"], free["logs_gb"]),
            "DynamoDB, point-in-time recovery": Line(stored, price["dynamodb_backup_gb_month"]),
            "Secrets Manager, calls": Line(secret_calls / 1e4, price["secret_10000_calls"]),
            "Lambda, requests": Line(millions, price["lambda_million_requests"], free["lambda_requests"] / 1e6),
            "KMS, for the secrets": Line(secret_calls / 1e4, price["kms_10000_calls"], free["kms_calls"] / 1e4),
            "X-Ray": Line(millions * self.trace_rate, price["xray_million_traces"], free["xray_traces"] / 1e6),
        }

    def lines(self, requests: float) -> dict[str, Line]:
        """Return all lines."""
        return {**self.fixed(), **self.variable(requests)}

    def total(self, requests: float) -> float:
        """Return all costs."""
        return sum(line.amount for line in self.lines(requests).values())

    def total_beyond_free(self, requests: float) -> float:
        """Return all costs in an account that uses the free tier for nothing else."""
        return sum(line.beyond_free for line in self.lines(requests).values())

    def million(self) -> float:
        """Return the costs of a million requests a month beyond the fixed ones."""
        return sum(line.amount for line in self.variable(1e6).values())

    def snapstart(self) -> float:
        """Return the cost of SnapStart for one published version."""
        return self.prices["snapstart_cache_gb_second"] * self.memory_mb / 1024 * _MONTH

    def container_total(self, requests: float) -> float:
        """Return the costs of an always-on gateway: containers, Redis, PostgreSQL, load balancer; without logs."""
        price = self.prices
        streams = requests * _SECONDS / _MONTH
        tasks = max(1, math.ceil(streams * _PEAK / _STREAMS_PER_TASK))
        sent_gb = requests * _answer_bytes() / 1e9
        hourly = (
            tasks * (_VCPU * price["fargate_vcpu_hour"] + _GIGABYTES * price["fargate_gb_hour"])
            + price["redis_hour"]
            + price["postgres_hour"]
            + price["load_balancer_hour"]
            + max(streams / 3000, sent_gb / _HOURS) * price["load_balancer_lcu_hour"]
            + (_ADDRESSES + tasks - 1) * price["ipv4_hour"]
        )
        return hourly * _HOURS + _DATABASE_GB * price["postgres_gb_month"] + sent_gb * price["egress_gb"]

    def break_even(self) -> int:
        """Return the requests a month, to the thousand, up to which the router is cheaper than the container.

        Both without alarms and a dashboard, which the container's price does not include.
        """
        bare = replace(self, monitoring="none")
        return next(
            each for each in range(0, 10**8, 1000) if bare.total(each + 1000) > bare.container_total(each + 1000)
        )


@cache
def _answer_bytes() -> float:
    return float(sum(map(len, chunks("auto-chat", _CHUNKS))))


def load_model() -> CostModel:
    """Return the model with the template's memory setting, from the files in the checkout."""
    prices = json.loads((ROOT / "docs/prices.json").read_text(encoding="utf-8"))
    sections = json.loads((ROOT / "docs/measured.json").read_text(encoding="utf-8"))["sections"]
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    resources, parameters = template["Resources"], template["Parameters"]
    alarms = [
        each["Properties"]
        for each in resources.values()
        if each["Type"] == "AWS::CloudWatch::Alarm" and each["Condition"] == "HasAlarms"
    ]

    def row(section: str, column: str, value: str) -> dict[str, Any]:
        found: dict[str, Any] = next(each for each in sections[section]["rows"] if str(each[column]).startswith(value))
        return found

    started = row("cold-start", "from the process's start", "to the first `next`")["median_ms"]
    answered = row("cold-start", "from the process's start", "to the first answered byte")["median_ms"]
    access_log = resources["RouterApi"]["Properties"]["AccessLogSetting"]["Fn::If"][1]["Format"]
    return CostModel(
        prices={name: each["price"] for name, each in prices["prices"].items()},
        free={name: each["value"] for name, each in prices["free"].items()},
        call_cpu_ms=row("calls", "target", "function")["cpu_ms"],
        start_ms=started,
        first_answer_ms=answered - started,
        log_bytes=row("log", "request", "stream")["all_bytes"] + len(str(access_log)) + _PLATFORM_LOG_BYTES,
        alarm_metrics=sum(max(1, sum("MetricStat" in m for m in each.get("Metrics", []))) for each in alarms),
        secrets=sum(each["Type"] == "AWS::SecretsManager::Secret" for each in resources.values()),
        usage_days=int(parameters["UsageDays"]["Default"]),
        trace_rate=float(resources["TraceSampling"]["Properties"]["SamplingRule"]["FixedRate"]),
        memory_mb=int(parameters["MemorySize"]["Default"]),
    )


def figures(model: CostModel) -> dict[str, str]:
    """Return every figure that docs/cost.md states, by what it is."""
    found = {}
    for volume in VOLUMES:
        found[f"router, {volume:,} requests a month"] = _usd(model.total(volume))
        found[f"free tier, {volume:,} requests a month"] = _usd(model.total_beyond_free(volume))
        found[f"container, {volume:,} requests a month"] = _usd(model.container_total(volume))
    found["a million requests"] = _usd(model.million())
    found |= {f"a million requests, {name}": _usd(line.amount) for name, line in model.variable(1e6).items()}
    found |= {f"fixed, {name}": _usd(line.amount) for name, line in model.fixed().items()}
    found["break-even, requests a month"] = f"{model.break_even():,}"
    found["billed seconds of a request"] = f"{model.billed_seconds:.2f} s"
    found["SnapStart, a version and month"] = _usd(model.snapstart())
    found["10,000 streams, an hour"] = _usd(10_000 * model.memory_mb / 1024 * 3600 * model.prices["lambda_gb_second"])
    for size in MEMORIES:
        sized = replace(model, memory_mb=size)
        found[f"{size} MB, a million requests"] = _usd(sized.million())
        found[f"{size} MB, cold start"] = f"{sized.cold_start_seconds:.2f} s"
        found[f"{size} MB, own work of a warm call"] = f"{sized.call_seconds * 1000:.0f} ms"
    return found


def _usd(amount: float) -> str:
    return f"${amount:,.2f}"


if __name__ == "__main__":
    for name, figure in figures(load_model()).items():
        print(f"{name:<55}{figure:>12}")
