"""`deploy`: deploy the router to AWS, roll back, delete; what ./deploy.sh calls."""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from vibe_cli.errors import CommandError

__all__ = ["deploy"]


def deploy(
    environment: Annotated[
        str, typer.Argument(metavar="[ENVIRONMENT]", help="prod, dev: see samconfig.toml.")
    ] = "prod",
    rollback: Annotated[bool, typer.Option("--rollback", help="Serve the version before the live one again.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Delete the stack, but keep its tables.")] = False,
    show_key: Annotated[bool, typer.Option("--show-key", help="Only print the master key.")] = False,
    secrets: Annotated[bool, typer.Option("--secrets", help="Only fill the secrets of a deployed stack.")] = False,
    to: Annotated[
        int | None, typer.Option("--to", metavar="VERSION", help="With --rollback: the gateway's version to serve.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="With --delete: do not ask for confirmation.")] = False,
    env_file: Annotated[
        Path | None, typer.Option("--env-file", metavar="FILE", help="File with secrets and base URLs (default: .env).")
    ] = None,
) -> int:
    """Deploy the router to AWS.

    Builds, deploys, fills the secrets, writes the routes, tests every virtual model, and removes old versions. Safe to
    run again. Details: docs/deploying.md
    """
    if rollback + delete + show_key + secrets > 1:
        raise CommandError("--rollback, --delete, --secrets and --show-key exclude each other.")
    if to is not None and not rollback:
        raise CommandError("--to requires --rollback.")
    if env_file and not env_file.exists():
        raise CommandError(f"There is no file {env_file}.")
    from vibe_cli.checkout import CHECKOUT
    from vibe_cli.deploy import flow
    from vibe_cli.deploy.services import Services
    from vibe_cli.deploy.target import read_target
    from vibe_cli.settings import read_environment_of

    target = read_target(CHECKOUT / "samconfig.toml", environment)
    services = Services(target)
    try:
        if show_key:
            print(flow.show_key(target, services))
        elif rollback:
            _report({"stack": target.stack, "moved": flow.roll_back(target, services, to)}, [])
        elif delete:
            _report({"stack": target.stack, "kept": flow.delete(target, services, confirmed=yes)}, [])
        elif secrets:
            environ = read_environment_of([env_file or CHECKOUT / ".env"])
            _report({"stack": target.stack, "written": flow.fill_secrets(target, services, environ)}, [])
        else:
            release = flow.deploy(target, services, read_environment_of([env_file or CHECKOUT / ".env"]))
            models = {str(call.get("model")) for call in release.tested}
            lines = [
                f"{release.stack} is deployed: {release.url}",
                f"Admin page: {release.ui}",
                f"Tested: {len(release.tested)} calls of {len(models)} virtual models, streamed and whole.",
            ]
            _report(asdict(release), lines)
    except KeyboardInterrupt:
        print("\nInterrupted. It is safe to run the same command again.", file=sys.stderr)
        return 130
    return 0


def _report(values: dict[str, object], lines: list[str]) -> None:
    if sys.stdout.isatty():
        print("\n".join(["", *lines]))
    else:
        print(json.dumps(values, indent=2))
