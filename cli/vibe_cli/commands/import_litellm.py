"""`import-litellm`: convert a LiteLLM proxy's config.yaml to a routes.yaml, and report what could not be converted."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from vibe_cli.errors import CommandError
from vibe_cli.options import Json

if TYPE_CHECKING:
    from vibe_cli.litellm_import import Imported

__all__ = ["import_litellm"]

_STYLES = {"left out": "yellow", "changed": "cyan", "to do": "bold magenta"}


def import_litellm(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="LiteLLM's config.yaml.")],
    destination: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the routes here (-: standard output)."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
    as_json: Json = False,
) -> int:
    """Convert a LiteLLM proxy's config.yaml to a routes.yaml.

    Reports line by line what could not be converted, and why. Without --output nothing is written. Keys in the config
    are never printed.
    """
    from vibe_cli import output
    from vibe_cli.litellm_import import LitellmConfigError, import_config

    try:
        imported = import_config(config.read_text(encoding="utf-8"), config.name)
    except OSError as error:
        raise CommandError(f"{config} cannot be read: {error.strerror}", status=1) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"{config} is not UTF-8 text", status=1) from error
    except LitellmConfigError as error:
        raise CommandError(str(error), status=1) from error
    if destination and imported.models:
        _write(destination, imported.routes, force)
    if destination == Path("-"):
        _report(imported, config.name, destination, sys.stderr)
    elif output.for_terminal(as_json):
        _report(imported, config.name, destination, sys.stdout)
    else:
        output.print_json(_as_json(imported, destination))
    return 0 if imported.models else 1


def _write(destination: Path, routes: str, force: bool) -> None:
    if destination == Path("-"):
        sys.stdout.write(routes)
        return
    if destination.exists() and not force:
        raise CommandError(f"{destination} exists and was not changed. Name another file, or add --force.", 1)
    try:
        destination.write_text(routes, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{destination} cannot be written: {error.strerror}") from error


def _as_json(imported: "Imported", destination: Path | None) -> dict[str, object]:
    return {
        "written": str(destination) if destination and imported.models else None,
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


def _report(imported: "Imported", file: str, destination: Path | None, stream: TextIO) -> None:
    from vibe_cli import output

    console = output.new_console(stream)
    if imported.notes:
        rows = [
            (
                str(note.line or ""),
                output.styled(note.meaning, _STYLES[note.meaning]),
                output.clean(note.path),
                output.clean(note.reason),
            )
            for note in imported.notes
        ]
        console.print(output.table(("line", "meaning", f"in {output.clean(file)}", "reason"), rows, numbers=("line",)))
    else:
        console.print(f"Everything in {output.clean(file)} was converted.")
    if not imported.models:
        console.print("No model could be converted, so there are no routes.")
        return
    models, providers = output.plural(len(imported.models), "model"), output.plural(len(imported.providers), "provider")
    console.print(f"{models} at {providers}.")
    if imported.secrets:
        console.print(f"Set these keys in .env or the environment: {', '.join(imported.secrets)}")
    if imported.variables:
        console.print(f"Set these variables there too: {', '.join(imported.variables)}")
    if destination is None:
        console.print("Nothing was written. Write the routes with -o routes.yaml, or print them with -o -.")
    elif destination != Path("-"):
        console.print(f"Written: {destination}. Next: vibe routes --file {destination} --dry-run")
