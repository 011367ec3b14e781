"""`import-litellm`: make a routes.yaml of a LiteLLM proxy's config.yaml, and say what could not be carried over."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from vibe_cli.errors import CommandError

if TYPE_CHECKING:
    from vibe_cli.litellm_import import Imported

__all__ = ["add_to"]

_STYLES = {"left out": "yellow", "changed": "cyan", "to do": "bold magenta"}


def add_to(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser's."""
    command = commands.add_parser(
        "import-litellm",
        help="make a routes.yaml of a LiteLLM config.yaml, and say line by line what it could not carry over",
        description="Make a routes.yaml of a LiteLLM proxy's config.yaml, and say line by line what could not be "
        "carried over and why. Without --output nothing is written. Keys that the config holds are never repeated.",
    )
    command.add_argument("config", type=Path, help="LiteLLM's config.yaml")
    command.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write the routes here; - is standard output"
    )
    command.add_argument("--force", action="store_true", help="write over a file that is there")
    command.add_argument("--json", action="store_true", help="JSON on a terminal too")
    command.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from vibe_cli import show
    from vibe_cli.litellm_import import LitellmConfigError, import_config

    try:
        imported = import_config(args.config.read_text(encoding="utf-8"), args.config.name)
    except OSError as error:
        raise CommandError(f"{args.config} can't be read: {error.strerror}", status=1) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{args.config} is not UTF-8 text", status=1) from error
    except LitellmConfigError as error:
        raise CommandError(str(error), status=1) from error
    output: Path | None = args.output
    if output and imported.models:
        _write(output, imported.routes, args.force)
    if output == Path("-"):
        _report(imported, args.config.name, output, sys.stderr)
    elif show.for_people(args.json):
        _report(imported, args.config.name, output, sys.stdout)
    else:
        show.print_json(_for_programs(imported, output))
    return 0 if imported.models else 1


def _write(output: Path, routes: str, force: bool) -> None:
    if output == Path("-"):
        sys.stdout.write(routes)
        return
    if output.exists() and not force:
        raise CommandError(f"{output} is there already, and was left as it is. Name another file, or add --force.", 1)
    try:
        output.write_text(routes, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{output} can't be written: {error.strerror}") from error


def _for_programs(imported: "Imported", output: Path | None) -> dict[str, object]:
    return {
        "written": str(output) if output and imported.models else None,
        "models": imported.models,
        "providers": imported.providers,
        "secrets": imported.secrets,
        "variables": imported.variables,
        "notes": [
            {"line": note.line, "setting": note.path, "meaning": note.meaning, "reason": note.reason}
            for note in imported.notes
        ],
        "routes": imported.routes,
    }


def _report(imported: "Imported", file: str, output: Path | None, stream: TextIO) -> None:
    from vibe_cli import show

    out = show.console(stream)
    if imported.notes:
        rows = [
            (
                str(note.line or ""),
                show.styled(note.meaning, _STYLES[note.meaning]),
                show.clean(note.path),
                show.clean(note.reason),
            )
            for note in imported.notes
        ]
        out.print(show.table(("line", "", f"in {show.clean(file)}", "why"), rows, numbers=("line",)))
    else:
        out.print(f"Everything in {show.clean(file)} was carried over.")
    if not imported.models:
        out.print("No model could be carried over, so there are no routes.")
        return
    models, providers = show.count(len(imported.models), "model"), show.count(len(imported.providers), "provider")
    out.print(f"{models} over {providers}.")
    if imported.secrets:
        out.print(f"Keys that they need, by name, in .env or the environment: {', '.join(imported.secrets)}")
    if imported.variables:
        out.print(f"Variables that the routes read, likewise: {', '.join(imported.variables)}")
    if output is None:
        out.print("Nothing was written; -o routes.yaml writes them, -o - shows them.")
    elif output != Path("-"):
        out.print(f"Written: {output}. Next: make routes ARGS='--file {output} --dry-run'")
