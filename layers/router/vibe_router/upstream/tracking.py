"""Track the answer of an exchange, so that another deployment can continue it where it breaks."""

from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment
from vibe_router.formats.continuation import TrackingWriter
from vibe_router.formats.interfaces import ClientRequest, StreamReader
from vibe_router.formats.neutral.model import NeutralRequest, Raw
from vibe_router.formats.translation import Translation
from vibe_router.upstream.exchange import Exchange

__all__ = ["track"]


def track(exchange: Exchange, request: ClientRequest, deployment: Deployment) -> None:
    """Write the caller's stream so that it can be continued, if the answer to `request` may be one text."""
    if exchange.is_conversation and request.answers == 1:
        try:
            neutral = request.neutral()
        except ApiError:  # only its own format can carry it
            return
        if _is_plain(neutral, same_format=exchange.format == request.format):
            exchange.open_reader = lambda opened: _tracked_reader(opened, deployment)


def _is_plain(request: NeutralRequest, *, same_format: bool) -> bool:
    """Return whether the neutral form holds everything that the answer may consist of."""
    if request.logprobs or request.rest.get("modalities") or request.more.get("modalities"):
        return False
    if request.format == "completions" and request.rest:  # the prompt echoed, log probabilities, the best of several
        return False
    return not (same_format and any(isinstance(tool, Raw) for tool in request.tools))


def _tracked_reader(exchange: Exchange, deployment: Deployment) -> StreamReader:
    exchange.tracker = TrackingWriter(exchange.writer(), deployment.id)
    return Translation(*exchange.decoded(), exchange.tracker, exchange.issuer, exchange.model)
