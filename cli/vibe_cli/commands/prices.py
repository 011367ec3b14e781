"""`prices`: fill the prices in routes.yaml from a price library."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vibe_cli.commands.routes import RoutesFile
from vibe_cli.errors import CommandError
from vibe_cli.options import Json, Yes
from vibe_cli.settings import read_environment

if TYPE_CHECKING:
    from vibe_cli.price_filling import Filling

__all__ = ["fill_prices"]


def fill_prices(
    file: RoutesFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show the changes.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> int:
    """Fill the prices in routes.yaml from the genai-prices library.

    Prices are in dollars per million tokens: those of the provider whose API serves the deployment, else those of the
    model's maker. A price set by hand stays. Afterwards, `vibe routes` writes the file to the table.
    """
    from vibe_cli import output
    from vibe_cli.price_filling import fill
    from vibe_cli.routes_file import RoutesFileError, load_file

    environ = read_environment()
    file = file or Path(environ.get("ROUTES_FILE", "routes.yaml"))
    try:
        spec = load_file(file, environ)
    except RoutesFileError as error:
        raise CommandError(f"{error}\nNothing was written.", status=1) from error
    filling = fill(file.read_text(encoding="utf-8"), spec, datetime.now(UTC))
    terminal = output.for_terminal(as_json)
    if terminal:
        _show(filling, file)
    writes = bool(filling.filled) and not dry_run
    if writes and not yes and terminal and not output.confirm("Write these prices?"):
        raise CommandError("Nothing was written.", status=1)
    if writes:
        _write(file, filling, environ)
    if terminal:
        if writes:
            sys.stdout.write("Written. Write it to the table with: vibe routes\n")
        elif filling.filled:
            sys.stdout.write("Nothing was written (--dry-run).\n")
    else:
        changes = [
            {"place": each.path, "deployment": each.deployment, "from": each.before, "to": each.after}
            for each in filling.filled
        ]
        output.print_json({"file": str(file), "changes": changes, "unknown": filling.unknown, "written": writes})
    return 0


def _show(filling: "Filling", file: Path) -> None:
    from vibe_cli import output

    if not filling.filled:
        sys.stdout.write(f"{file}: prices are up to date.\n")
    else:
        rows = [
            [
                output.clean(each.path),
                output.clean(each.deployment),
                output.styled("+" if each.before is None else "~", "green" if each.before is None else "yellow"),
                _price_text(each.before) + (" → " if each.before else "") + _price_text(each.after),
            ]
            for each in filling.filled
        ]
        output.new_console().print(output.table(("place", "deployment", "", "$ per million tokens"), rows))
    if filling.unknown:
        names = ", ".join(map(output.clean, filling.unknown))
        sys.stdout.write(f"No price found for: {names}. Their cost is shown as unknown.\n")


def _price_text(price: Mapping[str, float | str] | None) -> str:
    if price is None:
        return ""
    return ", ".join(f"{name} {value:g}" for name, value in price.items() if isinstance(value, int | float))


def _write(file: Path, filling: "Filling", environ: Mapping[str, str]) -> None:
    """Write the file, after checking that nothing but prices changes."""
    from vibe_cli.routes_file import RoutesFileError, load_file

    temporary = file.with_name(f"{file.name}.new")
    try:
        temporary.write_text(filling.text, encoding="utf-8")
        after = load_file(temporary, environ)
        before = load_file(file, environ)
        if _unpriced(after.model_dump()) != _unpriced(before.model_dump()):
            raise CommandError(f"{file} uses YAML that this command cannot add prices to.", status=1)
        temporary.replace(file)
    except RoutesFileError as error:
        raise CommandError(f"{file} uses YAML that this command cannot add prices to.", status=1) from error
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from error
    finally:
        temporary.unlink(missing_ok=True)


def _unpriced(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _unpriced(each) for name, each in value.items() if name != "price"}
    return [_unpriced(each) for each in value] if isinstance(value, list | tuple) else value
