"""An alert: one event about one subject in one period, and the sentence that reports it.

The id of an alert is derived from event, subject and period. The environment that detects the event
writes the alert under this id if there is none yet (store.alerts), so it is raised once by all environments. No key,
prompt or answer is in an alert.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from vibe_router.core.models import ALERT_EVENTS

__all__ = ["ALERT_EVENTS", "TEST", "Alert", "Figure", "alert_id", "describe"]

TEST = "test"
"""The event of an alert that somebody sends by hand to try a receiver."""

Figure = str | int | float


@dataclass(frozen=True, slots=True)
class Alert:
    """An event. `subject` is its name for people; `figures` are the event's numbers, times and reasons.

    `keep_until` is when the id may be forgotten (epoch seconds); None if the same alert must never be raised again.
    """

    id: str
    event: str
    subject: str
    figures: Mapping[str, Figure] = field(default_factory=dict)
    keep_until: float | None = None


def alert_id(event: str, *parts: object) -> str:
    """Return the id of an alert. It is also sent to receivers, so it reveals nothing about its parts."""
    identity = "\0".join((event, *(str(each) for each in parts)))
    return f"{event}-{hashlib.sha256(identity.encode(errors='replace')).hexdigest()[:32]}"


def describe(event: str, subject: str, figures: Mapping[str, Figure]) -> str:
    """Return the sentence that reports an alert."""

    def figure(name: str) -> str:
        return str(figures.get(name, "?"))

    def dollars(name: str) -> str:
        value = figures.get(name)
        if not isinstance(value, int | float):
            return "$?"
        return f"${value:,.2f}" if value >= 1 or round(value, 2) == value else f"${value:.4g}"

    def percent(name: str) -> str:
        value = figures.get(name)
        return f"{value * 100:.4g} %" if isinstance(value, int | float) else "? %"

    resets = f" It resets at {_moment(figures['resets_at'])}." if "resets_at" in figures else ""
    match event:
        case "budget":
            spent = f"{dollars('spent')} of {dollars('budget')}"
            return f"The {figure('owner')} {subject} has spent {spent}: {percent('threshold')} or more.{resets}"
        case "soft_budget":
            spent = f"{dollars('spent')}, and with it its soft budget of {dollars('budget')}"
            return f"The {figure('owner')} {subject} has spent {spent}. Its requests are still served.{resets}"
        case "quota":
            used = f"{percent('used')} of its quota ({figure('window')})"
            return f"{subject} has used {used}; the threshold is {percent('threshold')}.{resets}"
        case "cooldown":
            until = _moment(figures.get("until"))
            since = f"cooling since {_moment(figures.get('since'))}, at least until {until}"
            return f"{subject} has been {since} ({figure('reason')})."
        case "credential":
            return f"{subject} rejects its credential{_status(figures)}. Set a valid key in the router's secret."
        case "no_deployment":
            request = f"Request {figure('request_id')} was answered with {figure('status')}"
            return f"No deployment of {subject} could answer. {request}."
        case "rollback":
            return f"Complexity routing of {subject} is back in manual mode: {figure('reason')}."
        case "test":
            return f"This is a test of the receiver {subject}."
    return f"{event}: {subject}."


def _moment(value: object) -> str:
    """Return a time of a figure, which is in ISO 8601, in words."""
    text = str(value or "")
    return f"{text[:10]} {text[11:16]} UTC" if len(text) >= 16 else "an unknown time"


def _status(figures: Mapping[str, Figure]) -> str:
    return f" ({figures['status']})" if "status" in figures else ""
