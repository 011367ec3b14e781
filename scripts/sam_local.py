"""`make sam-local`: the built functions in AWS's own Lambda containers, under `sam local start-api`.

Builds for this machine's processor, starts the embedded AWS and the stand-in providers where a container can reach
them, and serves the same paths as `make start` on PORT. Needs Docker. SAM cannot stream: answers come whole.
Arguments after -- go to `sam local start-api`.
"""

import argparse
import asyncio
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samtranslator.yaml_helper import yaml_parse

from local.aws import EmbeddedAws
from local.routes import RoutesError, read_routes
from local.settings import Settings, SettingsError, read_settings
from local.standins import SECRET
from local.template import read_template
from scripts.artefacts import ROOT
from scripts.build import build

__all__ = ["containers_reach", "offline", "with_local_environment"]

BUILT = ROOT / ".aws-sam/build"


def containers_reach() -> tuple[str, str]:
    """Return the address to listen on, and what containers call it. Raises RuntimeError without Docker.

    On Linux that is the bridge's own address, which other machines do not see. Docker Desktop brings containers that
    ask for host.docker.internal to this machine's loopback.
    """
    if not shutil.which("docker"):
        raise RuntimeError("Docker is needed, and there is no `docker` on PATH. `make start` does without.")
    command = ["docker", "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"Docker does not answer: {done.stderr.strip()}\nStart it and run `make sam-local` again.")
    if sys.platform == "linux" and not _is_docker_desktop():
        return done.stdout.strip(), done.stdout.strip()
    return "127.0.0.1", "host.docker.internal"


def with_local_environment(template: dict[str, Any], variables: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """Return the built template with each function's environment replaced, by logical id.

    SAM passes on only what the template declares, and gives a table's reference the resource's name, not the table's.
    """
    resources = dict(template["Resources"])
    for name, values in variables.items():
        properties = {**resources[name]["Properties"], "Environment": {"Variables": dict(values)}}
        resources[name] = {**resources[name], "Properties": properties}
    return {**template, "Resources": resources}


def offline(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without this machine's AWS account: SAM would hand its keys to the containers."""
    kept = {name: value for name, value in environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",  # else it is asked for keys, for seconds
        "AWS_DEFAULT_REGION": "us-east-1",
        "SAM_CLI_TELEMETRY": "0",
    }


async def _run(settings: Settings, architecture: str, more: list[str]) -> int:
    listen, reached = containers_reach()
    source = read_template(ROOT / "template.yaml", {"Architecture": architecture})
    routes = read_routes(settings.routes_file, settings.environment)
    data = settings.data_dir / "sam-local"
    data.mkdir(parents=True, exist_ok=True)
    secret = settings.secret(frozenset(routes.providers.values()))
    played = {name: named for name, named in routes.providers.items() if named not in secret}
    aws = EmbeddedAws(source, data, host=listen)
    stand_in: asyncio.subprocess.Process | None = None
    sam: asyncio.subprocess.Process | None = None
    try:
        await aws.start()
        await aws.ready(secret | dict.fromkeys(played.values(), SECRET))
        table = source.functions["GatewayFunction"].environment["ROUTES_TABLE"]
        await asyncio.to_thread(routes.load, aws.endpoint, table, data / "routes-loaded.json")
        base_urls: dict[str, str] = {}
        if played:
            stand_in = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "local.standin", "--host", listen, "--providers", ",".join(sorted(played))),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                process_group=0,  # Ctrl-C is for SAM first; this ends when its standard input closes
            )
            assert stand_in.stdout is not None  # noqa: S101 - asked for above
            told = json.loads(await stand_in.stdout.readline())
            base_urls = {name: url.replace(listen, reached) for name, url in told["providers"].items()}
            print(f"Stand-ins for {', '.join(sorted(played))}; their control: {told['control']}", file=sys.stderr)
        added = {
            "AWS_ENDPOINT_URL": aws.endpoint.replace(listen, reached),
            "PROVIDER_BASE_URLS": json.dumps(base_urls),
        }
        variables = {name: {**function.environment, **added} for name, function in source.functions.items()}
        built = yaml_parse((BUILT / "template.yaml").read_text(encoding="utf-8"))
        path = BUILT / "template-local.json"  # beside the artefacts, which it names by relative paths
        path.write_text(json.dumps(with_local_environment(built, variables)), encoding="utf-8")
        print(
            f"Base URL http://127.0.0.1:{settings.port}/v1, key as for `make start`. Ctrl-C ends it.", file=sys.stderr
        )
        sam = await asyncio.create_subprocess_exec(
            *(Path(sys.executable).with_name("sam"), "local", "start-api", "--template", path),
            *("--host", "127.0.0.1", "--port", str(settings.port), "--warm-containers", "LAZY"),
            *("--parameter-overrides", f"Architecture={architecture}", *more),
            cwd=ROOT,
            env=offline(os.environ),
            process_group=0,
        )
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        ended, stopped = asyncio.create_task(sam.wait()), asyncio.create_task(stop.wait())
        await asyncio.wait((ended, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not ended.done():
            sam.terminate()  # one is enough: it removes its containers
        return 0 if stop.is_set() else await ended
    finally:
        if sam is not None:
            await sam.wait()
        if stand_in is not None and stand_in.stdin is not None:
            stand_in.stdin.close()
            await stand_in.wait()
        await aws.stop()


def _is_docker_desktop() -> bool:
    command = ["docker", "info", "--format", "{{.OperatingSystem}}"]
    return "Docker Desktop" in subprocess.run(command, capture_output=True, text=True, check=False).stdout


def main() -> None:
    """Read the command line, build, and serve."""
    parser = argparse.ArgumentParser(prog="make sam-local", description="The built functions under `sam local`.")
    parser.add_argument("sam", nargs="*", help="after --: more arguments for `sam local start-api`")
    arguments = parser.parse_args()
    architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    try:
        containers_reach()  # before the build, which takes longer than finding out
        build(architecture)
        sys.exit(asyncio.run(_run(read_settings(ROOT), architecture, arguments.sam)))
    except (RuntimeError, SettingsError, RoutesError) as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)


if __name__ == "__main__":
    main()
