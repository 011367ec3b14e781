"""What the router costs on AWS, worked out: python scripts/cost.py [--write | --check].

Prints docs/cost.md; --write puts it there, --check says whether it is what is there (status 1 if not). The reckoning is
scripts/cost_model.py.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

for _path in (Path(__file__).resolve().parents[1], Path(__file__).resolve().parents[1] / "layers" / "router"):
    sys.path.insert(0, str(_path))  # for `python scripts/cost.py`

from scripts.cost_model import (  # noqa: E402 - where to find it is said above
    COLD_START_AIM,
    CORE_MB,
    FRESH_ROUTES,
    FRESH_SECRETS,
    FRESH_STATES,
    MEMORIES,
    ROOT,
    VOLUMES,
    Model,
    load,
)
from vibe_cli.errors import exit_on_closed_pipe  # noqa: E402

__all__ = ["PAGE", "main", "page"]

PAGE = ROOT / "docs" / "cost.md"
_WIDTH = 118


def page(model: Model, told: Mapping[str, Any]) -> str:
    """Return docs/cost.md; `told` is the price file."""
    parts = (_summary(model, told), _bill(model), _memory(model), _scale(model), _sources(model, told))
    return "\n".join(line for part in parts for line in part)


def _summary(model: Model, told: Mapping[str, Any]) -> Iterator[str]:
    load, stack = model.workload, model.stack
    yield "# What it costs\n"
    yield from _prose(
        "Every figure on this page is printed by `python scripts/cost.py`, and a test holds the page to it.",
        f"Prices are AWS's for {told['region']}, {told['dated']}, in {told['currency']} ([prices.json](prices.json)).",
        "Times, memory, log bytes and calls to AWS were measured by `python -m bench`",
        f"([measured.json](measured.json), {model.measured.at}, {model.measured.machine}).",
        "Nothing was measured on AWS.",
    )
    yield from _prose(
        f"The request that is reckoned with: a stream of {load.seconds:g} s and {load.chunks} chunks, through the",
        f"template's defaults ({stack.memory_mb} MB, arm64, SnapStart off). What providers charge is not in it.",
    )
    yield from _table(
        ("requests a month", "Vibe Router", "container, Redis, PostgreSQL"),
        [(f"{volume:,}", _usd(model.total(volume)), _usd(model.container_total(volume))) for volume in VOLUMES],
    )
    yield from _prose(
        f"A million requests cost **{_usd(sum(model.serving(1e6).values()))}**.",
        f"Up to about **{model.break_even():,} requests a month** of this kind the router is the cheaper one. Beyond",
        "that an always-on container is, as it holds many streams in the memory of one process, while Lambda bills",
        "each stream an environment of its own; what is paid for then is that nothing has to be sized, patched or",
        "woken.",
    )


def _bill(model: Model) -> Iterator[str]:
    serving, load, it = model.serving(1e6), model.workload, model.container
    stack, booking = model.stack, model.stack.booking
    total, first = sum(serving.values()), max(serving, key=lambda name: serving[name])
    yield "## Where the bill comes from\n"
    yield from _table(
        ("for a million requests", "$", "share", "how"),
        [
            (name, f"{amount:,.2f}", f"{amount / total:.1%}", _how(model, name))
            for name, amount in sorted(serving.items(), key=lambda each: -each[1])
        ],
    )
    yield from _prose(
        f"{first}: that is the bill. A request is billed {model.billed_seconds:.2f} s, of which {load.seconds:g} s are",
        f"the provider's stream and at most {model.billed_seconds - load.seconds:.2f} s the router's own work. A",
        "caller who goes away is not reported to Lambda: the stream is billed to its end, and only the `timeouts` of",
        "routes.yaml bound it.",
    )
    yield from _prose(
        f"What DynamoDB is asked for one request of a virtual key with a budget. Read: {stack.state_units} units of",
        f"states, {stack.routes_units} of routes and {model.key_reads} of its key and what that has spent, each at",
        "most once in the seconds for which an environment keeps it. Written:",
        f"{booking.row} units of its row of {booking.row_bytes} bytes, {booking.indexes} of the row in the indexes,",
        f"{booking.totals} of its share of {booking.shares} totals, {model.ledger_writes} to reserve and to settle.",
        "That is one call before the answer (none for the master key and for keys without limits) and one after it,",
        f"for which no caller waits. {load.failing:.0%} of the requests write {load.writes_per_failure} more, for a",
        "cooldown. In a transaction each unit counts twice. Rows are kept for `UsageDays`; storage is not reckoned.",
    )
    yield "What stands when nobody calls:\n"
    yield from _table(("a month", "$"), [(name, f"{amount:.2f}") for name, amount in model.standing().items()])
    yield from _prose(
        f"SnapStart would add {_usd(model.snapstart())} a month for each published version; `./deploy.sh` keeps two.",
        "An account's free tier takes off three dashboards, ten alarm metrics, ten custom metrics, 5 GB of logs and",
        "100,000 traces.",
    )
    yield from _prose(
        f"The container: {it.vcpu:g} vCPU and {it.gigabytes:g} GB of Fargate (ARM), a cache.t4g.micro, a db.t4g.micro",
        f"with {it.database_gb:g} GB in one zone, a load balancer and {it.addresses} public addresses:",
        f"{_usd(model.container_total(0))} a month before the first request. One task is taken to hold",
        f"{it.streams_per_task} streams and the peak to be {it.peak:g} times the mean, so {VOLUMES[-1]:,} requests",
        f"need {model.tasks(VOLUMES[-1])}. Neither its logs nor a second zone is in it.",
    )


def _how(model: Model, name: str) -> str:
    load, stack, measured = model.workload, model.stack, model.measured
    return {
        "Lambda, memory times seconds": f"{model.billed_seconds:.2f} s × {stack.memory_mb} MB = "
        f"{model.gb_seconds:.2f} GB-s each",
        "Lambda, requests": "one each",
        "API Gateway": "one each, as no answer exceeds 10 MB",
        "Data to the internet": f"{model.answer_bytes / 1000:,.0f} KB each",
        "DynamoDB": f"{model.reads:g} read units each, {model.writes:g} write units: see below",
        "CloudWatch Logs": f"{measured.log_bytes:g} B measured, {stack.access_log_bytes} B access log, "
        f"{load.platform_log_bytes} B Lambda's own",
        "CloudWatch custom metrics": f"{stack.custom_metrics} at most, whatever the traffic",
        "X-Ray": "every request up to one a second, 5 % of the others",
        "Secrets Manager, calls": f"one for {FRESH_SECRETS:g} s of an environment's work; "
        f"{measured.secret_calls:g} measured per warm request",
    }[name]


def _memory(model: Model) -> Iterator[str]:
    best, few, many = model.best_memory(), model.of_memory(1024), model.of_memory(256)
    yield "## Which memory setting\n"
    yield from _table(
        ("MemorySize", "a million requests", "10,000 requests", "cold, to the first byte", "added to a warm call"),
        [
            (
                f"**{size}**" if size == best else str(size),
                _usd(sum(each.serving(1e6).values())),
                _usd(sum(each.serving(1e4).values())),
                f"{each.cold_start_seconds:.1f} s",
                f"{each.measured.call_added_ms * each.slower:.1f} ms",
            )
            for size, each in ((size, model.of_memory(size)) for size in MEMORIES)
        ],
    )
    yield from _prose(
        f"**{best} MB.** Lambda gives processor with memory, a whole one at {CORE_MB:,} MB. A stream waits for its",
        "provider nearly all of its seconds, and waiting needs no processor: what more memory buys is the cold start",
        f"and milliseconds of a warm call. The process holds {model.measured.resident_mb:g} MB after 1,000 requests",
        f"and may need {model.memory_needed:.0f} MB for the largest request with the largest whole answer. {best} MB",
        f"is the smallest setting that holds it and whose cold start stays under {COLD_START_AIM:g} s. Cold starts are",
        "scaled from a whole processor; Lambda's own part comes on top. `Init Duration` in the log's REPORT lines has",
        "yours.",
    )
    yield from _prose(
        "With few calls most meet a cold environment and memory costs next to nothing: 1,024 MB is",
        f"{_usd(few.total(1e4) - model.total(1e4))} a month more for 10,000 requests. With many hardly any does: 256",
        f"MB saves {_usd(model.total(1e7) - many.total(1e7))} a month of 10,000,000. The parameter is `MemorySize`.",
    )


def _scale(model: Model) -> Iterator[str]:
    wanted, per_10_s, stack = 10_000, model.quotas["lambda_environments_per_10_s"], model.stack
    hourly = wanted * stack.memory_mb / 1024 * 3600 * model.prices["lambda_gb_second"]
    yield f"## To {wanted:,} streams at once\n"
    yield from _prose(
        "On paper, from quotas and the router's own code; not a load test. Each stream occupies one environment. An",
        f"environment reads {stack.state_units} states (one read unit each) when those it knows are older than",
        f"{FRESH_STATES:g} s, and the whole routes table ({stack.routes_units} read units) when that is older than",
        f"{FRESH_ROUTES:g} s. What ends at how many open streams:",
    )
    for seconds in (model.workload.seconds, 5.0, 1.0):
        yield f"Streams of {seconds:g} s, {wanted / seconds:,.0f} new ones a second at {wanted:,} open:\n"
        yield from _table(
            ("ends at", "what", "what moves it", "what happens then"),
            [
                (
                    f"**{limit.streams:,}**" if limit.streams < wanted else f"{limit.streams:,}",
                    limit.what,
                    limit.moved_by,
                    limit.then,
                )
                for limit in model.limits(seconds)
                if limit.streams < 10 * wanted
            ],
        )
    yield from _item(
        f"**Burst.** A function gets {per_10_s:,.0f} new environments every ten seconds: from nothing to {wanted:,}",
        f"takes {wanted / per_10_s * 10:.0f} s, and what comes faster is turned away. No parameter moves it;",
        "provisioned concurrency on the alias or a ramp in the callers goes round it.",
    )
    yield from _item(f"**At once.** `ThrottleBurst` ({stack.throttle_burst:,}) is what the stage takes above its rate.")
    yield from _item(
        "**Hot keys.** The credential of a provider that every chain begins with is read by every request, so it is",
        "the hottest key. The caches above are what keeps it cool: one read a second and environment at most.",
    )
    yield from _item(
        "**Writes** of cooldowns come once for an incident and not for each request: two hundred failures at once are",
        "one. What every request writes are its row, its totals and its ledgers. A key takes 1,000 units a second; and",
        "two bookings at once of the same total refuse each other and try again, which is why each total lies in eight",
        "shards: some hundred bookings a second go through at once, and more wait in memory.",
    )
    yield from _item(
        f"**Money.** {wanted:,} streams are {_usd(hourly)} an hour of Lambda at {stack.memory_mb} MB. If that is not",
        "an hour's peak but every hour, run containers.",
    )
    yield ""
    yield from _prose(
        "In this order: ask for the quota of concurrent executions; set `ThrottleRate` above streams divided by their",
        "seconds, and `ThrottleBurst` with it; set `MemorySize` to 256; keep `ReservedConcurrency` at -1 or above the",
        "peak; watch the alarms for throttles of the function and of the tables.",
    )


def _sources(model: Model, told: Mapping[str, Any]) -> Iterator[str]:
    unsure = ", ".join(f"`{name}`" for name, each in told["prices"].items() if not each["compared"])
    calls = "; ".join(f"{when}: {calls:g}" for when, calls in model.measured.dynamodb_calls.items())
    yield "## Where the figures come from\n"
    yield from _table(
        ("figure", "command"),
        [
            ("this page", "`python scripts/cost.py --write`"),
            ("that it is up to date", "`python scripts/cost.py --check`, which `make test` does too"),
            (
                "milliseconds, memory, cold start, log bytes",
                '`make bench ARGS="--json docs/measured.json"`, which may be on any machine',
            ),
            (f"DynamoDB calls of a warm request ({calls})", "the same, section `aws`"),
            (
                "read units, alarms, metrics, throttles",
                "`python scripts/cost.py`, from template.yaml and routes.yaml",
            ),
            ("prices and quotas", "[prices.json](prices.json), each with its source"),
        ],
    )
    yield from _prose(
        f"Not compared with a source when the price file was written: {unsure}.",
        "Assumed, and to be replaced by your own: `Workload` and `Container` in scripts/cost_model.py.",
    )


def _prose(*parts: str) -> Iterator[str]:
    yield from wrap(" ".join(parts), _WIDTH, break_long_words=False, break_on_hyphens=False)
    yield ""


def _item(*parts: str) -> Iterator[str]:
    yield from wrap(
        " ".join(parts),
        _WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""


def _usd(amount: float) -> str:
    return f"${amount:,.2f}"


def main(argv: Sequence[str] | None = None) -> int:
    """Print the page, write it, or check it."""
    parser = argparse.ArgumentParser(description="Work out what the router costs on AWS.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", action="store_true", help="write docs/cost.md")
    what.add_argument("--check", action="store_true", help="say whether docs/cost.md is what it should be")
    arguments = parser.parse_args(argv)
    text = page(*load())
    if arguments.write:
        PAGE.write_text(text, encoding="utf-8")
    elif arguments.check:
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            print("docs/cost.md is not what its sources say. Run: python scripts/cost.py --write", file=sys.stderr)
            return 1
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(exit_on_closed_pipe(main))
