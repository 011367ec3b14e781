"""Route requests by complexity: read what a user wrote, score it, and choose the chain.

Imported with the first request for a model that is routed. Whatever fails here is logged, and the standard model
serves the request.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vibe_router.access.keys import Caller, model_denied
from vibe_router.core.errors import ApiError, bad_request
from vibe_router.core.models import ComplexityRule, VirtualModel
from vibe_router.core.telemetry import log_fault
from vibe_router.formats.interfaces import ClientRequest
from vibe_router.routing.complexity.decision import (
    HEADER,
    PREFERENCES,
    Choice,
    Request,
    Rollout,
    bucket_of,
    decide,
    rollout_of,
)
from vibe_router.routing.complexity.reading import read_conversation
from vibe_router.routing.complexity.scorer import Scorer, seed
from vibe_router.routing.complexity.trees import load

__all__ = ["ComplexityRouter", "Routed"]

Items = Callable[[], Mapping[str, Mapping[str, Any]]]
"""Returns the stored item of each routed model (store.complexity), as old as the routes."""


@dataclass(frozen=True, slots=True)
class Routed:
    """The chain for one request, as a virtual model of the same name, and the choice behind it."""

    model: VirtualModel
    choice: Choice
    stores_features: bool = False
    asked: str | None = None  # the choice that the caller asked for


class ComplexityRouter:
    """Chooses between two models. One for an environment: it keeps the scorers, with the scores of recent turns."""

    def __init__(self, items: Items) -> None:
        self._items = items
        self._scorers: dict[str, tuple[object, Scorer]] = {}  # by model, with the text that its trees were read from

    def route(
        self, model: VirtualModel, request: ClientRequest, caller: Caller, headers: Mapping[str, str], size: int
    ) -> Routed:
        """Return the chain for a request of `size` bytes. Raises ApiError: 400 for an unknown preference, 403."""
        rule = model.routing
        if rule is None:
            raise ValueError("a model without routing")
        preference = headers.get(HEADER)
        if preference is not None and preference not in PREFERENCES:
            raise bad_request(f"'{HEADER}' must be one of {', '.join(PREFERENCES)}.", HEADER)
        may_use_mini = caller.may_use(rule.mini.name)
        may_use_standard = rule.standard.name == model.name or caller.may_use(rule.standard.name)
        if not may_use_mini and not may_use_standard:
            raise model_denied(model.name, [])
        rollout = rollout_of(rule, self._items().get(model.name))
        try:
            choice = self._decide(
                model, rule, rollout, request, caller, preference, size, (may_use_mini, may_use_standard)
            )
        except ApiError:
            raise
        except Exception as error:  # noqa: BLE001 - a fault of the scorer must not cost a caller the answer
            log_fault("complexity", error)
            choice = Choice("complexity", "standard" if may_use_standard else "mini", reasons=("the scorer failed",))
        if choice.choice == "standard" or (choice.mode == "shadow" and may_use_standard):
            return Routed(model if may_use_standard else rule.mini, choice, rule.evidence, preference)
        return Routed(_mini_first(model, rule, may_use_standard), choice, rule.evidence, preference)

    def _decide(
        self,
        model: VirtualModel,
        rule: ComplexityRule,
        rollout: Rollout,
        request: ClientRequest,
        caller: Caller,
        preference: str | None,
        size: int,
        permitted: tuple[bool, bool],
    ) -> Choice:
        scorer = self._scorer(model.name)
        conversation = read_conversation(request.body)
        is_scored = preference == "complexity" or (preference is None and rollout.mode != "manual")
        asked = Request(
            conversation,
            size,
            has_tools=bool(request.body.get("tools") or request.body.get("functions")),
            bucket=bucket_of(caller.key_id, request.affinity()) if is_scored else 0,
            preference=preference,
            may_use_mini=permitted[0],
            may_use_standard=permitted[1],
        )
        score = scorer.score(conversation.turns) if is_scored else None
        return decide(rule, rollout, asked, score, scorer.model.threshold, scorer.model.version)

    def _scorer(self, name: str) -> Scorer:
        """Return the scorer of a model: with its own trees, or with the shipped ones if they cannot be read."""
        text = (self._items().get(name) or {}).get("trees")
        known = self._scorers.get(name)
        if known and known[0] == text:
            return known[1]
        try:
            trees = load(text) if isinstance(text, str) else seed()
        except ValueError as error:
            log_fault("complexity model", error)
            trees = seed()
        scorer = Scorer(trees)
        self._scorers[name] = (text, scorer)
        return scorer


def _mini_first(model: VirtualModel, rule: ComplexityRule, may_use_standard: bool) -> VirtualModel:
    """Return mini's chain, followed by the standard one, which serves if mini fails before the commit."""
    steps = rule.mini.steps
    if may_use_standard:
        tried = {each.id for each in rule.mini.chain}
        rest = (tuple(each for each in step if each.id not in tried) for step in rule.standard.steps)
        steps = (*steps, *(step for step in rest if step))
    return replace(rule.mini, name=model.name, steps=steps)
