"""Call a guardrail of Amazon Bedrock (ApplyGuardrail) with the function's role. Imported with the first such guard.

Shapes: Amazon Bedrock's API reference, "ApplyGuardrail".
"""

import json
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from vibe_router.store.aws_client import suffix_of
from vibe_router.store.aws_errors import AwsError
from vibe_router.store.credentials import shared_credentials
from vibe_router.store.signature import signed_headers
from vibe_router.upstream.client import AttemptFailedError, Upstream

__all__ = ["Assessment", "GuardrailError", "apply_guardrail"]

_ENDPOINT = "AWS_ENDPOINT_URL_BEDROCK_RUNTIME"
_REGION = "us-east-1"  # unless the routes or the environment set one
_MOST_BYTES = 4 * 1024 * 1024  # of an answer
_CONNECT_SECONDS = 2.0
# The lists of findings in an assessment, and what a finding is called that has no type.
_POLICIES = (
    ("topicPolicy", "topics", "topic"),
    ("contentPolicy", "filters", ""),
    ("wordPolicy", "customWords", "word"),
    ("wordPolicy", "managedWordLists", ""),
    ("sensitiveInformationPolicy", "piiEntities", ""),
    ("sensitiveInformationPolicy", "regexes", "regex"),
)
_ONE_KIND = frozenset(("topics", "customWords", "regexes"))  # whose own names are the operator's


class GuardrailError(Exception):
    """The guardrail did not answer; the text says why, and holds nothing of the request."""


class Assessment(NamedTuple):
    """The result of a guardrail: its findings by kind, whether it blocks, and the texts to send instead."""

    counts: dict[str, int]
    blocks: bool
    texts: tuple[str, ...] | None  # None if they are unchanged


def apply_guardrail(
    upstream: Upstream, guardrail: tuple[str, str, str | None], texts: Sequence[str], until: float
) -> Assessment:
    """Return what the guardrail (id, version, region) makes of `texts`, by `until` (monotonic). Raises GuardrailError.

    Texts of one call are answered in their order. If it answers with another number, they are sent one by one.
    """
    answer = _call(upstream, guardrail, texts, until)
    findings = list(_findings(answer))
    counts: dict[str, int] = {}
    for kind, _ in findings:
        counts[kind] = counts.get(kind, 0) + 1
    if answer.get("action") != "GUARDRAIL_INTERVENED":
        return Assessment(counts, blocks=False, texts=None)
    changes = [action for _, action in findings if action != "NONE"]
    if not changes or any(action != "ANONYMIZED" for action in changes):
        return Assessment(counts or {"guardrail": 1}, blocks=True, texts=None)
    outputs = answer.get("outputs")
    masked = tuple(
        each["text"]
        for each in (outputs if isinstance(outputs, list) else ())
        if isinstance(each, dict) and isinstance(each.get("text"), str)
    )
    if len(masked) == len(texts):
        return Assessment(counts, blocks=False, texts=masked)
    if len(texts) == 1:
        raise GuardrailError("it answered without the masked text")
    return _one_by_one(upstream, guardrail, texts, until)


def _one_by_one(
    upstream: Upstream, guardrail: tuple[str, str, str | None], texts: Sequence[str], until: float
) -> Assessment:
    counts: dict[str, int] = {}
    masked: list[str] = []
    blocks = False
    for text in texts:
        found = apply_guardrail(upstream, guardrail, (text,), until)
        blocks |= found.blocks
        masked += found.texts or (text,)
        for kind, number in found.counts.items():
            counts[kind] = counts.get(kind, 0) + number
    return Assessment(counts, blocks, tuple(masked))


def _findings(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the kind and the action of each finding."""
    for assessment in answer.get("assessments") or ():
        for policy, name, kind in _POLICIES:
            group = assessment.get(policy) if isinstance(assessment, dict) else None
            for found in (group.get(name) or ()) if isinstance(group, dict) else ():
                if isinstance(found, dict) and found.get("detected") is not False:
                    own = "" if name in _ONE_KIND else str(found.get("type") or "").lower()[:40]
                    yield own or kind or "guardrail", str(found.get("action") or "NONE")


def _call(
    upstream: Upstream, guardrail: tuple[str, str, str | None], texts: Sequence[str], until: float
) -> dict[str, Any]:
    id_, version, own_region = guardrail
    region = own_region or os.environ.get("AWS_REGION") or _REGION
    base_url = os.environ.get(_ENDPOINT) or f"https://bedrock-runtime.{region}.{suffix_of(region)}"
    url = f"{base_url}/guardrail/{quote(id_, safe='')}/version/{version}/apply"
    content = [{"text": {"text": text}} for text in texts]
    body = json.dumps({"source": "INPUT", "content": content}, ensure_ascii=False).encode(errors="replace")
    try:
        given = {"content-type": "application/json"}
        signed = signed_headers(shared_credentials().get(), "bedrock", region, url, given, body, time.time())
        headers = {**signed, "accept": "application/json", "accept-encoding": "identity", "user-agent": "vibe-router"}
        with upstream.post(url, headers, body, connect=_CONNECT_SECONDS, until=until) as reply:
            raw = b""
            while len(raw) <= _MOST_BYTES and (piece := reply.read(until)):
                raw += piece
            if reply.status != 200:
                raise GuardrailError(f"status {reply.status}")
        answer = json.loads(raw)
    except AttemptFailedError as error:
        raise GuardrailError(str(error.failure.kind)) from None
    except (AwsError, ValueError) as error:
        raise GuardrailError(type(error).__name__) from None
    if not isinstance(answer, dict) or not isinstance(answer.get("action"), str):
        raise GuardrailError("it answered with something else")
    return answer
