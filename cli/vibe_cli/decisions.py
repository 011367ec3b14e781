"""ROUTING DECISION lines: parse, filter, count and format them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from vibe_cli.output import Ink, clean, milliseconds
from vibe_router.core.record import DECISION

__all__ = [
    "Decision",
    "DecisionFilter",
    "Failure",
    "Traffic",
    "format_decision",
    "has_failed",
    "logged_at",
    "parse_decision",
]

_UNKNOWN = "unknown"

Decision = Mapping[str, Any]
"""The fields of a line, as vibe_router.core.record declares them."""


def parse_decision(line: str) -> Decision | None:
    """Return the decision in a log line, which may have a prefix; None for any other line."""
    begin = line.find("{")
    if DECISION not in line or begin < 0:
        return None
    try:
        found = json.loads(line[begin:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("message") == DECISION else None


@dataclass(frozen=True)
class DecisionFilter:
    """Match decisions by virtual model, failure and fallbacks; all of them by default."""

    model: str | None = None
    failed: bool = False
    fallbacks: bool = False

    def __call__(self, decision: Decision) -> bool:
        """Return whether `decision` matches."""
        return (
            (self.model is None or decision.get("selected_model") == self.model)
            and (not self.failed or has_failed(decision))
            and (not self.fallbacks or _whole(decision.get("fallbacks")) > 0)
        )


def has_failed(decision: Decision) -> bool:
    """Return whether the caller got an error or a truncated answer."""
    return bool(decision.get("error")) or _whole(decision.get("status")) >= 400


def format_decision(decision: Decision, ink: Ink, zone: tzinfo | None = None) -> str:
    """Return a decision as a line: time, model → deployment, failed attempts, first token, total, tokens, status.

    `zone` is the time zone; None is the local one.
    """
    failed = has_failed(decision)
    served = decision.get("deployment")
    attempts = [_attempt(each) for each in _listed(decision, "attempts") if each.get("verdict") != "ok"]
    cooling = ", ".join(clean(str(each)) for each in _listed_text(decision, "cooling"))
    status = f"{decision.get('status', _UNKNOWN)}"
    error = f" {clean(str(decision['error']))}" if decision.get("error") else ""
    parts = [
        ink("dim", _time(decision, zone)),
        f"{ink('strong', clean(str(decision.get('selected_model') or '–')))} → "
        + ink("bad" if not served else "warn" if attempts or cooling else "good", clean(str(served or "none"))),
        ink("warn", f"after {', '.join(attempts)}") if attempts else "",
        ink("dim", f"skipped: {cooling}") if cooling else "",
        f"first token {milliseconds(_number(decision.get('ttft_ms')))}" if decision.get("stream") else "whole",
        f"total {milliseconds(_number(decision.get('total_ms')))}",
        f"{_tokens(decision, 'prompt_tokens')} + {_tokens(decision, 'completion_tokens')} tokens",
        ink("bad" if failed else "good", status + error),
    ]
    return "  ".join(part for part in parts if part)


def _attempt(attempt: Mapping[str, Any]) -> str:
    status = f" {attempt['status']}" if attempt.get("status") else ""
    return clean(f"{attempt.get('deployment', _UNKNOWN)} {attempt.get('verdict', _UNKNOWN)}{status}") + (
        f" ({milliseconds(_number(attempt.get('ms')))})"
    )


def _time(decision: Decision, zone: tzinfo | None) -> str:
    at = logged_at(decision)
    return at.astimezone(zone).strftime("%H:%M:%S") if at else "--:--:--"


def _listed(decision: Decision, name: str) -> list[Mapping[str, Any]]:
    found = decision.get(name)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _listed_text(decision: Decision, name: str) -> list[str]:
    found = decision.get(name)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def _tokens(decision: Decision, name: str) -> str:
    value = decision.get(name)
    return "?" if value is None else str(value)


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0


class Traffic:
    """Counts of decisions: requests by the deployment that served them, and the last failure of each deployment."""

    def __init__(self) -> None:
        self.served: dict[str, int] = {}
        self.requests = 0
        self.last_failures: dict[str, Failure] = {}

    def count(self, decision: Decision) -> None:
        """Count a decision; the order does not matter."""
        self.requests += 1
        if served := decision.get("deployment"):
            self.served[str(served)] = self.served.get(str(served), 0) + 1
        self.note_failures(decision)

    def note_failures(self, decision: Decision) -> None:
        """Note the failed attempts of a decision."""
        at = logged_at(decision)
        if at is None:
            return
        for attempt in _listed(decision, "attempts"):
            if attempt.get("verdict") in ("ok", None):
                continue
            name = str(attempt.get("deployment"))
            before = self.last_failures.get(name)
            if before is None or before.at <= at:
                self.last_failures[name] = Failure(at, str(attempt["verdict"]), attempt.get("status"))


@dataclass(frozen=True)
class Failure:
    """A failed attempt; `status` is the provider's HTTP status, None if there was none."""

    at: datetime
    verdict: str
    status: int | None


def logged_at(decision: Decision) -> datetime | None:
    """Return the time of a decision in UTC; None if it has none."""
    try:
        return datetime.fromisoformat(str(decision.get("timestamp"))).astimezone(UTC)
    except ValueError:
        return None
