"""GET /openapi.json: the model API in OpenAPI, as `make docs` generates it."""

from functools import cache
from pathlib import Path

from gateway.environment import Environment
from gateway.proxy_event import Request, whole_response
from streaming_runtime import Context, StreamingResponse

__all__ = ["answer"]


def answer(_request: Request, _context: Context, _environment: Environment) -> StreamingResponse:
    """Return the document. It contains nothing secret, so no key is needed."""
    return whole_response(_document(), headers={"cache-control": "max-age=300"})


@cache
def _document() -> bytes:
    return Path(__file__).with_name("openapi.json").read_bytes()
