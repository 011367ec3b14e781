"""Create many keys in parallel, and print each secret exactly once, in order."""

import json
import sys
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from vibe_cli import output
from vibe_cli.errors import CommandError, discard_output, is_output_open

if TYPE_CHECKING:
    from vibe_cli.api import Api

__all__ = ["KeyBatch"]

_PARALLEL_CALLS = 4
_SKIPPED = "not created: an earlier key failed"


class KeyBatch:
    """Creates keys from bodies of /key/generate. Every secret that was created is printed, whatever fails later.

    On a terminal the secrets are printed at the end, below the progress bar; in a pipe as JSON lines, one at a time.
    Creation stops when the router fails, or when the output is closed; `unseen` then holds the keys created after that.
    """

    def __init__(self, api: "Api", *, for_terminal: bool) -> None:
        self._api = api
        self._for_terminal = for_terminal
        self._lines: list[str] = []
        self.status = 0
        self.unseen: list[dict[str, Any]] = []
        self.skipped = 0
        self.output_error: OSError | None = None

    def create(self, bodies: Sequence[dict[str, object]]) -> None:
        """Create a key from each body."""
        pending: deque[tuple[dict[str, object], Future[Any]]] = deque()
        waiting = deque(bodies)
        try:
            with output.progress_bar("keys", len(bodies)) as advance, ThreadPoolExecutor(_PARALLEL_CALLS) as pool:
                while pending or (waiting and self._continues()):
                    while waiting and len(pending) < _PARALLEL_CALLS and self._continues():
                        body = waiting.popleft()
                        pending.append((body, pool.submit(self._api.post, "/key/generate", body)))
                    self._finish(*pending[0])
                    pending.popleft()
                    advance(1)
        finally:
            for body, call in pending:
                self._finish(body, call)
            for body in waiting:
                self._report(body, {"key_alias": body.get("key_alias"), "error": _SKIPPED})
            self.skipped = len(waiting)
            sys.stdout.write("".join(self._lines))

    def _continues(self) -> bool:
        return self.status < 2 and self.output_error is None and is_output_open()

    def _finish(self, body: dict[str, object], call: "Future[Any]") -> None:
        try:
            self._report(body, call.result())
        except CommandError as error:
            self.status = max(self.status, error.status)
            self._report(body, {"key_alias": body.get("key_alias"), "error": str(error)})

    def _report(self, body: dict[str, object], result: dict[str, Any]) -> None:
        if self._for_terminal:
            secret = result.get("key") or output.clean(result.get("error"))
            self._lines.append(f"{output.clean(body.get('key_alias') or '')}\t{secret}\n")
            return
        if self.output_error is None:
            try:
                sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
                sys.stdout.flush()
            except OSError as error:
                self.output_error = error
                discard_output()
        if self.output_error is not None and "key" in result:
            self.unseen.append(result)
