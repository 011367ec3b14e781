"""With every feature on, no prompt, answer, key or cookie is in a log, metric, trace, record or counter."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.unit.gateway.fake_environment import COMPLETION, FakeEnvironment, refusal, whole
from tests.unit.gateway.test_gateway_archive import Documents
from tests.unit.gateway.test_gateway_cache import PAIRS, SAID, send
from vibe_router.access.keys import Caller, Key
from vibe_router.core.models import Guard
from vibe_router.core.trace_context import trace_context
from vibe_router.pipeline.archiver import RequestArchiver
from vibe_router.pipeline.spans import export_request
from vibe_router.store.aws_errors import ClientError

KEY = "sk-canary-key-of-the-caller"
PROMPT, ANSWER, MAIL = "canary-prompt", "canary-answer", "canary@example.com"


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
def test_content_leaves_no_trace(
    environment: FakeEnvironment,
    lines: Callable[[], list[dict[str, Any]]],
    capsys: pytest.CaptureFixture[str],
    name: str,
    streamed: bool,
) -> None:
    documents = Documents()
    environment.archiver = RequestArchiver(documents, environment.clock)
    environment.callers.callers[KEY] = Caller(Key("a" * 64, "a" * 64, archive=True, cache_seconds=60))
    environment.guards["personal"] = Guard("personal", ("emails", "secrets"), action="mask")
    environment.models["auto-chat"] = replace(environment.models["auto-chat"], guards=("personal",))
    path, body, query = PAIRS[name][streamed]
    request = path, json.loads(json.dumps(body).replace(SAID, f"{PROMPT} {MAIL}")), query
    answer = json.loads(json.dumps(COMPLETION).replace("Hello.", f"{ANSWER} {MAIL}"))
    environment.upstream.script["one"] = [whole(answer), refusal(400, {"error": {"message": PROMPT}})]
    environment.upstream.script["two"] = [refusal(400, {"error": {"message": PROMPT}})]
    cookie = {"cookie": "canary-cookie", "x_api_key": "canary-other-key"}
    assert send(request, KEY, **cookie).status == 200
    assert send(request, KEY, **cookie).cache == "hit"
    documents.faults = [ClientError({"Error": {"Code": "AccessDenied", "Message": PROMPT}}, "PutObject")]
    assert send(request, KEY, cache_control="no-cache").status == 400

    context = trace_context(None, "request-1")
    traces = [export_request(each, context, {"service.name": "vibe-router"}) for each in environment.reported]
    booked = [(record.as_row(90), record.as_line(), record.counters()) for record in environment.books.booked]
    captured = capsys.readouterr()
    for place in (json.dumps([lines(), traces, booked]), captured.out, captured.err, *environment.answers.table):
        for secret in (PROMPT, ANSWER, MAIL, KEY, "canary"):
            assert secret not in place
    archived = json.dumps(documents.written)
    assert PROMPT in archived, "which is there to hold it"
    assert ANSWER in archived
    assert not any(secret in archived for secret in (MAIL, KEY, "canary-cookie", "canary-other-key"))
