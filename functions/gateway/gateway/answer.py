"""The routes that models answer, one for each client format.

Read, admit, resolve, reserve, walk the chain, relay, settle.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from gateway import proxy_event
from gateway.environment import Environment
from gateway.proxy_event import Request
from streaming_runtime import Context, Heartbeat, StreamingResponse
from vibe_router.core.errors import ApiError, bad_request, fault
from vibe_router.core.record import Record, bounded_tags, tags_in
from vibe_router.core.telemetry import traced
from vibe_router.formats import registry as known
from vibe_router.formats.interfaces import ClientFormat, WholeAnswer
from vibe_router.pipeline.decision import Decision
from vibe_router.pipeline.relay import Relay
from vibe_router.routing.deadline import Deadline

if TYPE_CHECKING:
    from vibe_router.formats.responses.format import ResponsesRequest

__all__ = ["FORMATS", "answer", "compact", "count_tokens", "format_of", "input_tokens"]

# What callers speak on which path, without /v1.
FORMATS: Mapping[str, str] = {
    "/chat/completions": "chat",
    "/messages": "messages",
    "/messages/count_tokens": "messages",
    "/responses": "responses",
    "/responses/compact": "responses",
    "/responses/input_tokens": "responses",
    "/completions": "completions",
    "/embeddings": "embeddings",
    "/moderations": "moderations",
    "/images/generations": "images",
    "/audio/speech": "speech",
    "/audio/transcriptions": "transcriptions",
    "/rerank": "rerank",
}

# Proxies and clients give up on a silent connection after 30 s or more; a comment costs nothing.
_HEARTBEAT_SECONDS = 15.0
# After the answer nobody waits, but the time is billed: what a provider sends after [DONE] is a few bytes.
_DRAIN_SECONDS = 0.25


def format_of(path: str) -> ClientFormat:
    """Return the format in which callers of `path` (without /v1) are told of errors."""
    return known.client(FORMATS.get(path, "chat"))


def count_tokens(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer how many tokens a request in Messages has. It costs nothing, so nothing is reserved or booked for it."""
    from vibe_router.formats.messages import request as messages_request

    caller = environment.admission.caller(request.headers)
    wanted = messages_request.parse_count(request.body, request.headers)
    model = environment.admission.model(caller, wanted.model, environment.routes())
    tokens, deployment = environment.counter.count(model, wanted)
    headers = {"x-vibe-request-id": request.id, **({"x-vibe-deployment": deployment.id} if deployment else {})}
    return proxy_event.json_answer({"input_tokens": tokens}, headers=headers)


def input_tokens(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Answer about how many tokens the input of a request in Responses has. As `count_tokens`, it costs nothing."""
    from vibe_router.formats.responses import format as responses_format

    caller = environment.admission.caller(request.headers)
    wanted = responses_format.parse(request.body)
    environment.admission.model(caller, wanted.model, environment.routes())
    tokens = environment.keeper.resumed(caller, wanted).prompt_tokens_estimate()
    headers = {"x-vibe-request-id": request.id}
    return proxy_event.json_answer({"object": "response.input_tokens", "input_tokens": tokens}, headers=headers)


def compact(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Refuse to compact a conversation. Raises ApiError (400).

    A compacted one is encrypted by the provider that made it: nothing that another layer could go on from.
    """
    environment.admission.caller(request.headers)
    raise bad_request(
        "Conversations are not compacted here, since only the provider that has done it could go on from there. "
        "Ask for a summary by /v1/responses instead, and go on from that.",
        code="unsupported_endpoint",
    )


def answer(client: ClientFormat, request: Request, context: Context, environment: Environment) -> StreamingResponse:
    """Answer a request in the format `client`, streamed or whole."""
    decision = Decision(request.id, environment.clock)
    decision.format = client.name
    context.after_response(decision.settle)
    try:
        return _answer(client, request, context, environment, decision)
    except ApiError as error:
        decision.failed(error)
        return proxy_event.error_answer(error, decision.headers(), client)
    except Exception:
        decision.failed(fault())
        raise


def _answer(
    client: ClientFormat, request: Request, context: Context, environment: Environment, decision: Decision
) -> StreamingResponse:
    caller = decision.caller = environment.admission.caller(request.headers)
    decision.tags = tags_in(request.headers)
    decision.book = lambda record: _book(record, environment, decision)
    wanted = client.parse(request.body, request.headers)
    decision.model, decision.stream = wanted.model, wanted.stream
    if wanted.tags:
        decision.tags = bounded_tags(decision.tags, wanted.tags)
    model = environment.admission.model(caller, wanted.model, environment.routes())
    decision.resolved = True
    keeping = None
    if wanted.format == "responses":
        wanted = environment.keeper.resumed(caller, cast("ResponsesRequest", wanted))
        keeping = environment.keeper.keeping(caller, wanted)
    total = max(deployment.policy.timeouts.total for deployment in model.chain)
    deadline = Deadline.of(decision.started, context.get_remaining_time_in_millis() / 1000, total)
    left = deadline.end - environment.clock.monotonic()
    with traced("reserve"):
        decision.reservation = environment.admission.reserve(caller, model, wanted, left)
    served = environment.failover.walk(model, wanted, deadline, decision.trace)
    decision.committed()
    if isinstance(served.answer, WholeAnswer):
        decision.usage = served.answer.usage
        environment.failover.remember(served.deployment, served.answer.seals)
        body = keeping.whole(served.answer.body) if keeping else served.answer.body
        return proxy_event.whole_answer(
            body, headers={**decision.headers(), "content-type": served.answer.content_type}
        )
    before_end = keeping.ending(served.answer.reader) if keeping else None
    relay = Relay(served.answer, served.deployment, deadline.end, environment.clock, before_end)

    decision.before_settling.append(lambda: _finish(relay, environment, decision))
    heartbeat = Heartbeat(_HEARTBEAT_SECONDS, client.heartbeat)
    return proxy_event.stream_answer(relay, decision.headers(), heartbeat)


def _book(record: Record, environment: Environment, decision: Decision) -> None:
    """Write a request of a known caller down, and settle what it has reserved."""
    settlement = None
    if decision.reservation:
        served = decision.trace.served_by
        settlement = environment.admission.settlement(decision.reservation, served, record.usage, record.cost)
    environment.bookkeeper.book(record, settlement)


def _finish(relay: Relay, environment: Environment, decision: Decision) -> None:
    """Take in how the stream ended, and leave the provider's connection ready for the next call if it ended well."""
    reader = relay.stream.reader
    decision.usage, decision.malformed_chunks = reader.usage, reader.malformed
    environment.failover.remember(relay.deployment, reader.seals)
    if relay.failure:
        decision.broke_off(relay.code)
        if not relay.blameless:
            environment.failover.broke_off(decision.trace, relay.failure)
    if reader.done:
        relay.stream.reply.drain(environment.clock.monotonic() + _DRAIN_SECONDS)
    else:
        relay.stream.reply.close()
