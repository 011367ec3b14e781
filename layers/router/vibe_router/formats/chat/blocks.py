"""Puts the interleaved blocks of a chat choice (text, tool calls) one after another.

Chunks of chat may switch between tool calls, which no other format allows: there, one block ends before the next
begins. A call that begins while the arguments of another one are incomplete is held back, with everything after it,
until these are complete or the choice ends. That is bounded by the size of one answer, and mostly nothing is held back:
providers send one call after another.
"""

import re
from collections.abc import Collection, Mapping

from vibe_router.formats.chat.tool_calls import PLACEHOLDER, CallState, begins_another_call, joined_name
from vibe_router.formats.neutral.model import Event, ToolCallDelta, ToolCallStart, custom_tool_input

__all__ = ["BlockSequencer"]

_MARKS = re.compile(r'[\\"{}]')


class _Call:
    """A tool call and its arguments so far. `complete`: they are a whole JSON object."""

    def __init__(self, start: ToolCallStart) -> None:
        self.start = start
        self.provider_name = start.name
        self.complete = False
        self.announced = False
        self._pieces: list[str] = []
        self._unsent = 0  # the first piece that has not been passed on
        self._length = 0  # characters read
        self._escaped = -1  # the position of a character after a backslash
        self._quoted = False
        self._depth = 0

    @property
    def arguments(self) -> str:
        return "".join(self._pieces)

    @property
    def is_placeholder(self) -> bool:
        return self.complete and self._length < 2 * len(PLACEHOLDER) and self.arguments.strip() == PLACEHOLDER

    @property
    def has_arguments(self) -> bool:
        return bool(self._pieces)

    def add(self, arguments: str) -> None:
        """Add arguments; those after a placeholder replace it."""
        if self.is_placeholder and arguments.strip():
            self._pieces, self.complete, self._length, self._depth = [], False, 0, 0
        self._pieces.append(arguments)
        for mark in _MARKS.finditer(arguments):
            at = self._length + mark.start()
            if at == self._escaped:
                continue
            if mark[0] == "\\":
                self._escaped = at + 1
            elif mark[0] == '"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._depth += 1 if mark[0] == "{" else -1
                self.complete = self.complete or self._depth == 0
        self._length += len(arguments)

    def unsent(self) -> str:
        """Return the arguments that have not been passed on yet."""
        text = "".join(self._pieces[self._unsent :])
        self._unsent = len(self._pieces)
        return text


class BlockSequencer:
    """Sequences the blocks of one choice. Each method returns the events that can be passed on now.

    `tools` maps the names of tools as sent to the provider to the caller's; `custom` are the caller's free-text tools.
    """

    def __init__(self, tools: Mapping[str, str], custom: Collection[str]) -> None:
        self._tools = tools
        self._custom = custom
        self._calls: dict[object, _Call] = {}  # by the provider's index or id
        self._open: _Call | None = None
        self._waiting: list[_Call | Event] = []

    @property
    def in_call(self) -> bool:
        """Return whether a tool call is open."""
        return self._open is not None

    def add_event(self, event: Event) -> list[Event]:
        """Add an event that does not belong to a tool call."""
        self._waiting.append(event)
        return self._advance()

    def add_call(self, place: object, id_: object, name: str, arguments: str, new: ToolCallStart) -> list[Event]:
        """Add a piece of the tool call at `place`; `new` is the call that it may begin.

        Raises ValueError for arguments of a call that has ended.
        """
        call = self._calls.get(place)
        if call is None or self._begins_another(call, id_, name, arguments):
            call = self._calls[place] = _Call(new)
            self._waiting.append(call)
        elif name and not call.announced and not call.has_arguments:
            call.provider_name = joined_name(call.provider_name, name)
        if arguments:
            if call is not self._open and call not in self._waiting:
                if arguments.strip():
                    raise ValueError("arguments of a tool call that has ended")
                return []
            call.add(arguments)
        return [*self._pass_on(), *self._advance()]

    def end(self) -> list[Event]:
        """End the choice: pass on everything that was held back."""
        events = self._close()
        while self._waiting:
            events += self._next()
        return events + self._close()

    def _begins_another(self, call: _Call, id_: object, name: str, arguments: str) -> bool:
        if not name:
            return False
        state = CallState(call.start.id, call.provider_name, call.arguments, call.complete)
        return begins_another_call(state, name, id_, more=bool(arguments.strip()), tools=self._tools)

    def _advance(self) -> list[Event]:
        events: list[Event] = []
        while self._waiting and (self._open is None or (self._open.complete and not self._open.is_placeholder)):
            events += self._next()
        return events

    def _next(self) -> list[Event]:
        """Pass on the first waiting block after closing the open call."""
        events, block = self._close(), self._waiting.pop(0)
        if not isinstance(block, _Call):
            return [*events, block]
        self._open = block
        return events + self._pass_on()

    def _pass_on(self, *, ends: bool = False) -> list[Event]:
        """Return the events of the open call: its start once its name is certain, then its arguments."""
        call = self._open
        if call is None:
            return []
        events: list[Event] = []
        if not call.announced:
            if not ends and not call.has_arguments and not self._is_whole_name(call.provider_name):
                return []
            call.announced = True
            call.start.name = self._tools.get(call.provider_name, call.provider_name)
            call.start.custom = call.start.name in self._custom
            events.append(call.start)
        if not call.start.custom and not call.is_placeholder and (text := call.unsent()):
            events.append(ToolCallDelta(text, call.start.choice))
        return events

    def _is_whole_name(self, name: str) -> bool:
        return name in self._tools and not any(tool != name and tool.startswith(name) for tool in self._tools)

    def _close(self) -> list[Event]:
        """End the open call. Free-text tools were sent as functions; their text is taken from the arguments."""
        events = self._pass_on(ends=True)
        call, self._open = self._open, None
        if call is None:
            return events
        if call.start.custom:
            events.append(ToolCallDelta(custom_tool_input(call.arguments), call.start.choice))
        elif not call.arguments.strip() or call.is_placeholder:
            events.append(ToolCallDelta(PLACEHOLDER, call.start.choice))
        return events
