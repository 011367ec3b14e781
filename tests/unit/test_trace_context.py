"""The trace that a request joins or begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.trace_context import trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f" 00-{TRACE}-{SPAN}-03 ", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"cc-{TRACE}-{SPAN}-01-later-fields", True),
    ],
)
def test_a_valid_traceparent_is_joined(header: str, sampled: bool) -> None:
    context = trace_context(header, "request-1")
    assert (context.trace_id, context.parent_id, context.sampled) == (TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01-" + "x" * 600,
    ],
)
def test_an_invalid_traceparent_begins_a_new_trace(header: str | None) -> None:
    context = trace_context(header, "request-1")
    assert context == trace_context(None, "request-1")
    assert (len(context.trace_id), context.parent_id, context.sampled) == (32, "", True)


def test_two_requests_of_one_trace_have_different_spans() -> None:
    header = f"00-{TRACE}-{SPAN}-01"
    first, second = (trace_context(header, each) for each in ("request-1", "request-2"))
    spans = {context.span_id(name) for context in (first, second) for name in ("request", "attempt 0")}
    assert len(spans) == 4


@given(st.text(max_size=80), st.text(max_size=20))
def test_any_text_gives_a_trace(header: str, request_id: str) -> None:
    context = trace_context(header, request_id)
    assert int(context.trace_id, 16)
    assert int(context.span_id("request"), 16)
