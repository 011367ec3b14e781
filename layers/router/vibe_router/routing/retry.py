"""Decide whether the same deployment is retried, and after how long."""

from vibe_router.core.models import Policy
from vibe_router.routing.failure_rules import contains
from vibe_router.routing.verdict import Classification, Verdict

__all__ = ["REJECTIONS", "STOPPING", "rejects_reasoning_proof", "requires_reasoning", "requires_stream", "retry_delay"]

# End the failover: what one provider finds objectionable is not offered to the others.
STOPPING = frozenset({Verdict.CONTENT_POLICY})
# Concern the request, not the health of the deployment: no cooldown.
REJECTIONS = STOPPING | {Verdict.CLIENT, Verdict.CONTEXT_LENGTH, Verdict.UNSUPPORTED}

# Seconds. Full jitter over this window keeps retries of one incident apart; a blip of a relay is over within it.
_JITTER = 0.25


# Words by which providers reject a proof of earlier reasoning that another provider issued.
_PROOF = ("signature", "encrypted content", "encrypted_content", "thinking block", "`thinking`", "redacted_thinking")


def rejects_reasoning_proof(classification: Classification) -> bool:
    """Return whether the provider rejected the request for a signature or encrypted reasoning that it did not issue."""
    text = f"{classification.code or ''} {classification.message}".lower()
    is_rejection = classification.verdict in (Verdict.CLIENT, Verdict.UNSUPPORTED)
    return is_rejection and classification.status == 400 and any(word in text for word in _PROOF)


# How providers demand the reasoning of earlier turns, in lower case.
_REASONING_REQUIRED = (
    "reasoning_content*passed back",  # DeepSeek
    "reasoning_content is missing",  # Moonshot
    "missing reasoning_content",
    "reasoning_content*is required",
    "reasoning_content*must be provided",
)


def requires_reasoning(classification: Classification) -> bool:
    """Return whether the provider rejected the request only because an earlier turn lacks its `reasoning_content`."""
    message = classification.message.lower()
    return classification.verdict in REJECTIONS and any(contains(message, phrase) for phrase in _REASONING_REQUIRED)


# How providers demand a streamed request, in lower case.
_STREAM_REQUIRED = (
    "stream must be set to true",  # New API's codex channels
    "stream must be true",
    "stream=true",
    "stream to true",
    "only support stream",  # Alibaba
    "only supports stream",
    "only streaming is supported",
    "non-streaming is not supported",
    "non-streaming calls",  # Alibaba: enable_thinking must be false for these
    "streaming is required",  # Anthropic
    "requires streaming",
)


def requires_stream(classification: Classification) -> bool:
    """Return whether the provider rejected the request only because it did not ask for a stream."""
    message = classification.message.lower()
    return classification.verdict in REJECTIONS and any(phrase in message for phrase in _STREAM_REQUIRED)


def retry_delay(
    classification: Classification, policy: Policy, *, tried: int, waited: bool, last: bool, left: float, jitter: float
) -> float | None:
    """Return the seconds to wait before the same deployment is tried again, or None to go on.

    `tried` counts the retries made there so far, `waited` says whether a Retry-After was waited out already, `last`
    whether no other deployment is left, `left` is the attempt's time left in seconds, `jitter` is uniform in [0, 1).
    Only a transient failure that failed fast is retried; only a provider's own short Retry-After is waited out.
    """
    delay: float | None = None
    if classification.reset_after is not None and classification.verdict in (Verdict.RATE_LIMITED, Verdict.TRANSIENT):
        bound = policy.max_last_wait if last else policy.max_inline_wait
        if not waited and classification.reset_after <= bound:
            delay = classification.reset_after
    elif classification.fast_retry and tried < policy.retries:
        delay = _JITTER * jitter
    return delay if delay is not None and delay < left else None
