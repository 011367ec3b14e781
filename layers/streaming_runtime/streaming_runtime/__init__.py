"""A Lambda runtime for Python functions that stream their responses.

The managed Python runtime buffers the result of a handler. This runtime replaces it through
`AWS_LAMBDA_EXEC_WRAPPER` and calls the Runtime API itself:

    def handler(event, context):
        context.after_response(count_request)
        return StreamingResponse(200, {"content-type": "text/event-stream"}, events())

A handler may also return an ordinary proxy result (`statusCode`, `headers`, `multiValueHeaders`, `cookies`, `body`,
`isBase64Encoded`). Both are sent in the streaming format, which an API Gateway integration with
`responseTransferMode: STREAM` requires of every response. Any other result is sent as plain JSON.
"""

from .context import Context
from .response import Heartbeat, StreamingResponse

__all__ = ["Context", "Heartbeat", "StreamingResponse"]
