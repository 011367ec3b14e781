"""Decide what a request is charged: the tokens that the provider reports, if they are plausible, and their price.

A stream that was cut has no report: it is charged for what was streamed. A report far beyond what the request can use
is a mistake or a fraud: it is replaced by what was requested. Both are flagged in the request's record.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Protocol

from vibe_router.core.models import Deployment
from vibe_router.core.usage import Usage
from vibe_router.store.ledger import Reservation

__all__ = ["BOUNDED", "ESTIMATED", "bounded_usage", "charged_cost", "cut_stream_usage"]

ESTIMATED = "estimated"  # flags of a record: counted by the router, since the provider did not
BOUNDED = "bounded"  # the provider reported more than the request can use

_PLAIN_PROMPT = 200_000  # tokens that a prompt may have beyond its estimate: a provider's own tools and attachments
_PROMPT_FACTOR = 8  # by which the estimate of a prompt may be too low
_MAX_ANSWER = 200_000  # tokens of an answer without a limit; no model gives more
_ANSWER_SLACK = 32_000  # tokens beyond a limit that are charged as reported: some limits leave out the reasoning
_EVENT_BYTES = 180  # of an event's JSON around its text
_TOKEN_BYTES = 4


class Requested(Protocol):
    """The parts of a request that bound its usage."""

    @property
    def max_output_tokens(self) -> int | None:
        """The limit of tokens in each answer."""

    @property
    def answers(self) -> int:
        """The number of answers requested."""

    def prompt_tokens_estimate(self) -> int:
        """Return the estimated tokens of the prompt."""


def cut_stream_usage(usage: Usage, request: Requested, events: int, sent_bytes: int) -> Usage:
    """Return the usage of a stream that was cut after so many `events` with so many bytes."""
    streamed = max(events, (sent_bytes - events * _EVENT_BYTES) // _TOKEN_BYTES)
    return replace(
        usage,
        prompt_tokens=usage.prompt_tokens or request.prompt_tokens_estimate(),
        completion_tokens=max(usage.completion_tokens or 0, streamed),
    )


def bounded_usage(usage: Usage, request: Requested) -> Usage:
    """Return `usage`, with implausible numbers of tokens replaced by what was requested.

    The prompt is estimated only if its count is large enough for doubt.
    """
    prompt, completion = usage.prompt_tokens, usage.completion_tokens
    answers = max(request.answers, 1)
    limit = request.max_output_tokens or _MAX_ANSWER
    thought = min(usage.reasoning_tokens or 0, answers * _MAX_ANSWER)  # which limits of some providers do not bound
    if completion is not None and completion - thought > answers * (2 * limit + _ANSWER_SLACK):
        completion = answers * limit
    if prompt is not None and prompt > _PLAIN_PROMPT:
        estimate = request.prompt_tokens_estimate()
        if prompt > _PROMPT_FACTOR * estimate + _PLAIN_PROMPT:
            prompt = estimate
    if (prompt, completion) == (usage.prompt_tokens, usage.completion_tokens):
        return usage
    cached, written, audio_in = _parts(
        prompt, (usage.cached_tokens, usage.cache_write_tokens, usage.audio_prompt_tokens)
    )
    [reasoning], [audio_out] = (
        _parts(completion, [each]) for each in (usage.reasoning_tokens, usage.audio_completion_tokens)
    )
    return Usage(prompt, completion, cached, written, reasoning, audio_in, audio_out)


def charged_cost(served: Deployment | None, cost: int | None, reservation: Reservation | None) -> int:
    """Return what key and team are charged, in nano-dollars; `served` is None for an error, which costs nothing.

    If the cost is unknown although there is a price, the reserved amount is charged: otherwise a provider that counts
    no tokens would make a budget unlimited.
    """
    if served is None:
        return 0
    if cost is not None:
        return cost
    return reservation.cost if reservation and served.price else 0


def _parts(whole: int | None, parts: Iterable[int | None]) -> list[int | None]:
    """Return `parts`, reduced so that together they are at most `whole`."""
    left = whole or 0
    bounded: list[int | None] = []
    for part in parts:
        bounded.append(None if part is None else min(part, left))
        left -= bounded[-1] or 0
    return bounded
