"""The verdicts of Bedrock's exceptions."""

import json

import pytest

from vibe_router.routing.classification import classify_failure
from vibe_router.routing.verdict import Failure, FailureKind, Verdict


@pytest.mark.parametrize(
    ("name", "status", "message", "verdict"),
    [
        ("ThrottlingException", 429, "Too many requests, please wait before trying again.", Verdict.RATE_LIMITED),
        ("ThrottlingException", 429, "Too many tokens per day, please wait before trying again.", Verdict.QUOTA),
        ("ServiceUnavailableException", 503, "", Verdict.TRANSIENT),
        ("ModelNotReadyException", 429, "", Verdict.TRANSIENT),
        ("InternalServerException", 500, "", Verdict.TRANSIENT),
        ("ModelTimeoutException", 408, "", Verdict.TRANSIENT),
        ("ModelErrorException", 424, "", Verdict.TRANSIENT),
        ("AccessDeniedException", 403, "You don't have access to the model.", Verdict.MISCONFIGURED),
        ("ResourceNotFoundException", 404, "", Verdict.MISCONFIGURED),
        ("ValidationException", 400, "The provided model identifier is invalid.", Verdict.MISCONFIGURED),
        (
            "ValidationException",
            400,
            "Invocation of model ID x with on-demand throughput isn\u2019t supported. Retry your request with the ID "
            "or ARN of an inference profile that contains this model.",
            Verdict.MISCONFIGURED,
        ),
        (
            "ValidationException",
            400,
            "The provided model doesn't support on-demand throughput.",
            Verdict.MISCONFIGURED,
        ),
        ("ValidationException", 400, "Operation not allowed", Verdict.MISCONFIGURED),
        ("ServiceQuotaExceededException", 400, "", Verdict.QUOTA),
        ("ExpiredTokenException", 403, "", Verdict.AUTH),
        ("ValidationException", 400, "Input is too long for requested model.", Verdict.CONTEXT_LENGTH),
        ("ValidationException", 400, "The text field is blank.", Verdict.CLIENT),
        ("modelStreamErrorException", None, "", Verdict.TRANSIENT),
        ("throttlingException", None, "", Verdict.RATE_LIMITED),
        ("validationException", None, "Malformed input.", Verdict.CLIENT),
    ],
)
def test_an_exception_is_judged_by_its_name(name: str, status: int | None, message: str, verdict: Verdict) -> None:
    body = json.dumps({"error": {"type": name, "message": message}}).encode()
    kind = FailureKind.STATUS if status else FailureKind.IN_BODY
    assert classify_failure(Failure(kind, status or 200, body=body), 0).verdict is verdict
