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

__all__ = ["MEMORIES", "PAGE", "VOLUMES", "CostModel", "figures", "load_model"]

PAGE = ROOT / "docs/cost.md"
MEMORIES = (256, 512, 1024, 1769)
VOLUMES = (0, 10_000, 1_000_000, 10_000_000)

_HOURS = 730.0  # of a month, as AWS counts
_MONTH = _HOURS * 3600  # seconds
_FULL_CORE_MB = 1769  # https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html

# The request: a stream of 20 s and 500 chunks, with a key that has a budget.
_SECONDS, _CHUNKS = 20.0, 500
_PLATFORM_LOG_BYTES = 400  # Lambda's own START, END and REPORT lines
_SECRET_SECONDS = 300.0  # for which an environment caches the secret
# Read units: the states of auto-chat's chain, the routes table, the key and its ledger, all cached for seconds.
_READS = 6 + 1 + 2
# Write units: the row, its two indexes, reservation and settlement; a cooldown (4 units) in one request of a hundred.
_WRITES = 1 + 2 + 1 + 1 + 0.04
# The aggregator adds a batch of rows to five totals and moves its position, in one transaction, which doubles units. A
# new on-demand table has four partitions, and its stream as many shards, each with a batch in every batching window.
_BATCH_WRITES, _STREAM_SHARDS, _BATCH_SECONDS = 2 * (5 + 1), 4, 50.0
_BATCH_GB_SECONDS = 0.1 * 0.25  # of Lambda
_METRICS = 10 + 8 + 3  # by service, by verdict, by provider

# The container for comparison: Fargate, Redis, PostgreSQL, a load balancer.
_VCPU, _GIGABYTES, _DATABASE_GB, _ADDRESSES = 0.5, 1.0, 20.0, 3
_STREAMS_PER_TASK, _PEAK = 200, 4.0  # peak: times the month's mean


@dataclass(frozen=True, slots=True)
class CostModel:
    """What a month of the router costs with a memory setting, in dollars."""

    prices: Mapping[str, float]
    call_added_ms: float
    chunk_added_ms: float
    after_ms: float
    cold_start_ms: float
    log_bytes: float
    alarm_metrics: int
    memory_mb: int

    @property
    def slowdown(self) -> float:
        """How many times longer work on the processor takes than on a full core."""
        return max(1.0, _FULL_CORE_MB / self.memory_mb)

    @property
    def billed_seconds(self) -> float:
        """Billed time of one request: the stream and all of the router's own work."""
        own_ms = self.call_added_ms + _CHUNKS * self.chunk_added_ms + self.after_ms
        return _SECONDS + own_ms * self.slowdown / 1000

    @property
    def cold_start_seconds(self) -> float:
        """Time from the start of the process to the first byte of its first answer."""
        return self.cold_start_ms * self.slowdown / 1000

    def fixed(self) -> dict[str, float]:
        """Return the costs without any request."""
        return {
            "CloudWatch dashboard": self.prices["dashboard_month"],
            "CloudWatch alarms": self.alarm_metrics * self.prices["alarm_metric_month"],
            "Secrets Manager, both secrets": 2 * self.prices["secret_month"],
        }

    def variable(self, requests: float) -> dict[str, float]:
        """Return the costs of so many requests a month, in addition to the fixed ones."""
        price, millions = self.prices, requests / 1e6
        batches = min(requests, _STREAM_SHARDS * _MONTH / _BATCH_SECONDS)
        traces = min(requests, _MONTH + 0.05 * max(requests - _MONTH, 0.0))  # one a second, 5 % of the others
        return {
            "Lambda, memory × seconds": requests
            * self.billed_seconds
            * (self.memory_mb / 1024)
            * price["lambda_gb_second"],
            "Data to the internet": requests * _answer_bytes() / 1e9 * price["egress_gb"],
            "DynamoDB": millions
            * (_READS * price["dynamodb_million_reads"] + _WRITES * price["dynamodb_million_writes"]),
            "Totals": batches
            / 1e6
            * (
                _BATCH_WRITES * price["dynamodb_million_writes"]
                + 1e6 * _BATCH_GB_SECONDS * price["lambda_gb_second"]
                + price["lambda_million_requests"]
            ),
            "CloudWatch metrics": _METRICS * price["custom_metric_month"] if requests else 0.0,
            "X-Ray": traces / 1e6 * price["xray_million_traces"],
            "API Gateway": millions * price["rest_api_million"],
            "CloudWatch Logs": requests * self.log_bytes / 1e9 * price["logs_gb"],
            "Secrets Manager, calls": requests * _SECONDS / _SECRET_SECONDS / 1e4 * price["secret_10000_calls"],
            "Lambda, requests": millions * price["lambda_million_requests"],
        }

    def total(self, requests: float) -> float:
        """Return all costs."""
        return sum(self.fixed().values()) + sum(self.variable(requests).values())

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
        """Return the requests a month, to the thousand, up to which the router is cheaper than the container."""
        return next(
            each for each in range(0, 10**8, 1000) if self.total(each + 1000) > self.container_total(each + 1000)
        )


@cache
def _answer_bytes() -> float:
    return float(sum(map(len, chunks("auto-chat", _CHUNKS))))


def load_model() -> CostModel:
    """Return the model with the template's memory setting, from the files in the checkout."""
    prices = json.loads((ROOT / "docs/prices.json").read_text(encoding="utf-8"))["prices"]
    sections = json.loads((ROOT / "docs/measured.json").read_text(encoding="utf-8"))["sections"]
    template: dict[str, Any] = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
    resources = template["Resources"]
    alarms = [each["Properties"] for each in resources.values() if each["Type"] == "AWS::CloudWatch::Alarm"]

    def row(section: str, column: str, value: str, **more: str) -> dict[str, Any]:
        wanted = {column: value, **more}
        found: dict[str, Any] = next(
            each
            for each in sections[section]["rows"]
            if all(str(each[name]).startswith(text) for name, text in wanted.items())
        )
        return found

    call, stream = row("calls", "target", "function"), row("streams", "stream", "2000 chunks", target="function")
    access_log = resources["RouterApi"]["Properties"]["AccessLogSetting"]["Fn::If"][1]["Format"]
    return CostModel(
        prices={name: each["price"] for name, each in prices.items()},
        call_added_ms=call["added_p50_ms"],
        chunk_added_ms=stream["added_total_ms"] / 2000,
        after_ms=call["after_p50_ms"],
        cold_start_ms=row("cold-start", "from the process's start", "to the first answered byte")["median_ms"],
        log_bytes=row("log", "request", "stream")["all_bytes"] + len(str(access_log)) + _PLATFORM_LOG_BYTES,
        alarm_metrics=sum(max(1, sum("MetricStat" in m for m in each.get("Metrics", []))) for each in alarms),
        memory_mb=int(template["Parameters"]["MemorySize"]["Default"]),
    )


def figures(model: CostModel) -> dict[str, str]:
    """Return every figure that docs/cost.md states, by what it is."""
    found = {}
    for volume in VOLUMES:
        found[f"router, {volume:,} requests a month"] = _usd(model.total(volume))
        found[f"container, {volume:,} requests a month"] = _usd(model.container_total(volume))
    million = model.variable(1e6)
    found["a million requests"] = _usd(sum(million.values()))
    found |= {f"a million requests, {name}": _usd(amount) for name, amount in million.items()}
    found |= {f"fixed, {name}": _usd(amount) for name, amount in model.fixed().items()}
    found["break-even, requests a month"] = f"{model.break_even():,}"
    found["billed seconds of a request"] = f"{model.billed_seconds:.2f} s"
    found["SnapStart, a version and month"] = _usd(model.snapstart())
    found["10,000 streams, an hour"] = _usd(10_000 * model.memory_mb / 1024 * 3600 * model.prices["lambda_gb_second"])
    for size in MEMORIES:
        sized = replace(model, memory_mb=size)
        found[f"{size} MB, a million requests"] = _usd(sum(sized.variable(1e6).values()))
        found[f"{size} MB, cold start"] = f"{sized.cold_start_seconds:.1f} s"
        found[f"{size} MB, added to a warm call"] = f"{sized.call_added_ms * sized.slowdown:.1f} ms"
    return found


def _usd(amount: float) -> str:
    return f"${amount:,.2f}"


if __name__ == "__main__":
    for name, figure in figures(load_model()).items():
        print(f"{name:<45}{figure:>12}")
