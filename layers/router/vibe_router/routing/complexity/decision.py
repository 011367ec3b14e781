"""Decide whether a request goes to the mini or to the standard model, and say why. Pure.

    caller's header ── manual, mini, standard ──────────────────────────────> that choice
    score below the threshold ── no ────────────────────────────────────────> standard
         │ yes: mini would serve it
         ├─ a stratum that is not open, a full context, plan mode, a denied key ─> standard
         └─ share of conversations ── in ─> mini (arm mini)    out ─> standard (arm standard)

The arms are the same kind of request, divided by a hash of the conversation, so they can be compared. Shares are
nested: a conversation that is routed at 10 % is routed at 50 %.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vibe_router.core.models import ComplexityRule, Deployment
from vibe_router.routing.complexity.reading import Conversation
from vibe_router.routing.complexity.scorer import Score

__all__ = ["HEADER", "PREFERENCES", "Choice", "Request", "Rollout", "bucket_of", "decide", "rollout_of"]

HEADER = "x-vibe-routing"
PREFERENCES = ("manual", "mini", "standard", "complexity")
"""The values that a caller may send in the header; without it the rollout decides."""

_BUCKETS = 10_000
_LONG_BYTES = 32_000  # of a request: about 8,000 tokens
_BYTES_PER_TOKEN = 3.5
_FULL = 0.8  # of mini's context window, for prompt and answer
_DEFAULT_LANGUAGES = ("en",)
_NOTES = 20_000  # characters at the end of a turn, where agents put notes
_PLAN_MODE = ("plan mode is active", "plan mode is still active", "you are in plan mode", "<plan_mode>")


@dataclass(frozen=True, slots=True)
class Rollout:
    """The state of a model's routing. `number` counts its changes; 0 is what routes.yaml says."""

    mode: str
    share: float
    strata: frozenset[str]
    number: int = 0

    @property
    def stage(self) -> str:
        """The stage as rows store it: `3/10` is ten percent since the third change."""
        return f"{self.number}/{self.share:g}"


@dataclass(frozen=True, slots=True)
class Request:
    """The properties of a request besides its score."""

    conversation: Conversation
    size: int  # bytes
    has_tools: bool = False
    bucket: float = 0.0  # from 0 to 1, by conversation
    preference: str | None = None  # of the caller, in the header
    may_use_mini: bool = True
    may_use_standard: bool = True


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision. `would` is the choice by score alone, `arm` is set where both choices were open."""

    mode: str  # manual_selection, shadow or complexity
    choice: str  # mini or standard
    would: str | None = None
    arm: str | None = None
    score: float | None = None
    threshold: float | None = None
    strata: tuple[str, ...] = ()
    stage: str = ""
    model: str = ""
    reasons: tuple[str, ...] = ()
    features: tuple[int, ...] = field(default=(), repr=False)

    def header(self) -> str:
        """Return the value of the response header."""
        parts = [self.choice]
        if self.score is not None:
            parts += [f"score={self.score:.4f}", f"threshold={self.threshold:.4f}"]
        parts += [f"mode={self.mode}", f"stage={self.stage}"]
        if self.arm:
            parts.append(f"arm={self.arm}")
        reasons = ", ".join(each for each in self.reasons if each.isascii() and each.isprintable() and '"' not in each)
        return "; ".join([*parts, f'reasons="{reasons}"'])


def rollout_of(rule: ComplexityRule, item: Mapping[str, Any] | None) -> Rollout:
    """Return the rollout that applies: of the stored `item`, or of routes.yaml if there is none or it is malformed."""
    own = Rollout(rule.mode, rule.share, frozenset(rule.strata))
    if not item:
        return own
    mode, share, number, strata = item.get("mode"), item.get("share"), item.get("number"), item.get("strata")
    if mode not in ("manual", "shadow", "complexity") or not isinstance(share, int | float) or not 0 <= share <= 100:
        return own
    if not isinstance(number, int) or not isinstance(strata, list | tuple):
        return own
    return Rollout(str(mode), float(share), frozenset(map(str, strata)), number)


def bucket_of(caller: str, conversation: bytes) -> float:
    """Return the position of a conversation from 0 to 1, below which shares include it."""
    digest = hashlib.blake2b(caller.encode() + b"/" + conversation, digest_size=8).digest()
    return int.from_bytes(digest, "big") % _BUCKETS / _BUCKETS


def decide(
    rule: ComplexityRule, rollout: Rollout, request: Request, score: Score | None, threshold: float, version: str
) -> Choice:
    """Return the choice for one request; `score` is None if nothing could be scored, and then never mini."""
    preference, mode = request.preference, rollout.mode
    if preference in ("manual", "mini", "standard") or (mode == "manual" and preference != "complexity"):
        choice = _permitted("mini" if preference == "mini" else "standard", request)
        why = f"asked for {preference}" if preference else "routing is manual"
        return Choice("manual_selection", choice, stage=rollout.stage, reasons=(why,))
    strata = _strata(request, score)
    would = "mini" if score is not None and score.value < threshold else "standard"
    reasons = tuple(name for name, _ in score.reasons) if score else ("no text of a user",)
    found = Choice(
        mode="complexity" if mode == "complexity" or preference == "complexity" else "shadow",
        choice="standard",
        would=would,
        score=score.value if score else None,
        threshold=threshold if score else None,
        strata=strata,
        stage=rollout.stage,
        model=version,
        reasons=reasons,
        features=score.features if score else (),
    )
    if found.mode == "shadow":
        return found
    if not request.may_use_standard:
        return _decided(found, "mini", reason="the key may not use the standard model")
    if would == "standard":
        return found
    if barrier := _barrier(rule, rollout, request, strata):
        return _decided(found, "standard", reason=barrier)
    share = 100 if preference == "complexity" else rollout.share
    arm = "mini" if request.bucket * 100 < share else "standard"
    return _decided(found, arm, arm=arm if preference is None else None)


def _permitted(choice: str, request: Request) -> str:
    if choice == "mini":
        return "mini" if request.may_use_mini else "standard"
    return "standard" if request.may_use_standard else "mini"


def _strata(request: Request, score: Score | None) -> tuple[str, ...]:
    """Return the kinds of a request, each of which has its own gate: its languages, tools, long.

    They are those of the whole conversation, which would otherwise flip back with a turn of another language.
    """
    found = list(score.languages if score else _DEFAULT_LANGUAGES)
    if request.has_tools:
        found.append("tools")
    is_complete = request.conversation.is_complete and (score is None or score.is_complete)
    if request.size > _LONG_BYTES or not is_complete:
        found.append("long")
    return tuple(found)


def _barrier(rule: ComplexityRule, rollout: Rollout, request: Request, strata: Sequence[str]) -> str | None:
    """Return why an easy request must not go to mini, None if it may."""
    if not request.may_use_mini:
        return "the key may not use the mini model"
    if closed := [each for each in strata if each not in rollout.strata]:
        return f"not opened: {', '.join(closed)}"
    if request.conversation.has_attachment:
        return "an attachment, which is not scored"
    window = min((each.context_window for each in rule.mini.chain if each.context_window), default=None)
    if window and request.size / _BYTES_PER_TOKEN + _answer(rule.mini.chain) > window * _FULL:
        return "close to the context window of mini"
    return "plan mode" if any(map(_is_plan_mode, request.conversation.turns)) else None


def _is_plan_mode(turn: str) -> bool:
    """Return whether an agent has noted in a turn that it is in plan mode, which counts for all later turns too."""
    end = turn[-_NOTES:]
    return ("lan mode" in end or "<plan_mode>" in end) and any(note in end.lower() for note in _PLAN_MODE)


def _answer(chain: Any) -> int:
    deployments: list[Deployment] = list(chain)
    return max((each.policy.reserve_tokens for each in deployments), default=0)


def _decided(found: Choice, choice: str, *, arm: str | None = None, reason: str | None = None) -> Choice:
    return replace(found, choice=choice, arm=arm, reasons=(reason, *found.reasons) if reason else found.reasons)
