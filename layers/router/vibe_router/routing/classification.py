"""Classify a failed attempt: read the provider's error and apply the table of `routing.failure_rules`."""

from vibe_router.core.models import RelayMarks
from vibe_router.routing.error_answer import ErrorAnswer, read_error
from vibe_router.routing.failure_rules import CALLER_STATUSES, FAILURE_RULES, IMPLIED_STATUS
from vibe_router.routing.reset_hint import reset_after
from vibe_router.routing.verdict import Classification, Failure, FailureKind, Scope, Verdict

__all__ = ["classify_failure"]


def classify_failure(failure: Failure, now: float, relay: RelayMarks = RelayMarks()) -> Classification:  # noqa: B008 - immutable
    """Classify `failure` at `now` (epoch seconds). Never raises, whatever the provider sent.

    `relay`: how the provider, if it is a relay, marks the rejections that it passes on from one of its accounts. These
    concern one deployment; only a rejection of the router's own key concerns the credential.
    """
    if failure.kind not in (FailureKind.STATUS, FailureKind.IN_BODY):
        timeout = failure.kind is FailureKind.TIMEOUT
        return Classification(
            Verdict.TRANSIENT,
            Scope.DEPLOYMENT,
            # A retry at once helps only after a broken connection, not after one that was refused or a timeout.
            fast_retry=failure.kind is FailureKind.RESET,
            timeout=timeout,
            silent=timeout,
            status=failure.status,
        )
    answer = read_error(failure.body)
    status = _status(failure, answer)
    rule = next(rule for rule in FAILURE_RULES if rule.matches(status, answer))
    verdict, scope = rule.verdict, rule.scope
    if verdict is Verdict.CLIENT and failure.in_open_stream and _is_invalid_by_type_alone(answer):
        verdict = Verdict.TRANSIENT  # a provider that began to answer had accepted the request
    if scope is Scope.CREDENTIAL and _is_passed_on(failure, answer, relay):
        scope = Scope.DEPLOYMENT
    transient = verdict is Verdict.TRANSIENT
    return Classification(
        verdict,
        scope,
        reset_after=(
            reset_after(failure.headers, answer, now, buckets=verdict is Verdict.RATE_LIMITED)
            if verdict in _HEALING
            else None
        ),
        fast_retry=transient and rule.fast_retry and status in _FAST,
        timeout=transient and status in _TIMEOUTS,
        status=_caller_status(status) if verdict in _FOR_CALLER else status,
        type=answer.type or None,
        code=answer.code or None,
        param=answer.param or None,
        message=answer.message,
    )


def _is_passed_on(failure: Failure, answer: ErrorAnswer, relay: RelayMarks) -> bool:
    """Return whether a relay passes on a rejection of one of its accounts."""
    if answer.is_quoted or (relay.passed_on_header and relay.passed_on_header in failure.headers):
        return True
    if relay.own_error_type:
        return answer.is_error and answer.type != relay.own_error_type
    # A provider about which the routes say nothing may be a New API, which signs every message that it sends.
    return _NEW_API_SIGNATURE in answer.text and answer.type not in _NEW_API_TYPES


def _is_invalid_by_type_alone(answer: ErrorAnswer) -> bool:
    return not answer.param and answer.code.lower() in ("", answer.type.lower(), "400")


def _status(failure: Failure, answer: ErrorAnswer) -> int | None:
    """Return the HTTP status of the cause, None if unknown.

    A relay wraps its upstream's error into a 5xx of its own, and an error inside a 200 has only the status it names.
    """
    own = failure.status if failure.kind is FailureKind.STATUS and failure.status != 200 else None
    if own is not None and not answer.is_quoted:
        return answer.status if own >= 500 and answer.status else own
    implied = (IMPLIED_STATUS[name] for name in answer.names if name in IMPLIED_STATUS)
    return answer.status or min(implied, default=own or answer.relay_status)


def _caller_status(status: int | None) -> int:
    """Return the status for the caller, to whom a provider's 401, 403 or 5xx would mean something else."""
    return status if status in CALLER_STATUSES else 400


_HEALING = frozenset({Verdict.TRANSIENT, Verdict.RATE_LIMITED, Verdict.QUOTA, Verdict.AUTH})
_FOR_CALLER = frozenset({Verdict.CLIENT, Verdict.CONTENT_POLICY, Verdict.CONTEXT_LENGTH, Verdict.UNSUPPORTED})
_FAST = frozenset({500, 502, 503, 504})
_TIMEOUTS = frozenset({408, 504, 524})  # 524 is Cloudflare's, for an origin that stayed silent
_NEW_API_SIGNATURE = "(request id: "
_NEW_API_TYPES = ("new_api_error", "one_api_error")
