"""The whole stack: starting and stopping its parts in order."""

import asyncio
import errno
import os
import shlex
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from . import location
from .apigateway import ApiGateway
from .aws import EmbeddedAws
from .console import Banner, Console, Provider
from .data_dir import DataDirError, lock_data_dir
from .lambda_service import LambdaService
from .launch import launch_of
from .lines import LineWriter
from .log_format import ReadableLog
from .master_key import MASTER_KEY_FILE, stored_master_key
from .request_guard import RequestGuard
from .resources import Resources
from .routes import Routes, read_routes
from .settings import Settings, parse_list
from .standins import SECRET, StandIns
from .template import Template, TemplateError, read_template

__all__ = ["PortInUseError", "Stack", "StackEndedError"]

_HOST = "127.0.0.1"


class PortInUseError(Exception):
    """The port is not available; the message has a remedy."""


class StackEndedError(Exception):
    """A part of the stack has ended unexpectedly; the message names it."""


@dataclass
class Stack:
    """All running parts. `checkout` is the directory of template.yaml."""

    checkout: Path
    settings: Settings
    console: Console
    _lock: int | None = None
    _listening: socket.socket | None = None
    _aws: EmbeddedAws | None = None
    _stand_ins: StandIns | None = None
    _services: dict[str, LambdaService] = field(default_factory=dict)
    _gateway: ApiGateway | None = None
    _writer: LineWriter | None = None

    async def start(self) -> None:
        """Start everything, and return when requests are served.

        Slow steps overlap: the embedded AWS starts while the routes are read and the stand-ins start, and the first
        environment imports the function meanwhile.
        """
        self._listening = _listen(self.settings.port)
        self._lock = lock_data_dir(self.settings.data_dir)
        master_key = self._master_key()
        template = read_template(
            self.checkout / "template.yaml",
            {
                "CorsOrigins": self.settings.cors_origins,
                "HooksModule": self.settings.hooks_module,
                "ArchiveBucket": self.settings.archive_bucket,
                "ResponseDays": "30",
            },
        )
        aws = self._aws = EmbeddedAws(template, self.settings.data_dir, page=f"{self._url}/ui/")
        await aws.start()
        routes = read_routes(self.settings.routes_file, self.settings.environment)
        secret = self.settings.secret(routes.secrets, master_key)
        simulated = {name: named for name, named in routes.providers.items() if not _is_real(routes, name, secret)}
        aws_ready = asyncio.create_task(aws.ready(secret | dict.fromkeys(filter(None, simulated.values()), SECRET)))
        try:
            await self._start_rest(template, routes, aws, simulated, aws_ready)
            self.console.ready(self._banner(routes, master_key))
        finally:
            aws_ready.cancel()

    async def _start_rest(
        self,
        template: Template,
        routes: Routes,
        aws: EmbeddedAws,
        simulated: dict[str, str],
        aws_ready: asyncio.Task[None],
    ) -> None:
        stand_ins = self._stand_ins = StandIns(simulated, routes.model_formats)
        await stand_ins.start()
        if simulated:
            self.console.step(f"stand-ins for {', '.join(sorted(simulated))}")
        write_log = self._log_writer()
        self._services = {
            name: LambdaService(
                launch_of(function, aws.endpoint, stand_ins.base_urls, self.settings.environment),
                self.settings.concurrency,
                write_log,
            )
            for name, function in template.functions.items()
            if any(route.function == name for route in template.api.routes)
        }
        first = _first_function(template)
        warm = asyncio.create_task(self._services[first].warm())
        try:
            await aws_ready
            for sentence in aws.set_aside:
                self.console.note(sentence)
            self.console.step("embedded AWS: DynamoDB and Secrets Manager")
            variables = template.functions[first].environment
            await self._load_routes(variables["ROUTES_TABLE"], routes, aws)
            location.write_location(self.settings.data_dir, self._url, aws.endpoint, variables)
            await warm
        finally:
            warm.cancel()
        self.console.step("first environment of the gateway function")
        assert self._listening is not None  # noqa: S101 - opened in start()
        guard = RequestGuard(parse_list(self.settings.cors_origins), self.settings.allowed_hosts)
        self._gateway = ApiGateway(template.api, self._services, self.console.note, guard)
        await self._gateway.serve(self._listening)

    async def _load_routes(self, table: str, routes: Routes, aws: EmbeddedAws) -> None:
        loaded = self.settings.data_dir / "routes-loaded.json"
        name = self.settings.routes_file.name
        # A table that could not be restored is empty.
        if table in aws.restored and routes.is_loaded(loaded):
            self.console.step(f"routes from the table: {name} is unchanged since it was loaded")
        else:
            await asyncio.to_thread(routes.load, aws.endpoint, table, loaded)
            self.console.step(f"routes loaded from {name}")

    def _master_key(self) -> str:
        try:
            return self.settings.master_key or stored_master_key(self.settings.data_dir)
        except OSError as error:
            raise DataDirError(
                f"The master key cannot be stored in {self.settings.data_dir}: {error.strerror}."
            ) from None

    def _log_writer(self) -> Callable[[bytes], None]:
        self._writer = LineWriter()
        json_log = not sys.stdout.isatty() if self.settings.json_log is None else self.settings.json_log
        return self._writer.write if json_log else ReadableLog(self._writer.write).write

    @property
    def _url(self) -> str:
        assert self._listening is not None  # noqa: S101 - opened in start()
        return f"http://{_HOST}:{self._listening.getsockname()[1]}"

    def _banner(self, routes: Routes, master_key: str) -> Banner:
        assert self._stand_ins is not None  # noqa: S101 - called after start()
        stand_ins, settings = self._stand_ins, self.settings
        password = "your UI_PASSWORD" if settings.ui_password else "the key above as password"
        return Banner(
            url=self._url,
            key=None if settings.master_key else master_key,
            key_file=shlex.quote(os.path.relpath(settings.data_dir / MASTER_KEY_FILE)),
            sign_in=f"sign in as {settings.ui_username} with {password}",
            models=routes.models,
            providers=[
                Provider(name, secret, routes.base_urls[name], name in stand_ins.base_urls)
                for name, secret in routes.providers.items()
            ],
            control=stand_ins.control,
        )

    async def ended(self) -> None:
        """Wait until a part ends unexpectedly, and raise `StackEndedError`."""
        assert self._aws is not None  # noqa: S101 - called after start()
        assert self._stand_ins is not None  # noqa: S101 - likewise
        aws = asyncio.create_task(self._aws.wait())
        stand_ins = asyncio.create_task(self._stand_ins.wait())
        try:
            done, _ = await asyncio.wait((aws, stand_ins), return_when=asyncio.FIRST_COMPLETED)
            part = "embedded AWS" if aws in done else "stand-in providers"
            raise StackEndedError(f"The {part} ended unexpectedly. See the lines above.")
        finally:
            aws.cancel()
            stand_ins.cancel()

    async def stop(self) -> None:
        """Stop every started part; the embedded AWS last, because functions write to it until they end."""
        if self._gateway is not None:
            await self._gateway.stop()
        if self._listening is not None:
            self._listening.close()
        await asyncio.gather(*(service.stop() for service in self._services.values()))
        if self._stand_ins is not None:
            await self._stand_ins.stop()
        if self._aws is not None:
            await self._aws.stop()
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            location.remove_location(self.settings.data_dir)
            os.close(self._lock)


def _listen(port: int) -> socket.socket:
    """Listen at the start: a port in use is reported at once, and early clients wait."""
    try:
        return socket.create_server((_HOST, port), backlog=512)
    except OSError as error:
        reasons = {errno.EADDRINUSE: "is in use", errno.EACCES: "requires root privileges"}
        why = reasons.get(error.errno or 0, f"is not available ({error.strerror})")
        raise PortInUseError(f"Port {port} {why}. Choose another: make start PORT=4001") from None


def _is_real(routes: Routes, provider: str, secret: Mapping[str, str]) -> bool:
    """Return whether a provider can be called: its key is set, or it needs none and has a base URL."""
    named = routes.providers[provider]
    return named in secret if named else bool(routes.base_urls[provider])


def _first_function(template: Template) -> str:
    """Return the function that serves readiness and the models."""
    match = Resources(template.api.routes).find("GET", "/health/readiness")
    if match is None:
        raise TemplateError("template.yaml has no route for GET /health/readiness")
    return match.route.function
