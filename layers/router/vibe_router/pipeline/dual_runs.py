"""Dual runs: have both models answer a sampled request, and a judge from a third family compare the answers blindly.

It happens after the answer, in the same invocation, so prompts and answers stay in memory. The order of the answers is
random, and both orders are judged for a quarter; now and then the judge compares two answers of the same model, which
measures its noise. All environments share one daily budget. The cost is booked to the router, never to a caller.
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import ComplexityRule, VirtualModel
from vibe_router.core.price import NANO, cost
from vibe_router.core.record import Record
from vibe_router.formats.chat import request as chat_request
from vibe_router.formats.interfaces import ClientRequest, WholeAnswer
from vibe_router.pipeline.estimate import estimate_cost, plausible_answer_tokens
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.routing.complexity.families import without_families
from vibe_router.routing.complexity.reading import read_conversation
from vibe_router.routing.deadline import Deadline
from vibe_router.store.complexity import ComplexityStore

__all__ = ["ROUTER_ID", "DualRunner", "text_of_answer", "verdict_of"]

ROUTER_ID = "router"
"""The key id that dual runs are booked to."""

_BOTH_ORDERS = 0.25
_SAME_MODEL = 0.1
_LEAST_SECONDS = 20.0  # left in the invocation
_MOST_SECONDS = 120.0
_MAX_TEXT = 8_000  # characters of a question or an answer that the judge reads
_JUDGE_TOKENS = 512  # of its answer: models that reason need some
_PROMPT = """Compare two answers to the same request. Judge whether they are correct and do what was asked; ignore
length and style. Answer with one letter only: A if answer A is better, B if answer B is better, T if both are equally
good.

<request>
{question}
</request>

<answer_a>
{first}
</answer_a>

<answer_b>
{second}
</answer_b>"""


class Bookkeeper(Protocol):
    """Books requests (store.usage.UsageRecorder)."""

    def book(self, record: Record, settlement: None = None, /) -> None:
        """Book a request."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """An answer, and the model that gave it."""

    text: str
    model: str


class DualRunner:
    """Runs and judges. One for an environment. `run` raises AwsError."""

    def __init__(
        self, store: ComplexityStore, failover: FailoverExecutor, books: Bookkeeper, clock: Clock, chance: random.Random
    ) -> None:
        self._store = store
        self._failover = failover
        self._books = books
        self._clock = clock
        self._chance = chance

    def is_sampled(self, rule: ComplexityRule, request: ClientRequest, record: Record) -> bool:
        """Return whether this request is one for a dual run: scored, answered, and drawn."""
        return (
            rule.judge is not None
            and record.routing_would is not None
            and record.routing_choice is not None
            and record.status < 400
            and not record.error
            and request.answers == 1
            and self._chance.random() < rule.dual
        )

    def run(
        self, rule: ComplexityRule, request: ClientRequest, record: Record, answer: bytes | None, until: float
    ) -> None:
        """Compare both models on a request; `answer` is what the caller got, None for a stream."""
        judge, now = rule.judge, self._clock.monotonic()
        until = min(until, now + _MOST_SECONDS)
        turns = read_conversation(request.body).turns
        if judge is None or until - now < _LEAST_SECONDS or not turns:
            return
        chains = {"mini": rule.mini, "standard": rule.standard}
        served = record.routing_choice or "standard"
        if record.deployment not in {each.id for each in chains[served].chain}:
            return  # a fallback answered
        day = datetime.fromtimestamp(self._clock.now(), UTC).date().isoformat()
        estimate = self._estimate(rule, judge, request)
        if not self._store.spend(record.model or "", day, estimate, round(rule.dual_budget * NANO)):
            return
        spent = [0]
        try:
            same_model = self._chance.random() < _SAME_MODEL
            text = text_of_answer(answer) if answer else None
            first = _Answer(text, record.provider_model or "") if text else None
            first = first or self._call(chains[served], _whole(request), record, until, spent)
            other = served if same_model else "mini" if served == "standard" else "standard"
            second = self._call(chains[other], _whole(request), record, until, spent)
            if not first or not second:
                return
            neutral = without_families(judge, (first.model, second.model))
            if neutral is None:
                return
            preferred = self._judge(neutral, "\n\n".join(turns), first.text, second.text, record, until, spent)
            if preferred is None:
                return
            if same_model:
                self._store.count_judge_noise(record.model or "", differs=preferred != 0.5)
            else:
                self._store.set_judged(record, preferred if served == "mini" else 1 - preferred)
        finally:
            self._store.spend(record.model or "", day, spent[0] - estimate)

    def _estimate(self, rule: ComplexityRule, judge: VirtualModel, request: ClientRequest) -> int:
        prompt = request.prompt_tokens_estimate()
        answer = plausible_answer_tokens(rule.standard.chain, request.max_output_tokens, 1)
        dearest = max(estimate_cost(each.chain, prompt, answer) for each in (rule.mini, rule.standard))
        return 2 * dearest + 2 * estimate_cost(judge.chain, _MAX_TEXT, _JUDGE_TOKENS)

    def _call(
        self, model: VirtualModel, request: ClientRequest, record: Record, until: float, spent: list[int]
    ) -> _Answer | None:
        """Return the answer of `model`, None without a text; book the call to the router."""
        started, trace = self._clock.monotonic(), AttemptTrace()
        longest = max(each.policy.timeouts.total for each in model.chain)
        if until - started < 1:
            return None
        try:
            committed = self._failover.execute(
                model, request, Deadline.of(started, until - started, longest), trace, ROUTER_ID
            )
        except ApiError:
            return None
        if not isinstance(committed.answer, WholeAnswer):
            committed.answer.reply.close()
            return None
        usage = committed.answer.usage
        charged = cost(committed.deployment.price, usage)
        spent[0] += charged or 0
        self._books.book(
            Record(
                request_id=f"{record.request_id}-dual-{self._chance.getrandbits(32):08x}",
                started=round(self._clock.now(), 3),
                key=ROUTER_ID,
                key_alias="dual runs",
                tags=("complexity-dual-run",),
                model=model.name,
                resolved=True,
                deployment=committed.deployment.id,
                provider_model=committed.deployment.model,
                format=request.format,
                provider_format=trace.provider_format,
                usage=usage,
                cost=charged,
                total_ms=round((self._clock.monotonic() - started) * 1000, 1),
            )
        )
        text = text_of_answer(committed.answer.body)
        return _Answer(text, committed.deployment.model) if text else None

    def _judge(
        self,
        judge: VirtualModel,
        question: str,
        first: str,
        second: str,
        record: Record,
        until: float,
        spent: list[int],
    ) -> float | None:
        """Return how good the first answer is: 1 better than the second, 0.5 equal, 0 worse; None without a verdict."""
        orders = [self._chance.random() < 0.5]
        if self._chance.random() < _BOTH_ORDERS:
            orders.append(not orders[0])
        found = []
        for is_swapped in orders:
            shown = (second, first) if is_swapped else (first, second)
            prompt = _PROMPT.format(question=_cut(question), first=_cut(shown[0]), second=_cut(shown[1]))
            body = {
                "model": judge.name,
                "max_tokens": _JUDGE_TOKENS,
                "messages": [{"role": "user", "content": prompt}],
            }
            asked = chat_request.parse(json.dumps(body).encode())
            answer = self._call(judge, asked, record, until, spent)
            verdict = verdict_of(answer.text) if answer else None
            if verdict is None:
                return None
            found.append(1 - verdict if is_swapped else verdict)
        return found[0] if len(set(found)) == 1 else 0.5


def _whole(request: ClientRequest) -> ClientRequest:
    """Return the request for a whole answer."""
    whole: ClientRequest = replace(request, stream=False)  # type: ignore[type-var] # every request is a dataclass
    return whole


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_TEXT else f"{text[: _MAX_TEXT // 2]}\n…\n{text[-_MAX_TEXT // 2 :]}"


def verdict_of(text: str) -> float | None:
    """Return what a judge's answer means for answer A: 1, 0.5 or 0; None if it is not a verdict."""
    words = [each.strip(".:*()\"'`").upper() for each in text.split()]
    letters = [each for each in words if each in ("A", "B", "T")]
    if not letters or len(words) > 200:
        return None
    return {"A": 1.0, "T": 0.5, "B": 0.0}[letters[-1]]


def text_of_answer(body: bytes) -> str | None:
    """Return the text of a whole answer in a caller's format, with its tool calls; None if it has neither."""
    try:
        read = json.loads(body)
    except ValueError:
        return None
    match read:
        case {"choices": [{"message": Mapping() as message}, *_]}:
            content = message.get("content")
            parts = [*(content if isinstance(content, list) else [content]), *(message.get("tool_calls") or ())]
        case {"choices": [{"text": text}, *_]}:
            parts = [text]
        case {"content": [*parts]}:
            pass
        case {"output": [*items]}:
            parts = [part for item in items if isinstance(item, Mapping) for part in item.get("content") or (item,)]
        case {"candidates": [{"content": {"parts": [*parts]}}, *_]}:
            pass
        case _:
            return None
    return "".join(map(_text_of_part, parts)).strip() or None


def _text_of_part(part: object) -> str:
    """Return the text of a part of an answer, and a tool call as text."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        return ""
    if isinstance(text := part.get("text"), str):
        return text
    call = part.get("function") or part.get("functionCall") or part
    if not isinstance(call, Mapping) or not isinstance(call.get("name"), str):
        return ""
    arguments = call.get("arguments") or call.get("input") or call.get("args") or {}
    return f"\n[calls {call['name']} with {arguments if isinstance(arguments, str) else json.dumps(arguments)}]"
