"""The shipped example of hooks, in a running router."""

from pathlib import Path

import httpx

from tests.e2e.stack import KEY, running, shipped_routes


def test_the_shipped_example_changes_requests_and_hears_of_answers(tmp_path: Path) -> None:
    with running(tmp_path, shipped_routes, HOOKS_MODULE="router_hooks") as stack:
        body = {"model": "auto-claude", "max_tokens": 99, "messages": [{"role": "user", "content": "Project Bluebird"}]}
        answer = httpx.post(
            f"{stack.root}/v1/messages", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=60
        )
        assert answer.status_code == 200
        assert "Bluebird" not in answer.text
        assert "the project" in answer.text, "the stand-in repeats what it was asked"
        request_id = answer.headers["x-vibe-request-id"]
        assert stack.decision(request_id)["status"] == 200
    assert any(line.startswith(f"{request_id} cost") for line in stack.lines)
