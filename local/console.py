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
    """What a person needs to use the router. `shown_key` is None for a key of one's own, which is not printed."""

    base_url: str
    shown_key: str | None
    models: Sequence[str]
    providers: Sequence[Provider]
    control: str

    def lines(self, emphasise: Callable[[str], str] = str) -> list[str]:
        """Return the banner; `emphasise` highlights a text."""
        key = self.shown_key or "$MASTER_KEY"
        key_note = (
            "fixed, for this machine; set MASTER_KEY to have your own" if self.shown_key else "as you have set it"
        )
        lines = [
            f"{emphasise('Base URL')}   {self.base_url}",
            f"{emphasise('Key')}        {key}  ({key_note})",
            f"{emphasise('Models')}     {', '.join(self.models) or 'none: routes.yaml has no models'}",
            "",
            *self._provider_lines(emphasise),
            "",
            emphasise("Try it"),
            f"  curl -N {self.base_url}/chat/completions \\",
            f'    -H "Authorization: Bearer {key}" -H "Content-Type: application/json" \\',
            f'    -d \'{{"model": "{self.models[0] if self.models else "MODEL"}", "stream": true, '
            '"messages": [{"role": "user", "content": "Hello"}]}\'',
        ]
        stand_in = next((provider.name for provider in self.providers if provider.is_stand_in), None)
        if stand_in is not None:
            lines += [
                "",
                emphasise("Watch it fail over: let a stand-in misbehave"),
                f"  curl -X POST   {self.control}/{stand_in}/503   every request is answered 503 from now on",
                f"  curl -X DELETE {self.control}                  all are well again",
                f"  curl           {self.control}/faults           everything that can be made to go wrong",
            ]
        return [*lines, "", "Ctrl-C ends everything."]

    def _provider_lines(self, emphasise: Callable[[str], str]) -> list[str]:
        lines = []
        width = max((len(provider.name) for provider in self.providers), default=0)
        for place, provider in enumerate(self.providers):
            label = emphasise("Providers") + "  " if place == 0 else " " * 11
            if provider.is_stand_in:
                unset = f"{provider.secret} is not set" if provider.secret else "no AWS here"
                played = f"{emphasise('STAND-IN')}: {unset}, so its answers are made up here"
            else:
                played = f"real: {provider.base_url}, with {provider.secret or 'AWS credentials that open nothing'}"
            lines.append(f"{label}{provider.name:<{width}}  {played}")
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
            print(*lines, sep="\n", file=self._stream, flush=True)
        except OSError:
            self._colour = False  # a closed terminal does not stop the stack
