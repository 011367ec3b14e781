"""Inspects the texts of requests by guardrails of Amazon Bedrock. Imported with the first such guard.

An agent sends its whole conversation with every turn, so texts in which a guardrail found nothing are remembered, by a
digest and in memory only, and not sent again.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Guard
from vibe_router.core.telemetry import logger
from vibe_router.upstream.client import Upstream
from vibe_router.upstream.guardrail import Assessment, GuardrailError, apply_guardrail

__all__ = ["GuardrailOutcome", "Guardrails"]

_SECONDS = 10.0  # for all texts of a request
_MOST_CHARACTERS = 20_000  # of one call: Bedrock's quota is 25 units of 1,000 characters, by default
_MOST_TEXTS = 50  # of one call
_REMEMBERED = 10_000  # digests


class GuardrailOutcome(NamedTuple):
    """Findings by kind, whether the request must not pass, and what replaces texts."""

    counts: dict[str, int]
    blocks: bool
    replaced: dict[str, str]


class Guardrails:
    """Calls guardrails; one for an environment."""

    def __init__(self, upstream: Upstream, clock: Clock) -> None:
        self._upstream = upstream
        self._clock = clock
        self._clean: OrderedDict[bytes, None] = OrderedDict()

    def inspect(self, guard: Guard, texts: Sequence[str]) -> GuardrailOutcome:
        """Return what the guardrail of `guard` makes of `texts`. Raises ApiError (503) if a failure rejects."""
        try:
            return self._inspect(guard, texts)
        except GuardrailError as error:
            on_error = {"guard": guard.name, "fault": str(error), "on_error": guard.on_error}
            logger.error("GUARD FAILED", extra=on_error)
        if guard.on_error == "continue":
            return GuardrailOutcome({}, blocks=False, replaced={})
        message = f"The guard '{guard.name}' could not inspect this request. Send it again."
        raise ApiError(503, message, type="server_error", code="guard_unavailable", headers={"retry-after": "5"})

    def _inspect(self, guard: Guard, texts: Sequence[str]) -> GuardrailOutcome:
        guardrail = guard.bedrock or ("", "", None)
        until = self._clock.monotonic() + _SECONDS
        digests = {text: _digest(guardrail, text) for text in texts}
        pieces = [
            (text, piece) for text, digest in digests.items() if digest not in self._clean for piece in _pieces(text)
        ]
        counts: dict[str, int] = {}
        blocks = False
        changed: dict[str, list[str]] = {}
        for batch in _batches(pieces):
            found = apply_guardrail(self._upstream, guardrail, [piece for _, piece in batch], until)
            blocks |= found.blocks
            for kind, number in found.counts.items():
                counts[kind] = counts.get(kind, 0) + number
            for (text, _), sent in zip(batch, found.texts or [piece for _, piece in batch], strict=True):
                changed.setdefault(text, []).append(sent)
            self._remember(batch, found, digests)
        replaced = {text: "".join(parts) for text, parts in changed.items()}
        return GuardrailOutcome(counts, blocks, {text: new for text, new in replaced.items() if new != text})

    def _remember(self, batch: Sequence[tuple[str, str]], found: Assessment, digests: dict[str, bytes]) -> None:
        """Remember the texts of a call without findings; a text of several pieces is not remembered."""
        if found.counts or found.blocks:
            return
        for text, piece in batch:
            if text == piece:
                self._clean[digests[text]] = None
        while len(self._clean) > _REMEMBERED:
            self._clean.popitem(last=False)


def _digest(guardrail: tuple[str, str, str | None], text: str) -> bytes:
    named = repr(guardrail).encode() + b"\0" + text.encode(errors="surrogatepass")
    return hashlib.blake2b(named, digest_size=16).digest()


def _pieces(text: str) -> Iterator[str]:
    """Yield a text in pieces that one call takes, cut at a blank where there is one."""
    start = 0
    while len(text) - start > _MOST_CHARACTERS:
        blank = text.rfind(" ", start + _MOST_CHARACTERS // 2, start + _MOST_CHARACTERS)
        end = blank + 1 if blank >= 0 else start + _MOST_CHARACTERS
        yield text[start:end]
        start = end
    yield text[start:]


def _batches(pieces: Sequence[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    size = 0
    for each in pieces:
        if batch and (size + len(each[1]) > _MOST_CHARACTERS or len(batch) == _MOST_TEXTS):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += len(each[1])
    if batch:
        yield batch
