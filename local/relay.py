"""Send a function's response to the client: streamed or buffered, by the route."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from multidict import CIMultiDict

from .invocation import FunctionFailedError, Payload
from .prelude import DELIMITER, MAX_PRELUDE, Head, MalformedResponseError, head_of_prelude, result_of

__all__ = ["IntegrationError", "buffered_response", "streamed_response"]


class IntegrationError(Exception):
    """The integration failed before the first byte of the response. `kind` is API Gateway's response type."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


async def streamed_response(
    incoming: web.BaseRequest,
    payload: Payload,
    timeout: float,
    idle: float,
    request_id: str,
    report_cut: Callable[[str], None],
) -> web.StreamResponse:
    """Forward each part of a streamed response at once. Raises `IntegrationError`.

    `timeout`: seconds for the whole response; `idle`: longest silence in seconds. The function does not notice a client
    that disconnects: the rest of its response is dropped. A response that fails after its first byte is cut, so the
    client gets a chunked body without an end (API Gateway's behaviour is not documented), and `report_cut` gets the
    reason.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    head, data = await _begin(payload, deadline, idle)
    headers = CIMultiDict(head.headers)
    headers["x-amzn-RequestId"] = request_id
    response = web.StreamResponse(status=head.status, headers=headers)
    bodiless = incoming.method == "HEAD" or head.status in (204, 304)
    try:
        await response.prepare(incoming)
        while True:
            if data and not bodiless:
                await response.write(data)
            data = await _next(payload, deadline, idle)
            if not data:
                break
        await response.write_eof()
    except ConnectionError:
        payload.drop()
    except (IntegrationError, FunctionFailedError) as error:
        payload.drop()
        report_cut(str(error))
        if incoming.transport is not None:
            incoming.transport.close()
    return response


async def buffered_response(payload: Payload, timeout: float, limit: int, request_id: str) -> web.Response:
    """Return a buffered response of at most `limit` bytes within `timeout` seconds. Raises `IntegrationError`."""
    deadline = asyncio.get_running_loop().time() + timeout
    content = bytearray()
    try:
        while data := await _next(payload, deadline, timeout):
            content += data
            if len(content) > limit:
                raise MalformedResponseError(f"it is over {limit} bytes")
        head, body = result_of(bytes(content))
    except FunctionFailedError as error:
        raise IntegrationError("INTEGRATION_FAILURE", str(error)) from None
    except MalformedResponseError as error:
        payload.drop()
        raise IntegrationError("INTEGRATION_FAILURE", f"malformed response: {error}") from None
    headers = CIMultiDict(head.headers)
    headers["x-amzn-RequestId"] = request_id
    return web.Response(status=head.status, headers=headers, body=body)


async def _begin(payload: Payload, deadline: float, idle: float) -> tuple[Head, bytes]:
    """Read up to the delimiter; returns the head and the first part of the payload."""
    seen = b""
    try:
        while (end := seen.find(DELIMITER)) < 0:
            if len(seen) > MAX_PRELUDE:
                raise MalformedResponseError(f"there is no delimiter within the first {MAX_PRELUDE} bytes")
            data = await _next(payload, deadline, idle)
            if not data:
                raise MalformedResponseError("it ends before the delimiter, which a streamed route requires")
            seen += data
        if end > MAX_PRELUDE - len(DELIMITER):
            raise MalformedResponseError(f"there is no delimiter within the first {MAX_PRELUDE} bytes")
        return head_of_prelude(seen[:end]), seen[end + len(DELIMITER) :]
    except FunctionFailedError as error:
        raise IntegrationError("INTEGRATION_FAILURE", str(error)) from None
    except MalformedResponseError as error:
        payload.drop()
        raise IntegrationError("INTEGRATION_FAILURE", f"malformed response: {error}") from None


async def _next(payload: Payload, deadline: float, idle: float) -> bytes:
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(deadline, now + idle)):
            return await payload.read()
    except TimeoutError:
        payload.drop()
        why = "it exceeded the route's timeout" if deadline <= now + idle else f"it was silent for {idle:g} s"
        raise IntegrationError("INTEGRATION_TIMEOUT", why) from None
