"""The command line of `./deploy.sh`."""

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from vibe_cli.checkout import CHECKOUT
from vibe_cli.deploy import flow
from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.seam import Outside, Programs
from vibe_cli.deploy.secret import read_environ
from vibe_cli.deploy.target import read_target

__all__ = ["main"]


def main(argv: Sequence[str] | None = None, programs: Programs | None = None) -> int:
    """Do what `argv` asks for. Returns 0 when it is done, 1 when it failed or was refused, 2 for wrong usage."""
    arguments = _parser().parse_args(argv)
    try:
        return _run(arguments, programs)
    except DeployError as error:
        print(f"\n{error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        print("\nInterrupted. It is safe to run the same command again.", file=sys.stderr)
        return 130


def _run(arguments: argparse.Namespace, programs: Programs | None) -> int:
    target = read_target(CHECKOUT / "samconfig.toml", arguments.environment)
    if arguments.env_file and not arguments.env_file.exists():
        raise DeployError(f"There is no file {arguments.env_file}.", status=2)
    if arguments.to is not None and not arguments.rollback:
        raise DeployError("--to goes with --rollback.", status=2)
    outside = Outside(target, programs)
    if arguments.show_key:
        print(flow.show_key(target, outside))
    elif arguments.rollback:
        moved = flow.roll_back(target, outside, arguments.to)
        _result({"stack": target.stack, "moved": moved}, [])
    elif arguments.delete:
        kept = flow.delete(target, outside, agreed=arguments.yes)
        _result({"stack": target.stack, "kept": kept}, [])
    else:
        done = flow.deploy(target, outside, read_environ(arguments.env_file or CHECKOUT / ".env", os.environ))
        models = {str(call.get("model")) for call in done.tested}
        lines = [
            f"{done.stack} is deployed: {done.url}",
            f"Its page: {done.ui}",
            f"Tested: {len(done.tested)} calls of {len(models)} virtual models, streamed and whole.",
        ]
        _result(asdict(done), lines)
    return 0


def _result(values: dict[str, object], lines: list[str]) -> None:
    """Tell the result: to people on a terminal, as JSON in a pipe."""
    if sys.stdout.isatty():
        print("\n".join(["", *lines]))
    else:
        print(json.dumps(values, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./deploy.sh",
        description="Deploy the router to AWS: build, deploy, fill the secret, write the routes, test every virtual "
        "model, remove old versions. Safe to run again.",
        epilog="Explained in docs/deploying.md.",
    )
    parser.add_argument("environment", nargs="?", default="prod", help="of samconfig.toml: prod (the default) or dev")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rollback", action="store_true", help="let the version before the live one serve again")
    what.add_argument("--delete", action="store_true", help="take the stack away, after asking; its tables are kept")
    what.add_argument("--show-key", action="store_true", help="print the master key, and do nothing else")
    parser.add_argument("--to", type=int, metavar="VERSION", help="with --rollback: the gateway's version to serve")
    parser.add_argument("--yes", action="store_true", help="with --delete: do not ask")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="the secrets and base URLs to use (.env)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
