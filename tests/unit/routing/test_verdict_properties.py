"""Properties of verdicts for every answer, however broken."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.routing.classification import classify_failure
from vibe_router.routing.verdict import Classification, Failure, FailureKind, Scope, Verdict

YEAR = 365 * 86_400
NOW = 1_785_000_000.0

words = st.sampled_from([
    "context_length_exceeded", "insufficient_quota", "rate_limit_error", "429", "RESOURCE_EXHAUSTED", "error",
    "response.failed", "model_cooldown", "try again in 20s", "reset at 2026-08-03 23:59:59 +0800 CST", "137h41m9s",
    '{"error": {"code": 429}}', "prompt is too long", "reset at 9999-99-99 99:99:99", "Not Found", "{", "0s", "1e400",
    "reset at 0001-01-01 00:00 +23:59", "reset at 9999-12-31 23:59:59 -23:59",
])  # fmt: skip
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | words
keys = (
    st.sampled_from([
        "error", "type", "code", "message", "param", "status", "details", "response", "detail", "errors", "metadata",
        "violations", "quotaId", "reason", "innererror", "reset_seconds", "reset_time", "resets_at", "retryDelay",
        "resets_in_seconds", "retry_after_ms", "object",
    ])
    | st.text(max_size=4)
)  # fmt: skip
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5), max_leaves=12
)
errors = st.fixed_dictionaries({"message": st.text(min_size=1) | words}, optional={"type": words, "code": scalars})
junk = documents.map(lambda document: json.dumps(document).encode())
bodies = st.binary(max_size=200) | junk | st.tuples(st.binary(max_size=8), junk).map(b"".join)
header_names = st.sampled_from([
    "retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-reset-requests", "x-ratelimit-reset-tokens",
    "anthropic-ratelimit-tokens-reset", "anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-unified-status",
])  # fmt: skip
header_values = words | st.text(max_size=30) | st.floats().map(str) | st.integers().map(str)
failures = st.builds(
    Failure,
    kind=st.sampled_from(FailureKind),
    status=st.none() | st.integers(100, 599),
    headers=st.dictionaries(header_names, header_values, max_size=4),
    body=bodies,
)


def written(classification: Classification) -> bytes:
    return json.dumps(
        [classification.type, classification.code, classification.param, classification.message], ensure_ascii=False
    ).encode()


@given(failures)
def test_any_answer_has_a_classification_that_can_be_acted_on(failure: Failure) -> None:
    classification = classify_failure(failure, NOW)
    assert classification.reset_after is None or 0 < classification.reset_after <= YEAR
    assert len(written(classification)) < 64_000
    if classification.fast_retry or classification.timeout:
        assert classification.verdict is Verdict.TRANSIENT
    if classification.verdict in (Verdict.CLIENT, Verdict.CONTENT_POLICY, Verdict.CONTEXT_LENGTH, Verdict.UNSUPPORTED):
        assert classification.status in (400, 413, 414, 415, 422, 431)
        assert classification.reset_after is None
    if classification.verdict in (Verdict.TRANSIENT, Verdict.RATE_LIMITED, Verdict.CLIENT):
        assert classification.scope is Scope.DEPLOYMENT


@given(st.sampled_from([FailureKind.STATUS, FailureKind.IN_BODY]), st.integers(200, 599), errors)
def test_an_envelope_changes_only_its_own_fields(kind: FailureKind, status: int, error: dict[str, Any]) -> None:
    bare, *wrapped = (
        classify_failure(Failure(kind, status, body=json.dumps(body).encode()), NOW)
        for body in (
            {"error": error},
            [{"error": error}],
            {"type": "error", "error": error},
            {"type": "response.failed", "response": {"error": error}},
        )
    )
    assert wrapped == [bare] * 3


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":' * 100_000,
        b"[" * 100_000,
        b'{"error":' * 3000 + b"1" + b"}" * 3000,
        b'{"error": {"code": ' + b"9" * 6000 + b"}}",
        b'{"error": {"resets_at": 1e999, "resets_in_seconds": NaN, "code": -0.0}}',
        b'{"error": {"message": "' + b"try again in " * 5000 + b'"}}',
        b'{"error": {"message": "try again in ' + b"1h " * 20_000 + b'"}}',
        b"\xff\xfe\x00" * 20_000,
        b"\x00" * 65_536,
        b"<" * 65_536,
    ],
    ids=["endless objects", "endless lists", "deep nesting", "a number of 6000 digits", "numbers that are none",
         "a hint repeated", "a hint without end", "invalid UTF-8", "NULs", "something like HTML"],
)  # fmt: skip
def test_a_hostile_body_is_only_a_failure(body: bytes) -> None:
    assert classify_failure(Failure(FailureKind.STATUS, 503, body=body), NOW).verdict is Verdict.TRANSIENT
