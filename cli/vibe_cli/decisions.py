"""ROUTING DECISION lines: read from a log, chosen, and put in words for people."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any

from vibe_cli.ink import UNKNOWN, Ink, clean, milliseconds

__all__ = ["MESSAGE", "Decision", "Failure", "Traffic", "Wanted", "for_people", "has_failed", "moment", "parse"]

MESSAGE = "ROUTING DECISION"

Decision = Mapping[str, Any]
"""One line's fields, as vibe_router.pipeline.decision writes them."""


def parse(line: str) -> Decision | None:
    """Return the decision that a log line holds; None for any other line."""
    begin = line.find("{")
    if MESSAGE not in line or begin < 0:
        return None
    try:
        found = json.loads(line[begin:])
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("message") == MESSAGE else None


@dataclass(frozen=True)
class Wanted:
    """Which decisions to show: all, or those that every given filter lets through."""

    model: str | None = None
    failed: bool = False
    fallbacks: bool = False

    def __call__(self, decision: Decision) -> bool:
        """Say whether `decision` is wanted."""
        return (
            (self.model is None or decision.get("selected_model") == self.model)
            and (not self.failed or has_failed(decision))
            and (not self.fallbacks or _whole(decision.get("fallbacks")) > 0)
        )


def has_failed(decision: Decision) -> bool:
    """Say whether the caller got an error, or an answer that broke off."""
    return bool(decision.get("error")) or _whole(decision.get("status")) >= 400


def for_people(decision: Decision, ink: Ink, zone: tzinfo | None = None) -> str:
    """Return a decision as a line: time, model → deployment, failed attempts, first token, total, tokens, status.

    The time is of `zone`; None is this machine's.
    """
    failed = has_failed(decision)
    served = decision.get("deployment")
    attempts = [_attempt(each) for each in _listed(decision, "attempts") if each.get("verdict") != "ok"]
    cooling = ", ".join(clean(str(each)) for each in _listed_text(decision, "cooling"))
    status = f"{decision.get('status', UNKNOWN)}"
    error = f" {clean(str(decision['error']))}" if decision.get("error") else ""
    parts = [
        ink("dim", _time(decision, zone)),
        f"{ink('strong', clean(str(decision.get('selected_model') or '–')))} → "
        + ink("bad" if not served else "warn" if attempts or cooling else "good", clean(str(served or "nobody"))),
        ink("warn", f"after {', '.join(attempts)}") if attempts else "",
        ink("dim", f"cooling: {cooling}") if cooling else "",
        f"first token {milliseconds(_number(decision.get('ttft_ms')))}" if decision.get("stream") else "whole",
        f"total {milliseconds(_number(decision.get('total_ms')))}",
        f"{_tokens(decision, 'prompt_tokens')} + {_tokens(decision, 'completion_tokens')} tokens",
        ink("bad" if failed else "good", status + error),
    ]
    return "  ".join(part for part in parts if part)


def _attempt(attempt: Mapping[str, Any]) -> str:
    status = f" {attempt['status']}" if attempt.get("status") else ""
    return clean(f"{attempt.get('deployment', UNKNOWN)} {attempt.get('verdict', UNKNOWN)}{status}") + (
        f" ({milliseconds(_number(attempt.get('ms')))})"
    )


def _time(decision: Decision, zone: tzinfo | None) -> str:
    at = moment(decision)
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
    """What the decisions of a day amount to: requests served by deployment, and each one's last failure."""

    def __init__(self) -> None:
        self.served: dict[str, int] = {}
        self.requests = 0
        self.last_failures: dict[str, Failure] = {}

    def count(self, decision: Decision) -> None:
        """Take in one decision; their order does not matter."""
        self.requests += 1
        if served := decision.get("deployment"):
            self.served[str(served)] = self.served.get(str(served), 0) + 1
        self.note_failures(decision)

    def note_failures(self, decision: Decision) -> None:
        """Take in the failures of a decision that has been counted."""
        at = moment(decision)
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
    """One attempt that failed; `status` is the provider's, None where there was none."""

    at: datetime
    verdict: str
    status: int | None


def moment(decision: Decision) -> datetime | None:
    """Return when a decision was logged, in UTC; None where it does not say."""
    try:
        return datetime.fromisoformat(str(decision.get("timestamp"))).astimezone(UTC)
    except ValueError:
        return None
