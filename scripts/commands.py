"""Write docs/commands.md: every command and option of `python -m vibe_cli`, as the programs themselves have them.

python -m scripts.commands            write it
python -m scripts.commands --check    say whether it is as it should be (status 1 if not)
"""

import argparse
import sys
from collections.abc import Iterator, Sequence

from scripts.artefacts import ROOT
from vibe_cli.app import parser
from vibe_cli.connect import add_connection

__all__ = ["PAGE", "main", "page"]

PAGE = ROOT / "docs/commands.md"

_HEAD = """\
# Commands

What an operator does from a terminal. `make NAME ARGS="..."` runs `python -m vibe_cli NAME ...` in the project's own
environment; so does `.venv/bin/python -m vibe_cli ...`. Tables on a terminal, JSON in a
pipe. The exit status is 0 when it is done, 1 when what was asked is refused, 2 when it can't be done.

This page is written by `python -m scripts.commands` from the commands themselves.
"""
_ROUTER = """\
## Which router

Commands that talk to a router take these as well:
"""


def page() -> str:
    """Return the text of the page."""
    parts = [_HEAD]
    for name, text, command in _subcommands(parser()):
        parts.append(f"## {name}\n\n{_sentence(command.description or text)}\n")
        actions = list(_subcommands(command))
        parts += [_described(f"{name} {action}", text, of) for action, text, of in actions]
        if not actions:
            parts.append(_usage(name, command))
    connection = argparse.ArgumentParser(add_help=False)
    add_connection(connection)
    return "\n".join([*parts, _ROUTER, _table(_options(connection, connected=False))])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit status."""
    arguments = argparse.ArgumentParser(prog="commands", description=(__doc__ or "").partition("\n")[0])
    arguments.add_argument("--check", action="store_true", help="only say whether the page is as it should be")
    if not arguments.parse_args(argv).check:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.relative_to(ROOT)} is not what the commands are: run python -m scripts.commands", file=sys.stderr)
    return 1


def _subcommands(of: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """Yield the name, the line of help and the parser of each command under a parser."""
    for action in of._actions:
        if isinstance(action, argparse._SubParsersAction):
            lines = {choice.dest: choice.help or "" for choice in action._choices_actions}
            for name, command in action.choices.items():
                yield name, lines.get(name, ""), command


def _described(name: str, text: str, command: argparse.ArgumentParser) -> str:
    return f"### {name}\n\n{_sentence(text)}\n\n{_usage(name, command)}"


def _usage(name: str, command: argparse.ArgumentParser) -> str:
    options = list(_options(command, connected=True))
    arguments = [_metavar(action) for action in options if not action.option_strings]
    line = " ".join([f"python -m vibe_cli {name}", *arguments])
    if any(action.option_strings for action in options):
        line += " [options]"
    return f"```\n{line}\n```\n" + (f"\n{_table(options)}" if options else "")


def _options(command: argparse.ArgumentParser, *, connected: bool) -> Iterator[argparse.Action]:
    """Yield arguments and options, without those that every command has, and without the router's if `connected`."""
    for group in command._action_groups:
        if connected and group.title == "which router":
            continue
        for action in group._group_actions:
            if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction):
                yield action


def _table(options: Iterator[argparse.Action] | list[argparse.Action]) -> str:
    rows = [f"| `{_shown(action)}` | {_cell(action.help or '')} |" for action in options]
    return "\n".join(["| | |", "|---|---|", *rows, ""])


def _shown(action: argparse.Action) -> str:
    if not action.option_strings:
        return _metavar(action)
    value = "" if action.nargs == 0 else f" {_metavar(action)}"
    return ", ".join(action.option_strings) + value


def _metavar(action: argparse.Action) -> str:
    named = action.metavar if isinstance(action.metavar, str) else None
    if action.choices is not None and named is None:
        return "\\|".join(map(str, action.choices))
    name = (named or action.dest).upper()
    return {"+": f"{name}...", "*": f"[{name}...]", "?": f"[{name}]"}.get(str(action.nargs), name)


def _cell(text: str) -> str:
    return text.replace("%%", "%").replace("|", "\\|").replace("*", "\\*")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}".rstrip(".") + "."


if __name__ == "__main__":
    sys.exit(main())
