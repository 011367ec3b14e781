"""Reduce a user's turn to the text that the user wrote: without what agents insert, and to a bounded length.

Agents put instructions, file listings and the output of commands into turns of the user. They say nothing about how
hard the request is, so blocks of these kinds are removed before a turn is scored.
"""

import re

from vibe_router.routing.complexity.tokens import count_han

__all__ = ["MAX_CHARACTERS", "without_inserted_blocks", "written_text"]

MAX_CHARACTERS = 1_500
"""The longest text that is scored."""

_HEAD, _TAIL = 1_000, 500  # a request stands at the start or at the end of what is pasted with it
_SEARCHED_HEAD, _SEARCHED_TAIL = 12_000, 4_000  # in which inserted blocks may begin; they may be longer
_MAX_TAGS = 120  # that are looked at

# The tags of Claude Code, Codex, Cline and Roo, Cursor, Aider, Gemini CLI and OpenCode.
_INSERTED = frozenset(
    {
        "additional_data",
        "attached_files",
        "available_skills",
        "bash-input",
        "bash-stderr",
        "bash-stdout",
        "command-args",
        "command-message",
        "command-name",
        "current_file",
        "cwd",
        "env",
        "environment_context",
        "environment_details",
        "file_content",
        "file_contents",
        "files",
        "function_results",
        "git_status",
        "ide_opened_file",
        "ide_selection",
        "instructions",
        "local-command-caveat",
        "local-command-stderr",
        "local-command-stdout",
        "open_and_recently_viewed_files",
        "permissions",
        "project_layout",
        "repo_map",
        "rules",
        "session_context",
        "skill",
        "system",
        "system-reminder",
        "system_reminder",
        "task-notification",
        "tool_output",
        "tool_result",
        "tool_results",
        "user_info",
        "user_instructions",
        "user_rules",
        "workspace_info",
    }
)
_OPENING = re.compile(r"<([A-Za-z][A-Za-z_-]{1,40})(?=[>\s])")
_LONGEST_TAG = 200


def written_text(turn: str, limit: int = MAX_CHARACTERS) -> str:
    """Return what the user wrote in `turn`, at most `limit` characters: the beginning and the end of a longer text.

    A Chinese character counts twice, since it says as much as several letters.
    """
    text = without_inserted_blocks(turn).strip()
    text = _shortened(text, limit)
    han = count_han(text)
    return _shortened(text, limit * len(text) // (len(text) + han)) if han else text


def _shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    tail = limit * _TAIL // (_HEAD + _TAIL)
    return f"{text[: limit - tail - 1]}\n{text[-tail:]}"


def without_inserted_blocks(text: str) -> str:
    """Return `text` without the blocks that agents insert, in bounded time.

    A block whose end is missing stays. Of a long text only the beginning and the end are searched for blocks, since a
    request is scored by its beginning and its end.
    """
    if "<" not in text:
        return text
    kept: list[str] = []
    position = _cut_blocks(text, 0, _SEARCHED_HEAD, kept)
    tail = len(text) - _SEARCHED_TAIL
    if position < tail:
        kept.append(text[position:tail])
        position = tail
    position = _cut_blocks(text, position, len(text), kept)
    return "".join((*kept, text[position:]))


def _cut_blocks(text: str, position: int, budget: int, kept: list[str]) -> int:
    """Append to `kept` what stands between blocks from `position` on; return where the rest begins.

    `budget` bounds the characters outside blocks that are searched.
    """
    start, end_of_search = position, position + budget
    for _ in range(_MAX_TAGS):
        found = _OPENING.search(text, start, end_of_search)
        if found is None:
            break
        start = found.end()
        name = found[1]
        if name.lower() not in _INSERTED:
            continue
        end = text.find(f"</{name}", start)
        if end < 0:  # each such search reads to the end of the text, so there is only one
            break
        kept.append(text[position : found.start()])
        close = text.find(">", end, end + _LONGEST_TAG)
        position = start = close + 1 if close >= 0 else end + len(name) + 2
        end_of_search += position - found.start()
    return position
