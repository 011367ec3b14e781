"""A function's answer on its way to the client: as it comes on a streamed route, whole on any other."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from multidict import CIMultiDict

from .invocation import Answer, FunctionFailedError
from .prelude import DELIMITER, MAX_PRELUDE, Head, MalformedAnswerError, head_of_prelude, result_of

__all__ = ["IntegrationError", "relay", "whole"]


class IntegrationError(Exception):
    """There is no answer, and the client can still be told. `kind` is API Gateway's response type."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind


async def relay(
    incoming: web.BaseRequest,
    answer: Answer,
    timeout: float,
    idle: float,
    request_id: str,
    report_cut: Callable[[str], None],
) -> web.StreamResponse:
    """Write each part of a streamed answer to the client when it comes. Raises `IntegrationError`.

    `timeout`: seconds for all of it; `idle`: seconds that it may be silent. A client that goes away is not told to the
    function: what it still sends is dropped. An answer that has begun and cannot be ended is cut, so that the client
    sees a chunked body without its end (what API Gateway does here is not documented), and `report_cut` told why.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    head, data = await _begin(answer, deadline, idle)
    headers = CIMultiDict(head.headers)
    headers["x-amzn-RequestId"] = request_id
    response = web.StreamResponse(status=head.status, headers=headers)
    bodiless = incoming.method == "HEAD" or head.status in (204, 304)
    try:
        await response.prepare(incoming)
        while True:
            if data and not bodiless:
                await response.write(data)
            data = await _next(answer, deadline, idle)
            if not data:
                break
        await response.write_eof()
    except ConnectionError:
        answer.drop()
    except (IntegrationError, FunctionFailedError) as error:
        answer.drop()
        report_cut(str(error))
        if incoming.transport is not None:
            incoming.transport.close()
    return response


async def whole(answer: Answer, timeout: float, limit: int, request_id: str) -> web.Response:
    """Return a buffered answer of up to `limit` bytes within `timeout` seconds. Raises `IntegrationError`."""
    deadline = asyncio.get_running_loop().time() + timeout
    payload = bytearray()
    try:
        while data := await _next(answer, deadline, timeout):
            payload += data
            if len(payload) > limit:
                raise MalformedAnswerError(f"it is over {limit} bytes")
        head, body = result_of(bytes(payload))
    except FunctionFailedError as error:
        raise IntegrationError("INTEGRATION_FAILURE", str(error)) from None
    except MalformedAnswerError as error:
        answer.drop()
        raise IntegrationError("INTEGRATION_FAILURE", f"malformed answer: {error}") from None
    headers = CIMultiDict(head.headers)
    headers["x-amzn-RequestId"] = request_id
    return web.Response(status=head.status, headers=headers, body=body)


async def _begin(answer: Answer, deadline: float, idle: float) -> tuple[Head, bytes]:
    """Read up to the delimiter; returns the head and what has come of the payload."""
    seen = b""
    try:
        while (end := seen.find(DELIMITER)) < 0:
            if len(seen) > MAX_PRELUDE:
                raise MalformedAnswerError(f"the delimiter does not come within {MAX_PRELUDE} bytes")
            data = await _next(answer, deadline, idle)
            if not data:
                raise MalformedAnswerError("it ends before the delimiter; a streamed route takes no other format")
            seen += data
        if end > MAX_PRELUDE - len(DELIMITER):
            raise MalformedAnswerError(f"the delimiter does not come within {MAX_PRELUDE} bytes")
        return head_of_prelude(seen[:end]), seen[end + len(DELIMITER) :]
    except FunctionFailedError as error:
        raise IntegrationError("INTEGRATION_FAILURE", str(error)) from None
    except MalformedAnswerError as error:
        answer.drop()
        raise IntegrationError("INTEGRATION_FAILURE", f"malformed answer: {error}") from None


async def _next(answer: Answer, deadline: float, idle: float) -> bytes:
    now = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(min(deadline, now + idle)):
            return await answer.read()
    except TimeoutError:
        answer.drop()
        why = "it took longer than the route allows" if deadline <= now + idle else f"nothing came for {idle:g} s"
        raise IntegrationError("INTEGRATION_TIMEOUT", why) from None
