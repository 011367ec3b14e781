"""`python -m local.standin`: serve the stand-ins until standard input (if it is a pipe) closes, or until a signal.

Prints one line of JSON when it listens: the port, each provider's base URL, and the control API's URL.
"""

import argparse
import asyncio
import json
import os
import signal
import stat
import sys

from local.standin.server import FORMAT_NAMES, MODELS, Server, Service

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.standin", description="Stand-in providers on loopback.")
    parser.add_argument(
        "--providers", default=",".join(MODELS), help="comma-separated names to print; every name is served"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="port to listen on; 0 for a free one")
    parser.add_argument(
        "--pace", type=float, default=1.2, metavar="SECONDS", help="duration of an answer; 0 for no pauses"
    )
    parser.add_argument(
        "--formats",
        action="append",
        default=[],
        type=_format_list,
        metavar="PROVIDER[/MODEL]=FORMAT,…",
        help="the formats that a provider, or one model of it, supports (default: all)",
    )
    parser.add_argument("--key", help="the only accepted key (default: any)")
    return parser


def _format_list(text: str) -> tuple[str, str | None, list[str]]:
    """Parse `provider/model=chat,responses`; the model's name may contain slashes."""
    target, equals, formats = text.partition("=")
    provider, _, model = target.partition("/")
    named = [name.strip() for name in formats.split(",") if name.strip()]
    unknown = [name for name in named if name not in FORMAT_NAMES]
    if not equals or not provider or not named or unknown:
        raise argparse.ArgumentTypeError(
            f"expected PROVIDER[/MODEL]=FORMAT,… with formats from {', '.join(FORMAT_NAMES)}"
        )
    return provider, model or None, named


async def _serve(options: argparse.Namespace) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    service = Service(pace=max(0.0, options.pace), key=options.key)
    for provider, model, formats in options.formats:
        service.state.set_formats(provider, formats, model)
    server = Server(service)
    port = await server.start(options.host, options.port)
    root = f"http://{options.host}:{port}"
    names = [name.strip() for name in options.providers.split(",") if name.strip()]
    address = {
        "port": port,
        "providers": {name: f"{root}/{name}/v1" for name in names},
        "control": f"{root}/_control",
    }
    print(json.dumps(address), flush=True)
    descriptor = _stop_with_stdin(loop, stop)
    await stop.wait()
    if descriptor is not None:
        loop.remove_reader(descriptor)
    await server.close()


def _stop_with_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> int | None:
    """Stop when the pipe on standard input closes, so that no stand-in outlives its parent."""
    try:
        number = sys.stdin.fileno()
        mode = os.fstat(number).st_mode
    except (AttributeError, OSError, ValueError):  # standard input is closed or is not a file
        return None
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return None

    def readable() -> None:
        if not os.read(number, 4096):
            loop.remove_reader(number)
            stop.set()

    loop.add_reader(number, readable)
    return number


def main(arguments: list[str] | None = None) -> int:
    """Run the program; return its exit status."""
    options = _parser().parse_args(arguments)
    try:
        asyncio.run(_serve(options))
    except OSError as failure:
        print(f"standin: cannot listen on {options.host}:{options.port}: {failure.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
