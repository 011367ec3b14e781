"""The path of a request for a model: admit, read, resolve, reserve, fail over, relay; then settle after the answer."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast

from vibe_router.access.keys import Caller
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError, fault
from vibe_router.core.models import Catalogue, Deployment, VirtualModel
from vibe_router.core.record import Record
from vibe_router.core.tags import header_tags
from vibe_router.core.telemetry import log_fault
from vibe_router.core.usage import Usage
from vibe_router.formats.interfaces import ClientFormat, ClientRequest, WholeAnswer
from vibe_router.pipeline.accounting import BOUNDED, ESTIMATED, bounded_usage, cut_stream_usage
from vibe_router.pipeline.admission import BUDGET_EXCEEDED, Admission
from vibe_router.pipeline.decision import RoutingDecision
from vibe_router.pipeline.failover import CommittedAnswer, FailoverExecutor
from vibe_router.pipeline.relay import Relay
from vibe_router.routing.deadline import Deadline
from vibe_router.store.usage import UsageRecorder

if TYPE_CHECKING:
    from vibe_router.access.budgets import BudgetLadder
    from vibe_router.core.models import ComplexityRule, Guard
    from vibe_router.formats.responses.request import ResponsesRequest
    from vibe_router.hooks.runner import HookRunner
    from vibe_router.pipeline.answer_cache import AnswerCache, CachedAnswer, CacheSlot
    from vibe_router.pipeline.archiver import ArchiveSlot, RequestArchiver
    from vibe_router.pipeline.complexity import ComplexityRouter
    from vibe_router.pipeline.continuation import StreamContinuer
    from vibe_router.pipeline.dual_runs import DualRunner
    from vibe_router.pipeline.evidence import EvidenceRecorder
    from vibe_router.pipeline.guarding import AnswerRestorer
    from vibe_router.pipeline.guardrails import Guardrails
    from vibe_router.pipeline.observers import RequestObserver
    from vibe_router.pipeline.stored_responses import ResponseRecorder, ResponseStorage

__all__ = ["RequestPipeline", "Services"]

# Nobody waits after the answer, but the time is billed. Providers send a few bytes after [DONE].
_DRAIN_SECONDS = 0.25


class Services(Protocol):
    """The collaborators of the pipeline, which one Lambda environment holds for all its requests."""

    @property
    def clock(self) -> Clock:
        """The clock that everything is timed by."""

    @property
    def admission(self) -> Admission:
        """Authenticates callers and reserves from their limits."""

    @property
    def failover(self) -> FailoverExecutor:
        """Tries the deployments of a chain."""

    @property
    def responses(self) -> "ResponseStorage":
        """Stores responses and continues from them."""

    @property
    def answer_cache(self) -> "AnswerCache":
        """Stores and replays answers; read for a model or key with a cache only."""

    @property
    def archiver(self) -> "RequestArchiver | None":
        """Archives requests and answers; None without a bucket. Read for a key that asks for it only."""

    @property
    def usage_recorder(self) -> UsageRecorder:
        """Writes the usage table."""

    @property
    def hooks(self) -> "HookRunner | None":
        """The operator's hooks; mostly none."""

    @property
    def observers(self) -> "Sequence[RequestObserver]":
        """Receive every completed request; mostly none."""

    @property
    def complexity(self) -> "ComplexityRouter":
        """Routes requests by complexity; read for a model with such routing only."""

    def prefetch(self) -> None:
        """Start to read what is stale in the background."""

    @property
    def guardrails(self) -> "Guardrails":
        """Calls guardrails of Amazon Bedrock; read for a guard that is one only."""

    @property
    def evidence(self) -> "EvidenceRecorder":
        """Collects evidence on complexity routing; read for a routed request only."""

    @property
    def dual_runs(self) -> "DualRunner":
        """Has both models answer some requests; read for a model with dual runs only."""

    def routes(self) -> Catalogue:
        """Return the routing table. Raises ApiError (503)."""


class RequestPipeline:
    """Serves one request in the format `client`. Call `serve` once, and `settle` when the answer has been sent."""

    def __init__(self, client: ClientFormat, request_id: str, services: Services) -> None:
        self.decision = RoutingDecision(request_id, client.name, services.clock)
        self._client = client
        self._services = services
        self._relay: Relay | None = None
        self._request: ClientRequest | None = None
        self._model: VirtualModel | None = None
        self._names = "", ""  # of the caller's key: its id and alias
        self._continuer: StreamContinuer | None = None
        self._rule: ComplexityRule | None = None  # of a model that is routed by complexity
        self._asked: str | None = None  # the choice that its caller asked for
        self._answer: bytes | None = None  # a whole answer, for a dual run
        self._until = 0.0  # of the invocation, in monotonic seconds
        self._traceparent: str | None = None
        self._archive: ArchiveSlot | None = None  # of a key whose requests are archived
        self._guards: Sequence[Guard] = ()  # that have inspected the request
        self._cache_seconds = 0  # for which answers are cached
        self._slot: CacheSlot | None = None  # of a request whose answer may be cached
        self._cached: CachedAnswer | None = None  # to be replayed
        self._restorer: AnswerRestorer | None = None  # of a request that guards have masked

    def serve(self, headers: Mapping[str, str], body: bytes, seconds_left: float) -> WholeAnswer | Iterable[bytes]:
        """Return the answer, whole or as a stream, within `seconds_left` of the invocation. Raises ApiError."""
        try:
            answer = self._serve(headers, body, seconds_left)
            if self._archive:
                answer = self._archive.take(answer)
        except ApiError as error:
            self.decision.fail(error)
            raise
        except Exception:
            self.decision.fail(fault())
            raise
        # What is stored, cached or archived of an answer stays masked.
        return self._restorer.restored(answer) if self._restorer else answer

    def _serve(self, headers: Mapping[str, str], body: bytes, seconds_left: float) -> WholeAnswer | Iterable[bytes]:
        """Follow the path of a request: admit, read, resolve, reserve, fail over, relay."""
        services, decision = self._services, self.decision
        services.prefetch()
        caller = self._admit(headers)
        request = self._read(caller, headers, body)
        model = self._resolve(caller, request)
        request = self._with_history(caller, request)
        report = services.admission.consult_budgets(caller, model, request, services.routes())
        ladder = report.ladder if report else None
        request = self._guard(caller, model, ladder, request, headers, body)
        recorder = self._recorder(caller, request)
        self._request = request
        if self._archive:
            self._archive.hold(request, self._guards)
        if report:
            decision.warn(report.soft)
        model, deadline = self._reserve_on_ladder(model, ladder, caller, headers, len(body), seconds_left)
        if deadline is None:
            return self._replay(caller, recorder)
        committed = services.failover.execute(model, request, deadline, decision.trace, *self._names)
        decision.commit()
        return self._deliver(committed, model, request, deadline, recorder)

    def _admit(self, headers: Mapping[str, str]) -> Caller:
        """Return the caller. Raises ApiError."""
        self._traceparent = headers.get("traceparent")
        self.decision.trace.client_headers = headers
        caller = self._services.admission.caller(headers)
        self.decision.admit(caller, header_tags(headers))
        if caller.key and caller.key.archive and (archiver := self._services.archiver):
            self._archive = archiver.open()
            self.decision.archive()
        self._names = caller.key_id, (caller.key.alias if caller.key else None) or ""
        return caller

    def _read(self, caller: Caller, headers: Mapping[str, str], body: bytes) -> ClientRequest:
        """Return the request in `body`, as the operator's hooks change it. Raises ApiError."""
        decision, hooks = self.decision, self._services.hooks
        request = self._client.parse(body, headers)
        decision.read(request.model, stream=request.stream, tags=request.tags)
        if hooks:
            from vibe_router.pipeline.hook_calls import apply_request_hook

            request = apply_request_hook(hooks, self._client, request, caller, headers, decision.request_id)
            decision.read(request.model, stream=request.stream)
        return request

    def _resolve(self, caller: Caller, request: ClientRequest) -> VirtualModel:
        """Return the virtual model that the request names. Raises ApiError."""
        model = self._services.admission.model(caller, request.model, self._services.routes())
        self.decision.resolve(model.name)
        self._cache_seconds = caller.cache_seconds(model.cache_seconds)
        return model

    def _with_history(self, caller: Caller, request: ClientRequest) -> ClientRequest:
        """Return a request in Responses with the conversation that it continues. Raises ApiError."""
        if request.format != "responses":
            return request
        return self._services.responses.with_history(caller, cast("ResponsesRequest", request))

    def _guard(
        self,
        caller: Caller,
        model: VirtualModel,
        ladder: "BudgetLadder | None",
        request: ClientRequest,
        headers: Mapping[str, str],
        body: bytes,
    ) -> ClientRequest:
        """Return the request as its guards mask it. Raises ApiError (400) if one blocks it."""
        if not (caller.guards or model.guards or ladder):
            return request
        from vibe_router.pipeline.guarding import guard_request, guards_for

        services = self._services
        if guards := guards_for(caller, model, ladder, services.routes()):
            self._guards = guards
            guarded = guard_request(
                guards, request, self._client, body, headers, self.decision, lambda: services.guardrails
            )
            request, self._restorer = guarded.request, guarded.restorer
        return request

    def _recorder(self, caller: Caller, request: ClientRequest) -> "ResponseRecorder | None":
        if request.format != "responses":
            return None
        return self._services.responses.recorder(caller, cast("ResponsesRequest", request))

    def _deliver(
        self,
        committed: CommittedAnswer,
        model: VirtualModel,
        request: ClientRequest,
        deadline: Deadline,
        recorder: "ResponseRecorder | None",
    ) -> WholeAnswer | Iterable[bytes]:
        """Return a committed answer as it is sent to the caller."""
        if isinstance(committed.answer, WholeAnswer):
            return self._deliver_whole(committed.answer, committed.deployment, recorder)
        services = self._services
        before_end = recorder.record_stream(committed.answer.reader) if recorder else None
        resume = None
        if committed.answer.exchange.tracker:
            from vibe_router.pipeline.continuation import StreamContinuer

            self._continuer = StreamContinuer(
                services.failover, model, request, self.decision.trace, services.clock, deadline.end
            )
            resume = self._continuer.resume
        self._relay = Relay(committed.answer, committed.deployment, deadline.end, services.clock, before_end, resume)
        return self._slot.watch(self._relay) if self._slot else self._relay

    def _deliver_whole(
        self, answer: WholeAnswer, deployment: Deployment, recorder: "ResponseRecorder | None"
    ) -> WholeAnswer:
        if self._rule and self._rule.dual:
            self._answer = answer.body
        self._count(answer.usage)
        if self._slot:
            self._slot.hold(answer)
        self._services.failover.remember_proofs(deployment, answer.seals)
        return replace(answer, body=recorder.record_whole(answer.body)) if recorder else answer

    def _replay(self, caller: Caller, recorder: "ResponseRecorder | None") -> WholeAnswer | Iterable[bytes]:
        """Answer with the stored answer: it counts as a request, and costs nothing. Raises ApiError (429)."""
        cached = cast("CachedAnswer", self._cached)
        self._rule = self._model = None  # no model answers: there is nothing to learn
        self._services.admission.count_request(caller)
        self.decision.replay(cached.usage)
        if recorder:
            cached = replace(cached, body=recorder.record_whole(cached.body))
        self.decision.commit()
        return cached.replay()

    def _reserve(
        self, model: VirtualModel, caller: Caller, headers: Mapping[str, str], size: int, seconds_left: float
    ) -> tuple[VirtualModel, Deadline | None]:
        """Route the request by complexity, if `model` is, and reserve its estimate. Return what serves, and until when.

        `size` is the body's. Nothing is reserved, and the deadline is None, if a stored answer is replayed. Raises
        ApiError.
        """
        services, decision, request = self._services, self.decision, cast("ClientRequest", self._request)
        if model.routing:
            routed = services.complexity.route(model, request, caller, headers, size)
            self._rule, self._asked = model.routing, routed.asked
            model = routed.model
            decision.route(routed.choice, stores_features=routed.stores_features)
        if self._cache_seconds:
            self._slot = services.answer_cache.open(caller, model, request, headers, self._cache_seconds)
            if cached := self._slot.find():
                self._cached = cached
                return model, None
            decision.cache(self._slot.state)
        self._model = model
        longest = max(deployment.policy.timeouts.total for deployment in model.chain)
        deadline = Deadline.of(decision.started, seconds_left, longest)
        self._until = deadline.end
        remaining = deadline.end - services.clock.monotonic()
        decision.reserve(services.admission.reserve(caller, model, request, remaining))
        return model, deadline

    def _reserve_on_ladder(
        self,
        asked: VirtualModel,
        ladder: "BudgetLadder | None",
        caller: Caller,
        headers: Mapping[str, str],
        size: int,
        seconds_left: float,
    ) -> tuple[VirtualModel, Deadline | None]:
        """Reserve for the model that `ladder` leads to, or a lower one if the budget has no room for that.

        Raises ApiError.
        """
        if ladder is None:
            return self._reserve(asked, caller, headers, size, seconds_left)
        models, rejection = self._services.routes().models, None
        for place in ladder.places():
            try:
                reserved = self._reserve(models[place.serves], caller, headers, size, seconds_left)
            except ApiError as error:
                if error.code != BUDGET_EXCEEDED:
                    raise
                rejection = rejection or error
                self._rule, self._asked = None, None
                self.decision.route(None, stores_features=False)
            else:
                if place.step:
                    self.decision.step_down(place)
                return reserved
        raise rejection or fault()

    def settle(self) -> None:
        """Log, book and measure the request. Every step runs, even if another one fails."""
        answered = self._services.clock.monotonic()
        if relay := self._relay:
            _guarded(lambda: self._end_stream(relay))
        record = self.decision.record(answered)
        self.decision.log(record)  # first: a booking that is lost can be made from the line
        if self.decision.is_bookable:
            _guarded(lambda: self._book(record))
        self.decision.measure(record)
        if (slot := self._slot) and not record.failed:
            _guarded(lambda: self._store_answer(slot))
        if archive := self._archive:
            _guarded(lambda: archive.write(record))
        if (rule := self._rule) and record.routing_choice:
            _guarded(lambda: self._learn(rule, record))
        elif self._model and self._request and self._model.standard_of and record.key is not None:
            watched, request = self._model.standard_of, self._request
            _guarded(
                lambda: self._services.evidence.observe_standard(watched, request, record, self._services.routes())
            )
        _guarded(lambda: self._report(record))
        _guarded(self._remember)

    def _remember(self) -> None:
        if self._model and self._request:
            self._services.failover.remember(self._model, self._request, self.decision.trace, *self._names)

    def _store_answer(self, slot: "CacheSlot") -> None:
        reader = self._relay.stream.reader if self._relay else None
        slot.store(self.decision.trace, reader.usage if reader else Usage(), reader.seals if reader else ())

    def _end_stream(self, relay: Relay) -> None:
        """Record how the stream ended, and keep the provider's connection for the next call if it ended well."""
        reader, failover = relay.stream.reader, self._services.failover
        self._count(reader.usage, reader.malformed, cut=relay if relay.failure or not reader.complete else None)
        if self._continuer:
            self._continuer.describe_parts()
        failover.remember_proofs(relay.deployment, reader.seals)
        if relay.failure:
            self.decision.break_off(relay.code)
            if not relay.blameless:
                failover.report_broken_stream(self.decision.trace, relay.failure)
        if reader.done:
            relay.stream.reply.drain(self._services.clock.monotonic() + _DRAIN_SECONDS)
        else:
            relay.stream.reply.close()

    def _count(self, usage: Usage, malformed_chunks: int = 0, cut: Relay | None = None) -> None:
        """Record the tokens to charge: those reported, unless the stream was cut or they are implausible."""
        counted, flag = usage, None
        if self._request:
            if cut:
                counted, flag = cut_stream_usage(usage, self._request, cut.events, cut.sent_bytes), ESTIMATED
            bounded = bounded_usage(counted, self._request)
            if bounded is not counted:
                counted, flag = bounded, BOUNDED
        self.decision.count(counted, malformed_chunks, flag)

    def _report(self, record: Record) -> None:
        """Report the completed request to every observer."""
        observers = self._services.observers
        if not observers:
            return
        from vibe_router.pipeline.observers import CompletedRequest

        decision = self.decision
        completed = CompletedRequest(
            record,
            tuple(decision.trace.attempts),
            decision.started,
            self._traceparent,
            decision.trace,
            self._model,
            decision.caller,
            decision.reservation.ledgers if decision.reservation else {},
        )
        for observer in observers:
            _guarded(partial(observer.observe, completed))

    def _learn(self, rule: "ComplexityRule", record: Record) -> None:
        """Collect the evidence of a request that is routed by complexity."""
        if (request := self._request) is None or record.key is None:
            return
        if rule.evidence or record.routing_arm:
            self._services.evidence.observe(rule, request, record, asked=self._asked)
        if rule.dual and (dual := self._services.dual_runs).is_sampled(rule, request, record):
            dual.run(rule, request, record, self._answer, self._until)

    def _book(self, record: Record) -> None:
        """Write the request's row, and settle what it reserved."""
        settlement = None
        if reservation := self.decision.reservation:
            settlement = self._services.admission.settlement(reservation, record)
        self._services.usage_recorder.book(record, settlement)


def _guarded(step: Callable[[], None]) -> None:
    try:
        step()
    except Exception as error:  # noqa: BLE001 - the request is accounted for whatever fails
        log_fault("settle", error)
