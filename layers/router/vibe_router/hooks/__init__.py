"""The interface of hooks: the requests and attempts that the functions of a hook module receive.

A module defines any of these functions; the router calls them for requests in every format.

    before_request(request: HookRequest)    once for each request: may change or reject it
    before_attempt(attempt: HookAttempt)    once for each deployment that is tried: may change what is sent, or skip it
    after_answer(record: dict)              once for each request, after the answer: the record, as the page shows it

It may also set `on_error` and `seconds`, dicts by the function's name: "reject" (the default of before_request), "skip"
(of before_attempt) or "continue" when a function fails, and its time limit (1 second by default).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vibe_router.formats.common.texts import map_texts, messages_of

__all__ = ["HookAttempt", "HookRequest", "RejectedError", "SkippedError"]


class RejectedError(Exception):
    """Raised by `HookRequest.reject`: the caller gets `message` with `status` and `code`."""

    def __init__(self, message: str, status: int = 400, code: str = "rejected_by_hook") -> None:
        super().__init__(message)
        self.message = message
        self.status = status if 400 <= status < 600 else 400
        self.code = code


class SkippedError(Exception):
    """Raised by `HookAttempt.skip`: the next deployment is tried."""


@dataclass(slots=True)
class HookRequest:
    """A request before it is routed.

    `format` is the caller's (chat, messages, responses, gemini, embeddings …). `model` may be set to another virtual
    model that the key may use. `headers` have lower-case names and no credentials. `body` is the JSON in the caller's
    format, a copy that may be changed; it is empty for forms. The caller is named by `key_id`, `key_alias`, `team`,
    `user` and `tags`.
    """

    id: str
    format: str
    model: str
    stream: bool
    body: dict[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    key_id: str = ""
    key_alias: str | None = None
    team: str | None = None
    user: str | None = None
    tags: Sequence[str] = ()

    @property
    def messages(self) -> list[tuple[str, str]]:
        """Every text of the conversation or the input as (role, text), the same for every format."""
        return list(messages_of(self.format, self.body))

    def replace_texts(self, change: Callable[[str], str]) -> None:
        """Replace every text by what `change` returns for it: prompts, tool results and arguments."""
        map_texts(self.format, self.body, change)

    def reject(self, message: str, status: int = 400, code: str = "rejected_by_hook") -> None:
        """Answer the caller with an error, in the caller's format."""
        raise RejectedError(message, status, code)


@dataclass(slots=True)
class HookAttempt:
    """A request on its way to one deployment.

    `format` is the provider's, and `body` the JSON in it, a copy that may be changed. `headers` are added to the
    call's; they cannot replace the provider's key.
    """

    deployment: str
    provider: str
    model: str
    format: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)

    def skip(self, reason: str) -> None:
        """Do not call this deployment; go on with the next one."""
        raise SkippedError(reason)
