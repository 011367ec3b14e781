"""`make sam-local`: the built functions in AWS's own Lambda containers, under `sam local start-api`.

Builds for this machine's processor, starts the embedded AWS and the stand-in providers where a container can reach
them, and serves the paths of `make start` at http://127.0.0.1:3000. Needs Docker. SAM cannot stream: answers come
whole. Options other than --port go to `sam local start-api`. More in docs/sam-local.md.

`make sam-services` starts all of that except SAM, for `sam local start-api` and `sam local invoke` typed by hand: it
writes the template that samconfig.toml names for them.
"""

import argparse
import asyncio
import errno
import json
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit, urlunsplit

import httpx
from samtranslator.yaml_helper import yaml_parse

from local import location
from local.aws import EmbeddedAws, EmbeddedAwsError
from local.console import Banner, Console, Provider
from local.data_dir import DataDirError, lock_data_dir
from local.files import write_atomically
from local.launch import CREDENTIALS
from local.master_key import MASTER_KEY_FILE, stored_master_key
from local.routes import Routes, RoutesError, read_routes
from local.settings import Settings, SettingsError, read_settings
from local.signals import run_until_signal
from local.standins import SECRET, StandIns, StandInsError
from local.template import REGION, Template, TemplateError, read_template
from scripts.artefacts import ROOT
from scripts.build import SAM, sam_build
from scripts.events import KEY, events

__all__ = [
    "BUILT",
    "SERVED_TEMPLATE",
    "Reach",
    "SamLocalError",
    "built_template",
    "containers_reach",
    "offline",
    "overridden_base_urls",
    "with_local_environment",
]

BUILT = ROOT / ".aws-sam/sam-local/build"
"""Apart from `make build`'s .aws-sam/build, which `sam deploy` takes: that may be for another processor."""

SERVED_TEMPLATE = ROOT / ".aws-sam/run-make-sam-services-first.json"
"""Named by samconfig.toml, and there while the services run. SAM's error about a missing one quotes this name."""

SERVICES_PORT = 4100
"""The port on which `make sam-services` serves the embedded AWS."""

_EVENTS = BUILT.parent / "events"
_HOST = "127.0.0.1"
_SAM_PORT = 3000  # its default, too
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1", "0.0.0.0"})  # noqa: S104 - read in URLs, not listened on
_STOP_SECONDS = 15.0  # Docker takes up to ten to remove a container


class SamLocalError(Exception):
    """It cannot run or has ended; the message has a remedy."""


class Reach(NamedTuple):
    """The way from containers to this machine: the address to `listen` on, and the host that containers call."""

    listen: str
    host: str

    def seen(self, url: str) -> str:
        """Return a URL of this machine as a container is to call it; any other as it is."""
        parts = urlsplit(url)
        if parts.hostname not in _LOOPBACK | {self.listen}:
            return url
        user, at, _ = parts.netloc.rpartition("@")
        port = f":{parts.port}" if parts.port is not None else ""
        return urlunsplit(parts._replace(netloc=f"{user}{at}{self.host}{port}"))


def containers_reach() -> Reach:
    """Ask Docker how its containers reach this machine. Raises `SamLocalError` when it does not answer.

    On Linux by the bridge's own address, which other machines do not see. Docker Desktop, whose bridge is inside its
    virtual machine, brings what is sent to host.docker.internal to this machine's loopback
    (https://docs.docker.com/desktop/features/networking/networking-how-tos/).
    """
    if not shutil.which("docker"):
        raise SamLocalError(
            "Docker is needed, and there is no `docker` on PATH. Install it (https://docs.docker.com/get-docker/), "
            "or use `make start`, which does without."
        )
    system = _docker("info", "--format", "{{.OperatingSystem}}")
    if sys.platform != "linux" or "Docker Desktop" in system:
        return Reach(_HOST, "host.docker.internal")
    bridge = _docker("network", "inspect", "bridge", "--format", "{{json .IPAM.Config}}")
    address = _bridge_address(json.loads(bridge))
    return Reach(address, address)


def _bridge_address(pools: Sequence[Mapping[str, str]]) -> str:
    """Return the host's own IPv4 address on the bridge, by Docker's account of it."""
    for pool in pools:
        subnet = ip_network(pool["Subnet"])
        if subnet.version == 4:
            # Before its first container Docker 20 names no gateway; it is the subnet's first address.
            return pool.get("Gateway") or str(subnet[1])
    raise SamLocalError("Docker's bridge network has no IPv4 address, by which containers could reach this machine.")


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S607 - from PATH
    # `docker info` ends well without a daemon in some versions, and says so on standard error alone.
    if done.returncode != 0 or not done.stdout.strip():
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise SamLocalError(
            f"Docker does not answer ({reason}). Start it and run `make sam-local` again, "
            "or use `make start`, which does without."
        )
    return done.stdout.strip()


def with_local_environment(
    template: dict[str, Any], architecture: str, variables: Mapping[str, Mapping[str, str]]
) -> dict[str, Any]:
    """Return the built template for `architecture`, with each function's environment replaced, by logical id.

    SAM passes on only variables that the template declares, whatever an --env-vars file holds, and gives a reference
    to a table as its logical id. No secret is among them: functions read theirs from Secrets Manager.
    """
    parameters = {**template["Parameters"]}
    parameters["Architecture"] = {**parameters["Architecture"], "Default": architecture}
    resources = dict(template["Resources"])
    for name, values in variables.items():
        properties = {**resources[name]["Properties"], "Environment": {"Variables": dict(values)}}
        resources[name] = {**resources[name], "Properties": properties}
    return {**template, "Parameters": parameters, "Resources": resources}


def built_template(template: Mapping[str, Any], built: Path) -> dict[str, Any]:
    """Return the template with its code where `sam build` puts it, in `built`, by relative paths."""
    resources = {}
    for name, resource in template["Resources"].items():
        properties = dict(resource.get("Properties", {}))
        for key in ("CodeUri", "ContentUri"):
            if resource["Type"].startswith("AWS::Serverless::") and key in properties:
                properties[key] = (built / name).as_posix()
        resources[name] = {**resource, "Properties": properties} if properties else resource
    return {**template, "Resources": resources}


def overridden_base_urls(routes: Mapping[str, str], stand_ins: Mapping[str, str], reach: Reach) -> dict[str, str]:
    """Return, by provider, the base URLs that containers must call instead of those of the routes file.

    Those are the stand-ins', and those of real providers on this machine, whose loopback is not the container's.
    """
    wanted = {name: reach.seen(stand_ins.get(name, url)) for name, url in routes.items()}
    return {name: url for name, url in wanted.items() if url != routes[name]}


def offline(environ: Mapping[str, str]) -> dict[str, str]:
    """Return `environ` without this person's AWS account, whose keys SAM would hand to the containers."""
    inherited = {name: value for name, value in environ.items() if not name.startswith("AWS_")}
    return {
        **inherited,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",  # else it is asked for keys, for seconds
        "AWS_DEFAULT_REGION": REGION,
        "SAM_CLI_TELEMETRY": "0",
    }


@dataclass
class _SamLocal:
    """Everything that runs: the embedded AWS, the stand-ins, and SAM with its containers, unless `port` is None."""

    settings: Settings
    console: Console
    reach: Reach
    architecture: str
    port: int | None
    more: Sequence[str]
    _aws: EmbeddedAws | None = None
    _stand_ins: StandIns | None = None
    _sam: asyncio.subprocess.Process | None = None

    @property
    def _data_dir(self) -> Path:
        return self.settings.data_dir / "sam-local"

    async def run(self) -> None:
        """Start everything, say how to use it, and last until a part of it ends, which raises `SamLocalError`."""
        source = read_template(ROOT / "template.yaml", {"Architecture": self.architecture, "ResponseDays": "30"})
        routes = read_routes(self.settings.routes_file, self.settings.environment)
        self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        master_key = self.settings.master_key or (KEY if self.port is None else stored_master_key(self._data_dir))
        _write_events(master_key)
        secret = self.settings.secret(frozenset(routes.providers.values()), master_key)
        played = {name: named for name, named in routes.providers.items() if named not in secret}
        aws = await self._start_aws(source, secret | dict.fromkeys(played.values(), SECRET))
        tables = next(iter(source.functions.values())).environment
        await self._load_routes(tables["ROUTES_TABLE"], routes, aws)
        location.write_location(self._data_dir, f"http://{_HOST}:{self.port or _SAM_PORT}", aws.endpoint, tables)
        stand_ins = self._stand_ins = StandIns(played, host=self.reach.listen)
        await stand_ins.start()
        if played:
            self.console.step(f"stand-ins for {', '.join(sorted(played))}")
        base_urls = overridden_base_urls(routes.base_urls, stand_ins.base_urls, self.reach)
        added = {
            **CREDENTIALS,  # before those of this person's profile, which a `sam local invoke` by hand would pass on
            "AWS_ENDPOINT_URL": self.reach.seen(aws.endpoint),
            "PROVIDER_BASE_URLS": json.dumps(base_urls),
        }
        declared = {name: {**function.environment, **added} for name, function in source.functions.items()}
        parts: dict[asyncio.Task[Any], str] = {
            asyncio.create_task(aws.wait()): "The embedded AWS",
            asyncio.create_task(stand_ins.wait()): "The stand-in providers",
        }
        if self.port is None:
            await self._last_for_sam(declared, parts)
        template = self._write_template(declared)
        sam = self._sam = await self._start_sam(template)
        parts[asyncio.create_task(sam.wait())] = "`sam local start-api`"
        answering = asyncio.create_task(self._answers())
        try:
            done, _ = await asyncio.wait((answering, *parts), return_when=asyncio.FIRST_COMPLETED)
            if answering in done:
                answering.result()
                self._greet(routes, stand_ins, base_urls, template, master_key)
                done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (answering, *parts):
                task.cancel()
            await asyncio.gather(answering, *parts, return_exceptions=True)
        raise _ended(parts, done)

    async def _last_for_sam(
        self, variables: Mapping[str, Mapping[str, str]], parts: Mapping["asyncio.Task[Any]", str]
    ) -> NoReturn:
        """Serve `sam local` commands of other terminals, until a part ends."""
        source = yaml_parse((ROOT / "template.yaml").read_text(encoding="utf-8"))
        moved = built_template(source, Path("build"))  # relative to .aws-sam
        text = json.dumps(with_local_environment(moved, self.architecture, variables))
        SERVED_TEMPLATE.parent.mkdir(exist_ok=True)
        write_atomically(SERVED_TEMPLATE, text.encode())
        self.console.note("In another terminal, after `sam build` (events/ has more):")
        self.console.note(f"  sam local start-api               http://{_HOST}:{_SAM_PORT}/v1")
        self.console.note("  sam local invoke -e events/chat-completions.json")
        self.console.note("  sam local invoke AdminFunction -e events/key-generate.json")
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in parts:
                task.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
        raise _ended(parts, done)

    async def stop(self) -> None:
        """End everything, as far as it has been started; the embedded AWS last, as functions write to it to the end."""
        if self._sam is not None and self._sam.returncode is None:
            with suppress(ProcessLookupError):
                self._sam.terminate()  # one is enough: it removes its containers
            try:
                await asyncio.wait_for(self._sam.wait(), _STOP_SECONDS)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(self._sam.pid, signal.SIGKILL)
                await self._sam.wait()
                self.console.note("SAM was ended by force: `docker ps` may show a container of it.")
        if self.port is None:
            SERVED_TEMPLATE.unlink(missing_ok=True)
        if self._stand_ins is not None:
            await self._stand_ins.stop()
        if self._aws is not None:
            await self._aws.stop()
        location.remove_location(self._data_dir)

    async def _start_aws(self, template: Template, secret: Mapping[str, str]) -> EmbeddedAws:
        try:
            port = SERVICES_PORT if self.port is None else 0
            aws = self._aws = EmbeddedAws(template, self._data_dir, host=self.reach.listen, port=port)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise SamLocalError(f"Port {SERVICES_PORT} is in use; another `make sam-services` may run.") from None
            raise SamLocalError(
                f"Containers reach this machine at {self.reach.listen}, and nothing can listen there "
                f"({error.strerror}). A rootless Docker, or one on another machine, does not do."
            ) from None
        await aws.start()
        await aws.ready(secret)
        for sentence in aws.set_aside:
            self.console.note(sentence)
        self.console.step(f"embedded AWS, which containers reach at {self.reach.seen(aws.endpoint)}")
        return aws

    async def _load_routes(self, table: str, routes: Routes, aws: EmbeddedAws) -> None:
        loaded = self._data_dir / "routes-loaded.json"
        if not (table in aws.restored and routes.is_loaded(loaded)):
            await asyncio.to_thread(routes.load, aws.endpoint, table, loaded)
            self.console.step(f"routes loaded from {self.settings.routes_file.name}")

    def _write_template(self, variables: Mapping[str, Mapping[str, str]]) -> Path:
        built = yaml_parse((BUILT / "template.yaml").read_text(encoding="utf-8"))
        path = BUILT / "local.json"  # beside the artefacts, which it names by relative paths
        path.write_text(json.dumps(with_local_environment(built, self.architecture, variables)), encoding="utf-8")
        return path

    async def _start_sam(self, template: Path) -> asyncio.subprocess.Process:
        containers = () if "--warm-containers" in self.more else ("--warm-containers", "LAZY")
        return await asyncio.create_subprocess_exec(
            *(SAM, "local", "start-api", "--template", template, "--host", _HOST, "--port", str(self.port)),
            *("--no-watch", "--layer-cache-basedir", BUILT.parent / "layers", *containers, *self.more),
            cwd=ROOT,
            env=offline(os.environ),
            process_group=0,  # Ctrl-C goes to this program alone, which ends the others in order
        )

    async def _answers(self) -> None:
        """Wait until the function answers, however long its image takes to come. Raises `SamLocalError`."""
        url = f"http://{_HOST}:{self.port}/health/readiness"
        async with httpx.AsyncClient(timeout=None, trust_env=False) as client:  # noqa: S113 - SAM's end ends it
            while True:
                try:
                    response = await client.get(url)
                    break
                except httpx.TransportError:  # it does not listen yet
                    await asyncio.sleep(0.1)
        if response.status_code != 200:
            raise SamLocalError(
                f"The function does not answer: GET {url} gave {response.status_code}. The lines above say why."
            )

    def _greet(
        self, routes: Routes, stand_ins: StandIns, base_urls: Mapping[str, str], template: Path, master_key: str
    ) -> None:
        providers = [
            Provider(name, secret, base_urls.get(name, routes.base_urls[name]), name in stand_ins.base_urls)
            for name, secret in routes.providers.items()
        ]
        self.console.ready(
            Banner(
                url=f"http://{_HOST}:{self.port}",
                key=None if self.settings.master_key else master_key,
                key_file=os.path.relpath(self._data_dir / MASTER_KEY_FILE),
                sign_in=None,
                models=routes.models,
                providers=providers,
                control=stand_ins.control,
            )
        )
        for provider in providers:
            if not provider.is_stand_in and provider.base_url != routes.base_urls[provider.name]:
                self.console.note(f"{provider.name} must listen where containers come, not on loopback alone.")
        self.console.note("Streams come whole, when they are over: SAM CLI knows no streams.")
        self.console.note(
            "One event, in another terminal: .venv/bin/sam local invoke GatewayFunction "
            f"--template {template.relative_to(ROOT)} --event {_EVENTS.relative_to(ROOT)}/chat-completions.json"
        )


def _ended(parts: Mapping["asyncio.Task[Any]", str], done: "set[asyncio.Task[Any]]") -> SamLocalError:
    ended = next(part for task, part in parts.items() if task in done)
    return SamLocalError(f"{ended} ended unexpectedly; the lines above may say why.")


def _write_events(master_key: str) -> None:
    """Write the events with the stack's own master key, for `sam local invoke`."""
    _EVENTS.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name, event in events(master_key):
        write_atomically(_EVENTS / name, json.dumps(event, indent=2).encode())


def _check_port(port: int) -> None:
    """Find out before the build. Raises `SamLocalError`."""
    try:
        socket.create_server((_HOST, port)).close()
    except OSError as error:
        why = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
        raise SamLocalError(f'Port {port} {why}. Choose another: make sam-local ARGS="--port 3001"') from None


def _lock() -> None:
    """Hold the build to the end of the process: containers run from its files. Raises `SamLocalError`."""
    try:
        lock_data_dir(BUILT.parent)
    except DataDirError:
        raise SamLocalError("Another `make sam-local` runs in this checkout. End it first.") from None


def main() -> None:
    """Read the command line, build, and serve until Ctrl-C."""
    parser = argparse.ArgumentParser(
        prog="make sam-local",
        description="Run the built functions under `sam local start-api`, which gets all other options.",
        epilog='For example: make sam-local ARGS="--port 3001 --skip-pull-image"',
        allow_abbrev=False,
    )
    parser.add_argument("--port", type=int, default=_SAM_PORT, help="where to listen on 127.0.0.1 (default: 3000)")
    parser.add_argument(
        "--services", action="store_true", help="start all except SAM, for `sam local` commands in another terminal"
    )
    arguments, more = parser.parse_known_args()
    architecture = "arm64" if platform.machine() in {"arm64", "aarch64"} else "x86_64"
    console = Console()
    try:
        settings = read_settings(ROOT)
        if not arguments.services:
            _check_port(arguments.port)
        if not SAM.exists():
            raise SamLocalError(f"There is no SAM CLI at {SAM}. `make clean`, then `make sam-local`, installs it.")
        reach = containers_reach()
        _lock()
        port = None if arguments.services else arguments.port
        if port is not None:
            sam_build(BUILT)
            console.step("built")
        local = _SamLocal(settings, console, reach, architecture, port, more)
        asyncio.run(run_until_signal(local.run(), local.stop))
    except (
        EmbeddedAwsError,
        RoutesError,
        SamLocalError,
        SettingsError,
        StandInsError,
        TemplateError,
    ) as error:
        sys.exit(f"make sam-local: {error}")
    except subprocess.CalledProcessError as error:
        sys.exit(error.returncode)
    except KeyboardInterrupt:  # while building
        sys.exit(130)


if __name__ == "__main__":
    main()
