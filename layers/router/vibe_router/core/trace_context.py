"""W3C Trace Context: the trace that a caller's request belongs to (the `traceparent` header).

Source: W3C Trace Context, section 3.2.
"""

import hashlib
import re
from dataclasses import dataclass

__all__ = ["TraceContext", "trace_context"]

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[!-~]{0,300})?")
_LONGEST = 512


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A request's place in a trace.

    `trace_id` has 32 hexadecimal digits. `parent_id` is the caller's span, "" if the trace begins here.
    """

    request_id: str
    trace_id: str
    parent_id: str = ""
    sampled: bool = True

    def span_id(self, name: str) -> str:
        """Return the id (16 hexadecimal digits) of the request's span `name`: always the same one."""
        return _digest(f"{self.trace_id}/{self.request_id}/{name}", 8)


def trace_context(traceparent: str | None, request_id: str) -> TraceContext:
    """Return the trace of `traceparent`; without a valid one, a new trace with an id derived from `request_id`."""
    found = _TRACEPARENT.fullmatch(traceparent.strip()) if traceparent and len(traceparent) <= _LONGEST else None
    if found:
        version, trace_id, parent_id, flags, more = found.groups()
        is_valid = version != "ff" and trace_id.strip("0") and parent_id.strip("0") and not (version == "00" and more)
        if is_valid:
            return TraceContext(request_id, trace_id, parent_id, bool(int(flags, 16) & 1))
    return TraceContext(request_id, _digest(request_id, 16))


def _digest(text: str, size: int) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=size).hexdigest()
