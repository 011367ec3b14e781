"""Guards in a running router: they mask what providers get, restore it for callers, and leave no trace of a value."""

from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from local.standin.library import Standin
from tests.e2e.page.traffic import admin
from tests.e2e.stack import KEY, Stack, eventually, running, shipped_routes

MAIL, TICKET, SECRET = "jane.doe@example.com", "ACME-123456", "ghp_" + "a1B2" * 9
GUARDS = """guards:
  personal: {find: [emails, {name: tickets, pattern: 'ACME-[0-9]{6}'}], action: mask}
  secrets: {find: [secrets]}
"""


def _routes(standin: Standin) -> str:
    return GUARDS + shipped_routes(standin).replace("  auto-chat:\n", "  auto-chat:\n    guards: [personal]\n", 1)


def _shown(stack: Stack, request_id: str) -> dict[str, Any] | None:
    """Return a request as the page shows it, once it has been written."""
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.get(f"{stack.root}/usage/requests/{request_id}", headers=headers, timeout=60)
    return answer.json() if answer.status_code == 200 else None


def test_values_are_masked_restored_and_recorded_nowhere(tmp_path: Path) -> None:
    with running(tmp_path, _routes) as stack:
        key = admin(stack, "key/generate", key_alias="ci", guards=["secrets"])["key"]
        client = openai.OpenAI(base_url=f"{stack.root}/v1", api_key=key, max_retries=0)
        said = f"Repeat {MAIL} and {TICKET}."
        whole = client.chat.completions.create(model="auto-chat", messages=[{"role": "user", "content": said}])
        assert MAIL in str(whole.choices[0].message.content), "the stand-in repeats what it was asked"
        stream = client.responses.create(model="auto-chat", input=said, stream=True)
        text = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
        assert MAIL in text
        assert TICKET in text
        with pytest.raises(openai.BadRequestError) as caught:
            client.chat.completions.create(model="auto-chat", messages=[{"role": "user", "content": SECRET}])
        assert caught.value.code == "guard_blocked"
        blocked = caught.value.response.headers["x-vibe-request-id"]
        assert stack.decision(blocked)["guard_findings"] == {"secrets": 1}
        assert eventually(lambda: _shown(stack, blocked))["guard_findings"] == {"secrets": 1}
        received = repr(stack.standin.requests())
        assert "[EMAIL_1]" in received
        recorded = b"".join(path.read_bytes() for path in (tmp_path / "state").rglob("*") if path.is_file())
        seen = received + "\n".join(stack.lines) + recorded.decode(errors="replace")
    for value in (MAIL, TICKET, SECRET):
        assert value not in seen
