"""The routes that models answer, one for each format that callers speak. pipeline.serve does the work."""

from collections.abc import Mapping

from gateway import proxy_event
from gateway.environment import Environment
from gateway.proxy_event import Request
from streaming_runtime import Context, Heartbeat, StreamingResponse
from vibe_router.core.errors import ApiError
from vibe_router.core.wire_formats import CLIENT_PATHS
from vibe_router.formats import registry
from vibe_router.formats.interfaces import ClientFormat, WholeAnswer
from vibe_router.pipeline.serve import RequestPipeline

__all__ = ["FORMATS", "answer", "compact", "count_tokens", "format_of", "input_tokens"]

# The format of each path (without /v1).
FORMATS: Mapping[str, str] = {
    **CLIENT_PATHS,
    "/messages/count_tokens": "messages",
    "/responses/compact": "responses",
    "/responses/input_tokens": "responses",
}

# Proxies and clients close a silent connection after 30 s or more; a comment costs nothing.
_HEARTBEAT_SECONDS = 15.0


def format_of(path: str) -> ClientFormat:
    """Return the format in which errors on `path` (without /v1) are answered."""
    return registry.client(FORMATS.get(path, "chat"))


def count_tokens(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Count the tokens of a request in Messages. Counting is free: nothing is reserved or booked."""
    from vibe_router.formats.messages import request as messages_request

    caller = environment.admission.caller(request.headers)
    environment.admission.count_request(caller)
    counted = messages_request.parse_count(request.body, request.headers)
    model = environment.admission.model(caller, counted.model, environment.routes())
    tokens, deployment = None, None
    if caller.guards or model.guards:
        from vibe_router.pipeline.guarding import for_counting, guards_for

        guards = guards_for(caller, model, None, environment.routes())
        counted = for_counting(guards, counted)
        if any(guard.bedrock for guard in guards):  # what they find may not leave the router
            tokens = counted.prompt_tokens_estimate()
    if tokens is None:
        tokens, deployment = environment.token_counter.count(model, counted)
    headers = {"x-vibe-request-id": request.id, **({"x-vibe-deployment": deployment.id} if deployment else {})}
    return proxy_event.json_response({"input_tokens": tokens}, headers=headers)


def input_tokens(request: Request, _context: Context, environment: Environment) -> StreamingResponse:
    """Estimate the tokens of a request in Responses. Counting is free: nothing is reserved or booked."""
    from vibe_router.formats.responses import request as responses_request

    caller = environment.admission.caller(request.headers)
    environment.admission.count_request(caller)
    counted = responses_request.parse(request.body)
    environment.admission.model(caller, counted.model, environment.routes())
    tokens = environment.responses.with_history(caller, counted).prompt_tokens_estimate()
    headers = {"x-vibe-request-id": request.id}
    return proxy_event.json_response({"object": "response.input_tokens", "input_tokens": tokens}, headers=headers)


def compact(request: Request, context: Context, environment: Environment) -> StreamingResponse:
    """Answer a conversation with its summary, which a request on any deployment can continue from."""
    from vibe_router.formats.responses import compaction

    pipeline = RequestPipeline(compaction.COMPACTION, request.id, environment)
    context.after_response(pipeline.settle)
    try:
        answered = pipeline.serve(request.headers, request.body, context.get_remaining_time_in_millis() / 1000)
        if not isinstance(answered, WholeAnswer):
            raise TypeError("a compaction is never streamed")
        body = compaction.compaction_of(answered.body)
    except ApiError as error:
        return proxy_event.error_response(error, pipeline.decision.headers(), compaction.COMPACTION)
    return proxy_event.whole_response(body, headers=pipeline.decision.headers())


def answer(client: ClientFormat, request: Request, context: Context, environment: Environment) -> StreamingResponse:
    """Answer a request in the format `client`, streamed or whole. Raises nothing but faults of the router."""
    pipeline = RequestPipeline(client, request.id, environment)
    context.after_response(pipeline.settle)
    try:
        answered = pipeline.serve(request.headers, request.body, context.get_remaining_time_in_millis() / 1000)
    except ApiError as error:
        return proxy_event.error_response(error, pipeline.decision.headers(), client)
    headers = pipeline.decision.headers()
    if isinstance(answered, WholeAnswer):
        return proxy_event.whole_response(answered.body, headers={**headers, "content-type": answered.content_type})
    return proxy_event.stream_response(answered, headers, Heartbeat(_HEARTBEAT_SECONDS, client.heartbeat))
