"""The exact cache: store answers to repeatable requests, and replay them to equal requests of the same team.

A request is found by a keyed hash of everything that decides on its answer: the caller's team (or key, without one),
the format, the virtual model with its deployments and what the routes change of a request, forwarded headers, and the
body, as hooks left it. The hash's key is derived from the master key, so neither table nor hash reveals a request, and
another master key finds nothing.

Only answers that ended by themselves are stored, and only from the deployment that was first in line: an answer of a
fallback would otherwise outlive the outage. Concurrent equal requests may all reach a provider; the last one is stored.
"""

import hmac
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from typing import Any

from vibe_router.access.keys import Caller
from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.usage import Usage
from vibe_router.formats.common.json_body import dump, load
from vibe_router.formats.interfaces import ClientRequest, WholeAnswer
from vibe_router.formats.repeatable import canonical_json, comparable_body, is_repeatable
from vibe_router.formats.replay import assemble_stream, is_final, replay_stream, replay_whole
from vibe_router.pipeline.stream_copy import StreamCopy
from vibe_router.pipeline.trace import AttemptTrace
from vibe_router.store.answers import MOST_BYTES, AnswerStore

__all__ = ["AnswerCache", "CacheSlot", "CachedAnswer"]

_VERSION = 1  # of what is hashed and stored
_PURPOSE = b"vibe-router: cached answers"
# A stream takes several times the bytes of its whole answer: every chunk repeats the id and the model.
_MOST_STREAMED = 4 * MOST_BYTES

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """A stored answer to `request`: the whole `body` in its format, and the usage that its provider reported."""

    request: ClientRequest
    body: bytes
    usage: Usage

    def replay(self) -> WholeAnswer | list[bytes]:
        """Return the answer as `request` asks for it: whole, or the pieces of a stream."""
        return replay_stream(self.request, self.body) if self.request.stream else WholeAnswer(self.body, self.usage)


class AnswerCache:
    """Opens the cache for requests. One for an environment.

    `secret` returns the master key. `variant` distinguishes releases whose code, such as an operator's hooks, changes
    what is sent to providers.
    """

    def __init__(self, store: AnswerStore, secret: Callable[[], str | None], clock: Clock, variant: str = "") -> None:
        self._store = store
        self._secret = secret
        self._clock = clock
        self._variant = variant

    def open(
        self, caller: Caller, model: VirtualModel, request: ClientRequest, headers: Mapping[str, str], seconds: int
    ) -> "CacheSlot":
        """Return the place of `request` in the cache; answers are stored and replayed for so many seconds.

        `headers` are the caller's, in lower case. Never raises.
        """
        wishes = _cache_control(headers)
        id_ = None
        if "no-store" not in wishes and is_repeatable(request):
            id_ = self._id_of(caller, model, request, headers)
        is_fresh_wanted = not wishes.isdisjoint(("no-cache", "max-age=0"))
        return CacheSlot(self._store, self._clock, request, id_, seconds, looks_up=not is_fresh_wanted)

    def _id_of(
        self, caller: Caller, model: VirtualModel, request: ClientRequest, headers: Mapping[str, str]
    ) -> str | None:
        """Return the keyed hash of `request`, None if it cannot be made."""
        try:
            secret = self._secret()
            if not secret:
                return None
            asked = canonical_json(
                {
                    "version": _VERSION,
                    "variant": self._variant,
                    "tenant": _tenant_of(caller),
                    "format": request.format,
                    "model": model.name,
                    "chain": [[_identity_of(each) for each in step] for step in model.steps],
                    "headers": _forwarded(model, request, headers),
                    "body": comparable_body(request),
                }
            )
        except (ApiError, ValueError):  # no master key right now, or numbers that JSON does not have
            return None
        key = hmac.digest(secret.encode(), _PURPOSE, "sha256")
        return hmac.digest(key, asked, "sha256").hex()


class CacheSlot:
    """The place of one request in the cache. `state` is `hit`, `miss`, or `off` for a request that is not cached."""

    def __init__(
        self, store: AnswerStore, clock: Clock, request: ClientRequest, id_: str | None, seconds: int, *, looks_up: bool
    ) -> None:
        self.state = "miss" if id_ else "off"
        self._store = store
        self._clock = clock
        self._request = request
        self._id = id_
        self._seconds = seconds
        self._looks_up = looks_up
        self._whole: WholeAnswer | None = None
        self._copy: StreamCopy | None = None

    def find(self) -> CachedAnswer | None:
        """Return the stored answer. A table that cannot be read has none."""
        if not self._id or not self._looks_up or (stored := self._store.read(self._id)) is None:
            return None
        if self._clock.now() >= stored.created + self._seconds:  # the setting may have become shorter
            return None
        try:
            head, _, body = stored.data.partition(b"\n")
            usage = Usage(**load(head)["usage"])
            found = CachedAnswer(self._request, replay_whole(self._request, body), usage)
        except (ValueError, TypeError, KeyError):
            _log.warning("a cached answer is corrupt: it is treated as missing")
            return None
        self.state = "hit"
        return found

    def hold(self, answer: WholeAnswer) -> None:
        """Take note of a whole answer on its way to the caller."""
        self._whole = answer

    def watch(self, stream: Iterable[bytes]) -> Iterable[bytes]:
        """Return `stream`, of which a copy is made on its way to the caller."""
        if not self._id:
            return stream
        self._copy = StreamCopy(stream, _MOST_STREAMED)
        return self._copy

    def store(self, trace: AttemptTrace, usage: Usage, proofs: Iterable[str]) -> None:
        """Store the answer, after it was sent; `usage` and `proofs` of reasoning are those of its stream."""
        if not self._id or not _is_of_the_first(trace):
            return
        if answer := self._whole:
            body, usage, proofs = answer.body, answer.usage, answer.seals
        elif (copy := self._copy) and copy.is_whole:
            body = assemble_stream(self._request, copy.content, usage) or b""
        else:
            return
        # A proof of reasoning is valid for its conversation, and for its provider, which is not known to later callers.
        if any(proofs) or not is_final(self._request.format, body):
            return
        head = dump({"usage": {name: count for name, count in asdict(usage).items() if count is not None}})
        self._store.write(self._id, head + b"\n" + body, self._seconds)


def _cache_control(headers: Mapping[str, str]) -> set[str]:
    """Return the directives of the caller's Cache-Control."""
    given = headers.get("cache-control", "")[:200]
    return {each.strip().lower().replace(" ", "") for each in given.split(",")} if given else set()


def _tenant_of(caller: Caller) -> list[str]:
    """Return who shares answers: the team; without one the key, and the master key itself."""
    return ["team", caller.team.id] if caller.team else ["key", caller.key_id]


def _identity_of(deployment: Deployment) -> dict[str, Any]:
    """Return what decides on a deployment's answers."""
    provider = deployment.provider
    return {
        "id": deployment.id,
        "at": [provider.type, provider.base_url, provider.region, provider.endpoint],
        "formats": deployment.formats,
        "base_model": deployment.base_model,
        "shape": _plain(deployment.policy.shape),
    }


def _plain(value: object) -> object:
    """Return a value of the routes in JSON's terms."""
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    return dict(value) if isinstance(value, Mapping) else value


def _forwarded(model: VirtualModel, request: ClientRequest, headers: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's headers that reach a provider."""
    shapes = [shape for each in model.chain if (shape := each.policy.shape)]
    names = {name for shape in shapes for name in shape.forward_headers}
    return {**{name: headers[name] for name in names if name in headers}, **request.forwarded_headers}


def _is_of_the_first(trace: AttemptTrace) -> bool:
    """Return whether the deployment that was first in line gave all of the answer."""
    served = trace.served_by
    if served is None or trace.skipped or trace.parts:
        return False
    return all(each.deployment == served.id for each in trace.attempts)
