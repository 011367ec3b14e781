"""Calls to the router beside the page: the admin API and chat completions."""

from typing import Any

import httpx

from tests.e2e.stack import KEY, Stack

__all__ = ["admin", "ask"]


def admin(stack: Stack, path: str, method: str = "POST", **body: Any) -> Any:
    """Call the admin API with the master key."""
    headers = {"authorization": f"Bearer {KEY}"}
    answer = httpx.request(method, f"{stack.root}/{path}", json=body or None, headers=headers, timeout=60)
    answer.raise_for_status()
    return answer.json()


def ask(stack: Stack, key: str, model: str = "auto-chat", text: str = "Hello", **body: Any) -> httpx.Response:
    """Send a chat completion."""
    return httpx.post(
        f"{stack.url}/chat/completions",
        json={"model": model, "messages": [{"role": "user", "content": text}], **body},
        headers={"authorization": f"Bearer {key}"},
        timeout=60,
    )
