"""Show how every deployment of a stack is: its cooldown, its last error, its share of today's traffic.

    make status                        the stack that `make start` runs here
    make status STACK=vibe-router      a deployed one, by its tables and its log; region and profile as AWS has them
    make status ARGS="--log saved.log"      with the traffic that a saved log of its tells of

A day begins at midnight UTC. A table on a terminal, JSON in a pipe; what can't be known is said to be unknown.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from local.settings import read_environment
from vibe_cli.checkout import CHECKOUT
from vibe_cli.cloudwatch import log_errors, logs_client, traffic
from vibe_cli.decisions import Failure, Traffic, moment, parse
from vibe_cli.errors import CommandError, while_read
from vibe_cli.ink import UNKNOWN, Ink, clean, progress, table
from vibe_cli.operated import Operated, deployed, local_stack
from vibe_cli.target import aws_errors
from vibe_router.core.clock import Clock
from vibe_router.core.models import Catalogue, Deployment
from vibe_router.routing.cooldown import Phase, State
from vibe_router.store.routes import CatalogueCache, RoutesStore
from vibe_router.store.state import StateStore

__all__ = ["Row", "main", "rows"]

_INKS: Mapping[str, str] = {Phase.COOLING: "bad", Phase.DUE: "warn", Phase.PROBING: "warn"}
# The worse one of a deployment's and its credential's states is the one that counts.
_SEVERITY = (Phase.HEALTHY, Phase.DUE, Phase.PROBING, Phase.COOLING)


@dataclass(frozen=True)
class Row:
    """One deployment. What is None is unknown, except where `state` says that there is nothing to tell.

    `scope` is what the cooldown holds: the deployment, or the credential of its provider. `requests` is what it served
    today, `share` that part (0 to 1) of all that were served.
    """

    deployment: str
    models: tuple[str, ...]
    state: str
    scope: str | None = None
    until: datetime | None = None
    verdict: str | None = None
    strikes: int | None = None
    evidence: str | None = None
    last_error: Failure | None = None
    requests: int | None = None
    share: float | None = None


def rows(catalogue: Catalogue, states: Mapping[str, State] | None, today: Traffic | None, now: float) -> list[Row]:
    """Return a row for each deployment of `catalogue`, and for others that served today; None is unknown."""
    served = sum(today.served.values()) if today else 0
    found = []
    for name, deployment in catalogue.deployments.items():
        models = tuple(model.name for model in catalogue.models.values() if name in {each.id for each in model.chain})
        state = _worse(deployment, states, now) if states is not None else None
        found.append(Row(name, models, **_state(state, now), **_traffic(name, today, served)))
    gone = sorted(set(today.served) - set(catalogue.deployments)) if today else []
    found += [Row(name, (), "not in the routes", **_traffic(name, today, served)) for name in gone]
    return found


def _worse(deployment: Deployment, states: Mapping[str, State], now: float) -> State:
    return max((states[each] for each in deployment.state_ids), key=lambda state: _SEVERITY.index(state.phase(now)))


def _state(state: State | None, now: float) -> dict[str, Any]:
    if state is None:
        return {"state": UNKNOWN}
    told: dict[str, Any] = {"state": state.phase(now).value}
    if state.until:
        told |= {
            "scope": state.id.partition("#")[0],
            "until": datetime.fromtimestamp(state.until, UTC),
            "verdict": state.verdict,
            "strikes": state.strikes,
            "evidence": state.evidence or None,
        }
    return told


def _traffic(name: str, today: Traffic | None, served: int) -> dict[str, Any]:
    if today is None:
        return {}
    requests = today.served.get(name, 0)
    return {
        "last_error": today.last_failures.get(name),
        "requests": requests,
        "share": requests / served if served else None,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    summary, _, more = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="status", description=summary, epilog=more, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--stack", default=os.environ.get("STACK"), help="the deployed stack's name (STACK)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="count the traffic of this log instead of the stack's")
    parser.add_argument("--json", action="store_true", help="JSON on a terminal too")
    args = parser.parse_args(argv)
    clock = Clock()
    now = clock.now()
    try:
        stack = _stack(args.stack)
        catalogue, states = _tables(stack, clock)
        today = _today(stack, args.log, now)
    except CommandError as error:
        progress(str(error))
        return error.status
    except KeyboardInterrupt:
        return 130
    found = rows(catalogue, states, today, now)
    if args.json or not sys.stdout.isatty():
        print(_for_programs(stack, found, today), end="")
    else:
        print(_for_people(found, today, now, Ink(sys.stdout)), end="")
    return 0


def _stack(name: str | None) -> Operated:
    if name:
        return deployed(name)
    if local := local_stack(read_environment(CHECKOUT)):
        return local
    raise CommandError(
        "Which stack? The local one is not running (make start); a deployed one:  make status STACK=vibe-router"
    )


def _tables(stack: Operated, clock: Clock) -> tuple[Catalogue, Mapping[str, State] | None]:
    """Return the routes and the states of all they name; None for states when their table can't be read."""
    with aws_errors(stack.routes):
        client = stack.dynamodb()
        table_rows = RoutesStore(client, stack.routes.table).read()
    catalogue = CatalogueCache(lambda: table_rows, clock).get()
    ids = dict.fromkeys(each for deployment in catalogue.deployments.values() for each in deployment.state_ids)
    store = StateStore(client, stack.state_table, clock)
    states = store.read(tuple(ids))
    if store.degraded:
        progress(f"The table {stack.state_table} can't be read: cooldowns are unknown.")
        return catalogue, None
    return catalogue, states


def _today(stack: Operated, log: Path | None, now: float) -> Traffic | None:
    """Return what came since midnight UTC; None, and a word why on standard error, when it can't be known."""
    midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if log is not None:
        return _of_file(log, midnight)
    if stack.log_group is None:
        progress(
            "The local stack's log is its standard output: for the traffic, keep it (make start > FILE), --log FILE"
        )
        return None
    try:
        with log_errors(stack.log_group):
            return traffic(logs_client(), stack.log_group, midnight.timestamp(), now)
    except CommandError as error:
        progress(f"{error}\nThe traffic is unknown.")
        return None


def _of_file(log: Path, midnight: datetime) -> Traffic:
    today = Traffic()
    try:
        with log.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                decision = parse(line)
                if decision and (at := moment(decision)) and at >= midnight:
                    today.count(decision)
    except OSError as error:
        raise CommandError(f"{log} can't be read: {error.strerror}") from error
    return today


def _for_programs(stack: Operated, found: Sequence[Row], today: Traffic | None) -> str:
    told = {
        "stack": stack.name,
        "requests_today": today.requests if today else None,
        "deployments": [asdict(row) for row in found],
    }
    return json.dumps(told, indent=2, ensure_ascii=False, default=lambda moment: moment.isoformat()) + "\n"


def _for_people(found: Sequence[Row], today: Traffic | None, now: float, ink: Ink) -> str:
    head = ("deployment", "state", "cooldown", "last error", "today")
    cells = [
        (clean(row.deployment), row.state, _cooldown(row, now), _last_error(row, today), _share(row)) for row in found
    ]
    told = table(head, cells, [_INKS.get(row.state) for row in found], ink)
    if today is None:
        return f"{told}Requests today: {UNKNOWN}\n"
    unserved = today.requests - sum(today.served.values())
    return f"{told}Requests today, since midnight UTC: {today.requests}, of which {unserved} got an error\n"


def _cooldown(row: Row, now: float) -> str:
    if row.state == UNKNOWN:
        return UNKNOWN
    if row.until is None:
        return "–"
    left = row.until.timestamp() - now
    when = f"for {timedelta(seconds=round(left))}" if left > 0 else f"over since {row.until:%H:%M:%S} UTC"
    what = "" if row.scope == "deployment" else f", the provider's {row.scope}"
    return f"{when}: {row.verdict or UNKNOWN}{what}, {row.strikes} strike{'' if row.strikes == 1 else 's'}"


def _last_error(row: Row, today: Traffic | None) -> str:
    if row.evidence:
        return clean(row.evidence, 80)
    if row.last_error:
        status = f" {row.last_error.status}" if row.last_error.status else ""
        return f"{row.last_error.at:%H:%M:%S} UTC {clean(row.last_error.verdict)}{status}"
    return UNKNOWN if today is None else "none today"


def _share(row: Row) -> str:
    if row.requests is None:
        return UNKNOWN
    return f"{row.requests} ({row.share:.0%})" if row.share is not None else f"{row.requests}"


if __name__ == "__main__":
    sys.exit(while_read(main))
