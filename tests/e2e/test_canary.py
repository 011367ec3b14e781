"""One prompt, one answer and one provider's key through a router with everything on, and where none of them may be."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import openai

from local.standin import Standin
from tests.e2e.page.traffic import admin
from tests.e2e.stack import KEY, Stack, eventually, running, shipped_routes
from tests.e2e.test_traces import Collector, collecting
from tests.integration.alerts.receivers import ReceiverServer, receiving

CANARY = "canary-of-a-prompt-and-its-answer"
MAIL = "canary@example.com"
PROVIDER_KEY = "sk-canary-of-a-provider-0123456789"
EVERYTHING = """guards:
  personal: {find: [emails], action: mask}
alerts:
  receivers:
    ops: {type: json, url: OPS_URL}
"""
OPTIONS = """  auto-chat:
    guards: [personal]
    cache: {seconds: 600}
    routing: {by: complexity, mini: auto-chat-mini, mode: shadow, evidence: true}
"""
CONTENT = ("CacheTable", "ResponsesTable")
"""The tables that hold answers, because somebody asked for that."""


def _routes(standin: Standin) -> str:
    return EVERYTHING + shipped_routes(standin).replace("  auto-chat:\n", OPTIONS, 1)


def _stored(stack: Stack) -> Iterator[str]:
    """Yield the items of every table that must hold no content."""
    client, _ = stack.table("state_table")
    for table in client.list_tables()["TableNames"]:
        if not table.endswith(CONTENT):
            yield repr(client.scan(TableName=table)["Items"])


def _shown(stack: Stack) -> Iterator[str]:
    """Yield what the admin API, the metrics and the health of the router show."""
    for path in ("audit", "alerts", "usage/requests", "usage/overview", "routes", "cooldowns", "spend/logs"):
        yield json.dumps(admin(stack, path, "GET"))
    for path in ("metrics", "health"):
        yield httpx.get(f"{stack.root}/{path}", headers={"authorization": f"Bearer {KEY}"}, timeout=60).text


def _ask(stack: Stack) -> None:
    """Send the canary in two formats, whole and streamed, twice for the cache, and past a provider that fails."""
    key = admin(stack, "key/generate", key_alias="ci", max_budget=10)["key"]
    client = openai.OpenAI(base_url=stack.url, api_key=key, max_retries=0)
    said: Any = [{"role": "user", "content": f"Repeat {CANARY} and {MAIL}."}]
    for _ in range(2):
        whole = client.chat.completions.create(model="auto-chat", messages=said, temperature=0)
        assert CANARY in str(whole.choices[0].message.content), "the stand-in repeats what it was asked"
    assert "".join(str(each) for each in client.responses.create(model="auto-chat", input=said, stream=True))
    stack.fault("cliproxyapi", "bad_key")
    assert client.chat.completions.create(model="auto-chat-mini", messages=said).choices


def test_nothing_that_is_recorded_or_sent_holds_content_or_a_key(tmp_path: Path) -> None:
    with ExitStack() as entered:
        collector: Collector = entered.enter_context(collecting())
        receiver: ReceiverServer = entered.enter_context(receiving())
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OPS_URL": f"{receiver.url}/hook"}
        stack = entered.enter_context(running(tmp_path, _routes, CHAT_AUTO_API_KEY=PROVIDER_KEY, **settings))
        put = httpx.put(
            f"{stack.root}/secrets/OTHER_API_KEY",
            json={"secret": PROVIDER_KEY},
            headers={"authorization": f"Bearer {KEY}"},
            timeout=60,
        )
        assert put.status_code == 200, put.text
        _ask(stack)
        (alert,) = eventually(lambda: receiver.of("credential"))
        eventually(lambda: len(admin(stack, "usage/requests", "GET")["requests"]) >= 4)
        sent = [alert.body.decode(), repr(collector.received.get(timeout=60))]
        while not collector.received.empty():
            sent.append(repr(collector.received.get()))
        seen = [*sent, *_stored(stack), *_shown(stack)]
        seen += stack.lines
    for canary in (CANARY, MAIL, PROVIDER_KEY, PROVIDER_KEY[3:20]):
        assert not [each[:300] for each in seen if canary in each], canary
