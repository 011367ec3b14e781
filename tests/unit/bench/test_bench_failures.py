"""The right answers to a failing provider."""

import pytest

from bench.failures import Outcome, judge

WHOLE = "quartz basalt granite marble"


@pytest.mark.parametrize(
    ("failure", "status", "text", "ended", "error", "seconds", "verdict"),
    [
        ("500", 200, WHOLE, True, "", 0.1, "ok: whole answer"),
        ("500", 502, "", False, "bad gateway", 0.1, "error 502"),
        ("reset", None, "", False, "", 0.1, "connection broken"),
        ("silence", None, "", False, "", 20.1, "no end"),
        ("cut", 200, "quartz ", False, "broke off", 0.1, "ok: an error is reported"),
        ("cut", 200, "quartz ", False, "", 0.1, "ok: the connection breaks"),
        ("cut", 200, "quartz ", True, "", 0.1, "incomplete answer that looks whole"),
        ("no-done", 200, WHOLE, False, "", 0.1, "no answer, the connection breaks"),
    ],
)
def test_verdict(
    failure: str, status: int | None, text: str, ended: bool, error: str, seconds: float, verdict: str
) -> None:
    assert judge(Outcome("gateway", failure, True, status, text, ended, error, seconds)) == verdict
