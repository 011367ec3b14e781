"""The processes of a run, started on first use and stopped with the harness."""

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.request import urlopen

from . import keys
from .checkout import OWN, Checkout, of_revision
from .function import FunctionTarget
from .layer import interpreter
from .options import Options
from .peers import PeerProgram
from .programs import Program
from .size import requirements
from .stack import Stack
from .targets import BrokenError, Target, UrlTarget

__all__ = ["MODEL", "AwsCounts", "Harness", "Installation"]

MODEL = "auto-chat"
"""The requested virtual model; the first of its three steps is healthy."""

_PROVIDER_MODEL = "claude-sonnet-4-6"
_SECRETS = {"MASTER_KEY": "sk-bench-0123456789abcdef", "BENCH_PROVIDER_KEY": "sk-provider-0123456789abcdef"}
T = TypeVar("T")


class AwsCounts:
    """The calls to the embedded AWS within a period: their number by operation, and their duration in seconds."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self.operations: dict[str, int] = {}
        self.seconds = 0.0
        self._from: tuple[dict[str, int], float] = ({}, 0.0)

    @contextmanager
    def counting(self) -> Iterator[Self]:
        """Count the calls within the block."""
        self.begin()
        yield self
        self.end()

    def begin(self) -> None:
        """Start counting."""
        self._from = self._look()

    def end(self) -> None:
        """Stop counting."""
        (before, seconds_before), (after, seconds_after) = self._from, self._look()
        grown = {name: count - before.get(name, 0) for name, count in after.items()}
        self.operations = {name: count for name, count in grown.items() if count}
        self.seconds = seconds_after - seconds_before

    def spans(self) -> list[tuple[float, float]]:
        """Return when each call came and was answered, by `time.perf_counter`, since this was last asked for."""
        spans: list[tuple[float, float]] = self._get("/spans")
        return spans

    def of(self, service: str) -> int:
        """Return the number of calls to a service, named as in X-Amz-Target."""
        return sum(count for name, count in self.operations.items() if name.startswith(service))

    def _look(self) -> tuple[dict[str, int], float]:
        counts: dict[str, Any] = self._get("/counts")
        return counts["operations"], counts["seconds"]

    def _get(self, path: str) -> Any:
        with urlopen(self._endpoint + path, timeout=10) as answer:
            return json.load(answer)


class Harness:
    """A context manager. A part that cannot be started is reported to `failed` once, and the rest runs without it."""

    def __init__(self, options: Options, progress: Callable[[str], None], failed: Callable[[str], None]) -> None:
        self.options = options
        self.progress = progress
        self.failed = failed
        self.entered = ExitStack()

    def __enter__(self) -> Self:
        self.folder = Path(self.entered.enter_context(tempfile.TemporaryDirectory(prefix="vibe-router-bench-")))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.entered.close()

    @cached_property
    def provider_url(self) -> str:
        """The fast provider's base URL."""
        port = self.options.provider_port
        return self.entered.enter_context(Program("bench.provider", [str(port)])).first_line

    def counts(self) -> AwsCounts:
        """Return the counter of calls to the function's AWS."""
        return AwsCounts(self.aws_endpoint)

    @cached_property
    def own(self) -> "Installation":
        """The installation of this code."""
        return Installation(self, OWN)

    @cached_property
    def previous(self) -> "Installation | None":
        """The revision to compare with, if one is asked for."""
        revision = self.options.against
        if revision is None:
            return None
        self.progress(f"unpacking {revision}")
        checkout = self.tried(lambda: of_revision(revision, self.folder))
        return Installation(self, checkout) if checkout else None

    @property
    def installations(self) -> list["Installation"]:
        """The installations of this code and of the revision to compare with."""
        return [self.own, self.previous] if self.previous else [self.own]

    @property
    def aws_endpoint(self) -> str:
        """The AWS of this code's function."""
        return self.own.aws[0]

    @property
    def python(self) -> Path:
        """The interpreter of this code's function."""
        return self.own.python

    def start_function(self) -> FunctionTarget:
        """Return a new environment of this code's function, not yet started."""
        return self.own.start_function()

    @cached_property
    def direct(self) -> UrlTarget:
        """The provider itself."""
        target = UrlTarget("direct", self.provider_url, _SECRETS["BENCH_PROVIDER_KEY"], _PROVIDER_MODEL)
        return self.entered.enter_context(closing(target))

    @property
    def function(self) -> FunctionTarget | None:
        """The environment of this code's function that calls and streams go through."""
        return self.own.function

    @property
    def stack(self) -> Stack | None:
        """The local stack of this code."""
        return self.own.stack

    @cached_property
    def peers(self) -> list[UrlTarget]:
        """The other gateways."""
        if self.options.peers:
            self.progress(f"the peers' provider is {self.provider_url}")
        programs = (PeerProgram(each, self.provider_url, self.folder) for each in self.options.peers)
        started = (self.tried(partial(self.entered.enter_context, each)) for each in programs)
        return [each.target for each in started if each]

    def targets(self) -> list[Target]:
        """Return all targets, the direct one first."""
        found: list[Target] = [self.direct]
        found += [each.function for each in self.installations if each.function is not None]
        return [*found, *self.servers()]

    def servers(self) -> list[UrlTarget]:
        """Return the targets that serve several callers at once."""
        return [*(each.stack.target for each in self.installations if each.stack is not None), *self.peers]

    @cached_property
    def routes_file(self) -> Path:
        """A routes file whose three steps all call the fast provider. JSON is YAML."""
        layers = {"first": _PROVIDER_MODEL, "second": "gpt-5", "third": "glm-4.7"}
        provider = {"base_url": self.provider_url, "secret": "BENCH_PROVIDER_KEY"}
        price = {"input": 1, "output": 4}
        chain = [{"provider": name, "model": model, "price": price} for name, model in layers.items()]
        file = self.folder / "routes.yaml"
        file.write_text(json.dumps({"providers": dict.fromkeys(layers, provider), "models": {MODEL: {"chain": chain}}}))
        return file

    def tried(self, start: Callable[[], T]) -> T | None:
        """Return what `start` returns, or report that it failed."""
        try:
            return start()
        except BrokenError as error:
            self.failed(str(error))
            return None


class Installation:
    """A checkout with what serves it: its AWS, environments of its function, its local stack. Started on first use."""

    def __init__(self, harness: Harness, checkout: Checkout) -> None:
        self.checkout = checkout
        self._harness = harness
        self._logs = 0

    @cached_property
    def aws(self) -> tuple[str, int]:
        """The endpoint and the process id of the counting AWS, with tables, routes and the secret."""
        template = self.checkout.template
        orders = {
            "tables": [dict(table.create) for table in template.tables],
            "secrets": dict.fromkeys(template.secrets, _SECRETS),
        }
        program = Program("bench.aws", orders=json.dumps(orders), checkout=self.checkout)
        endpoint = self._harness.entered.enter_context(program).first_line
        self._load_routes(endpoint)
        keys.make(endpoint, self.checkout.gateway.environment["KEYS_TABLE"])
        return endpoint, program.pid

    @cached_property
    def python(self) -> Path:
        """The function's interpreter, with the libraries of its layer."""
        folder = self._harness.folder / self.checkout.name("python")
        names = requirements(self.checkout.root / "requirements" / "runtime.txt")
        return interpreter(folder, names, self.checkout.libraries)

    def start_function(self) -> FunctionTarget:
        """Return a new environment of the function, not yet started."""
        self._logs += 1
        log = self._harness.folder / f"{self.checkout.name('function')}-{self._logs}.log"
        return FunctionTarget(self.checkout, self.python, self.aws, _SECRETS["MASTER_KEY"], log)

    @cached_property
    def function(self) -> FunctionTarget | None:
        """The environment of the function that calls and streams go through."""
        self._harness.progress(f"starting the {self.checkout.name('function')}")
        return self._harness.tried(lambda: self._harness.entered.enter_context(self.start_function()))

    @cached_property
    def stack(self) -> Stack | None:
        """The whole local stack."""
        self._harness.progress(f"starting the local {self.checkout.name('stack')}")
        stack = Stack(self.checkout, self._harness.folder, self._harness.routes_file, _SECRETS)
        return self._harness.tried(lambda: self._harness.entered.enter_context(stack))

    def _load_routes(self, endpoint: str) -> None:
        """Write the routes with the command."""
        done = subprocess.run(
            [*self.checkout.routes_command, "--file", str(self._harness.routes_file), "--aws", "--yes"],
            env={**self.checkout.environment, **self.checkout.variables(endpoint), **self.checkout.path},
            cwd=self._harness.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise BrokenError(f"the routes could not be written: {(done.stderr or done.stdout).strip()}")
