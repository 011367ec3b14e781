"""The progress messages and banner of `make start`, on standard error: standard output is the functions' log."""

import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

__all__ = ["Banner", "Console", "Provider"]


@dataclass(frozen=True)
class Provider:
    """A provider in the banner. `secret` is the name of its secret, never the value."""

    name: str
    secret: str
    base_url: str
    is_stand_in: bool


@dataclass(frozen=True)
class Banner:
    """The first steps with the router.

    `key` is None for a key that the user set, which is not printed. `key_file` is its file as the user types it.
    `sign_in` describes the credentials of the page, None without a page.
    """

    url: str
    key: str | None
    key_file: str
    sign_in: str | None
    models: Sequence[str]
    providers: Sequence[Provider]
    control: str

    def lines(self, emphasise: Callable[[str], str] = str) -> list[str]:
        """Return the banner; `emphasise` highlights a text."""
        note = f"stored in {self.key_file}; set MASTER_KEY to choose your own" if self.key else "set by you"
        typed_key = f"$(cat {self.key_file})" if self.key else "$MASTER_KEY"
        lines = [
            f"{emphasise('Base URL')}   {self.url}/v1",
            f"{emphasise('Key')}        {self.key or '$MASTER_KEY'}  ({note})",
            *([f"{emphasise('Admin page')} {self.url}/ui/  ({self.sign_in})"] if self.sign_in else []),
            f"{emphasise('Models')}     {', '.join(self.models) or 'none: routes.yaml has no models'}",
            "",
            *self._provider_lines(emphasise),
            "",
            emphasise("Try it"),
            f"  curl -N {self.url}/v1/chat/completions \\",
            f'    -H "Authorization: Bearer {typed_key}" -H "Content-Type: application/json" \\',
            f'    -d \'{{"model": "{self.models[0] if self.models else "MODEL"}", "stream": true, '
            '"messages": [{"role": "user", "content": "Hello"}]}\'',
        ]
        stand_in = next((provider.name for provider in self.providers if provider.is_stand_in), None)
        if stand_in is not None:
            lines += [
                "",
                emphasise("Watch a failover: make a stand-in fail"),
                f"  curl -X POST   {self.control}/{stand_in}/503   answers every request with 503 from now on",
                f"  curl -X DELETE {self.control}                  clears all faults",
                f"  curl           {self.control}/faults           lists all faults",
            ]
        return [*lines, "", "Ctrl-C ends everything."]

    def _provider_lines(self, emphasise: Callable[[str], str]) -> list[str]:
        lines = []
        width = max((len(provider.name) for provider in self.providers), default=0)
        for place, provider in enumerate(self.providers):
            label = emphasise("Providers") + "  " if place == 0 else " " * 11
            if provider.is_stand_in:
                reason = f"{provider.secret} is not set" if provider.secret else "there is no AWS here"
                description = f"{emphasise('STAND-IN')}: {reason}, so its answers are made up"
            else:
                description = f"real: {provider.base_url}, with {provider.secret or 'invalid AWS credentials'}"
            lines.append(f"{label}{provider.name:<{width}}  {description}")
        return lines


class Console:
    """Prints progress and warnings: coloured on a terminal, plain otherwise."""

    def __init__(
        self,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._stream = stream or sys.stderr
        self._clock = clock
        self._began = clock()
        self._colour = self._stream.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"

    def step(self, done: str) -> None:
        """Print a completed step and its time."""
        self._print(f"{self._styled('2', f'{self._elapsed():5.1f} s')}  {done}")

    def ready(self, banner: Banner) -> None:
        """Print how to use the router."""
        self._print("", f"{self._styled('1;32', 'Vibe Router is ready')} after {self._elapsed():.1f} s.", "")
        self._print(*banner.lines(lambda text: self._styled("1", text)), "")

    def note(self, message: str) -> None:
        """Print a warning or a note."""
        self._print(f"{self._styled('33', 'local:')} {message}")

    def fail(self, message: str) -> None:
        """Print the reason for a failed start."""
        self._print(f"{self._styled('1;31', 'make start:')} {message}")

    def _elapsed(self) -> float:
        return self._clock() - self._began

    def _styled(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour else text

    def _print(self, *lines: str) -> None:
        try:
            self._stream.write("\n".join((*lines, "")))  # at once: functions write their log between two writes
            self._stream.flush()
        except OSError:
            self._colour = False  # a closed terminal does not stop the stack
