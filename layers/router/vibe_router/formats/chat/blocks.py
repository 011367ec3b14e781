"""What a choice of a chat answer tells at the same time, told one after another: its words and its calls of tools.

Chunks of chat may go back and forth between calls, which no other format can say: there, one block ends before the next
begins. So a call that begins while the arguments of another are not whole yet waits, with all that comes after it; it
is told once they are, or at the end. What waits is a part of one answer, and mostly nothing does: providers tell one
call after another.
"""

import re

from vibe_router.formats.chat.assembly import names_another
from vibe_router.formats.neutral.model import Event, ToolCallDelta, ToolCallStart, custom_tool_input

__all__ = ["Blocks"]

_MARKS = re.compile(r'[\\"{}]')


class _Call:
    """A call, and how far its arguments have come. `whole` says that their JSON object is closed."""

    def __init__(self, start: ToolCallStart) -> None:
        self.start = start
        self.pieces: list[str] = []
        self.whole = False
        self._read = 0  # characters
        self._escaped = -1  # the place of one that a backslash stands before
        self._quoted = False
        self._depth = 0

    def add(self, arguments: str) -> None:
        """Take more of the arguments in."""
        self.pieces.append(arguments)
        for mark in _MARKS.finditer(arguments):
            at = self._read + mark.start()
            if at == self._escaped:
                continue
            if mark[0] == "\\":
                self._escaped = at + 1
            elif mark[0] == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if mark[0] == "{" else -1
                self.whole = self.whole or self._depth == 0
        self._read += len(arguments)


class Blocks:
    """Puts the blocks of one choice in a row; each method returns what can be told now."""

    def __init__(self) -> None:
        self._calls: dict[object, _Call] = {}  # by the provider's own name for their place
        self._open: _Call | None = None
        self._waiting: list[_Call | Event] = []

    @property
    def calling(self) -> bool:
        """Whether a call is being told."""
        return self._open is not None

    def is_new(self, place: object, id_: object, name: str) -> bool:
        """Whether a call begins here: at a new place, or with a new id after a whole one."""
        call = self._calls.get(place)
        return call is None or (call.whole and names_another(name, id_, call.start.id))

    def say(self, event: Event) -> list[Event]:
        """Tell something that is no call."""
        self._waiting.append(event)
        return self._advance()

    def begin(self, place: object, start: ToolCallStart) -> list[Event]:
        """Begin a call."""
        call = self._calls[place] = _Call(start)
        self._waiting.append(call)
        return self._advance()

    def add(self, place: object, arguments: str) -> list[Event]:
        """Tell more of a call's arguments. Raises ValueError when it was over."""
        call = self._calls[place]
        if call is not self._open and call not in self._waiting:
            if arguments.strip():
                raise ValueError("arguments of a tool call that was over")
            return []
        call.add(arguments)
        if call is not self._open:
            return []
        told: list[Event] = [] if call.start.custom else [ToolCallDelta(arguments, call.start.choice)]
        return told + self._advance()

    def end(self) -> list[Event]:
        """Tell all that waited, whole or not."""
        events = self._close()
        while self._waiting:
            events += self._next()
        return events + self._close()

    def _advance(self) -> list[Event]:
        events: list[Event] = []
        while self._waiting and (self._open is None or self._open.whole):
            events += self._next()
        return events

    def _next(self) -> list[Event]:
        """Tell the first of what waits, after the call that was open."""
        events, block = self._close(), self._waiting.pop(0)
        if not isinstance(block, _Call):
            return [*events, block]
        self._open = block
        events.append(block.start)
        if block.pieces and not block.start.custom:
            events.append(ToolCallDelta("".join(block.pieces), block.start.choice))
        return events

    def _close(self) -> list[Event]:
        """End the call that is open; a tool with free text, which went to the provider as a function, is told now."""
        call, self._open = self._open, None
        if call is None or not call.start.custom:
            return []
        return [ToolCallDelta(custom_tool_input("".join(call.pieces)), call.start.choice)]
