"""The processes of a run, started on first use and stopped with the rig."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.request import urlopen

from local.template import read_template

from . import keys
from .function import FunctionTarget, gateway, variables
from .layer import interpreter
from .options import Options
from .programs import Program
from .size import requirements
from .stack import Stack
from .targets import BrokenError, Target, UrlTarget

__all__ = ["MODEL", "AwsCounts", "Rig"]

MODEL = "auto-chat"
"""The requested virtual model; the first of its three steps is healthy."""

_PROVIDER_MODEL = "claude-sonnet-4-6"
_SECRETS = {"MASTER_KEY": "sk-bench-0123456789abcdef", "BENCH_PROVIDER_KEY": "sk-provider-0123456789abcdef"}
_CHECKOUT = Path(__file__).parent.parent

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


class Rig:
    """A context manager. A part that cannot be started is reported to `failed` once, and the rest runs without it."""

    def __init__(self, options: Options, progress: Callable[[str], None], failed: Callable[[str], None]) -> None:
        self.options = options
        self.progress = progress
        self.failed = failed
        self._entered = ExitStack()
        self._logs = 0

    def __enter__(self) -> Self:
        self.folder = Path(self._entered.enter_context(tempfile.TemporaryDirectory(prefix="vibe-router-bench-")))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._entered.close()

    @cached_property
    def provider_url(self) -> str:
        """The fast provider's base URL."""
        port = self.options.provider_port
        return self._entered.enter_context(Program("bench.provider", [str(port)])).first_line

    @cached_property
    def aws_endpoint(self) -> str:
        """The counting AWS, with the template's tables, the routes and the secret."""
        template = read_template(_CHECKOUT / "template.yaml")
        orders = {
            "tables": [dict(table.create) for table in template.tables],
            "secrets": dict.fromkeys(template.secrets, _SECRETS),
        }
        endpoint = self._entered.enter_context(Program("bench.aws", orders=json.dumps(orders))).first_line
        self._load_routes(endpoint)
        keys.make(endpoint, gateway().environment["KEYS_TABLE"])
        return endpoint

    @cached_property
    def python(self) -> Path:
        """The function's interpreter, with the libraries of its layer."""
        return interpreter(self.folder / "python", requirements(_CHECKOUT / "requirements" / "runtime.txt"))

    def counts(self) -> AwsCounts:
        """Return the counter of calls to the function's AWS."""
        return AwsCounts(self.aws_endpoint)

    def start_function(self) -> FunctionTarget:
        """Return a new environment of the function, not yet started."""
        self._logs += 1
        log = self.folder / f"function-{self._logs}.log"
        return FunctionTarget(self.python, self.aws_endpoint, _SECRETS["MASTER_KEY"], log)

    @cached_property
    def direct(self) -> UrlTarget:
        """The provider itself."""
        target = UrlTarget("direct", self.provider_url, _SECRETS["BENCH_PROVIDER_KEY"], _PROVIDER_MODEL)
        return self._entered.enter_context(closing(target))

    @cached_property
    def function(self) -> FunctionTarget | None:
        """The environment of the function that calls and streams go through."""
        self.progress("starting the function")
        return self._tried(lambda: self._entered.enter_context(self.start_function()))

    @cached_property
    def stack(self) -> Stack | None:
        """The whole local stack."""
        self.progress("starting the local stack")
        return self._tried(lambda: self._entered.enter_context(Stack(self.folder, self._routes_file, _SECRETS)))

    @cached_property
    def peers(self) -> list[UrlTarget]:
        """The other gateways."""
        if self.options.peers:
            self.progress(f"the peers' provider is {self.provider_url}")
        targets = (UrlTarget(each.name, each.base_url, each.key, each.model) for each in self.options.peers)
        return [self._entered.enter_context(closing(target)) for target in targets]

    def targets(self) -> list[Target]:
        """Return all targets, the direct one first."""
        found: list[Target] = [self.direct]
        if self.function is not None:
            found.append(self.function)
        if self.stack is not None:
            found.append(self.stack.target)
        return [*found, *self.peers]

    @cached_property
    def _routes_file(self) -> Path:
        """A routes file whose three steps all call the fast provider. JSON is YAML."""
        layers = {"first": _PROVIDER_MODEL, "second": "gpt-5", "third": "glm-4.7"}
        provider = {"base_url": self.provider_url, "secret": "BENCH_PROVIDER_KEY"}
        price = {"input": 1, "output": 4}
        chain = [{"provider": name, "model": model, "price": price} for name, model in layers.items()]
        file = self.folder / "routes.yaml"
        file.write_text(json.dumps({"providers": dict.fromkeys(layers, provider), "models": {MODEL: {"chain": chain}}}))
        return file

    def _load_routes(self, endpoint: str) -> None:
        """Write the routes with the command."""
        done = subprocess.run(
            [sys.executable, "-m", "vibe_cli", "routes", "--file", str(self._routes_file), "--aws", "--yes"],
            env=variables(endpoint),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if done.returncode:
            raise BrokenError(f"the routes could not be written: {(done.stderr or done.stdout).strip()}")

    def _tried(self, start: Callable[[], T]) -> T | None:
        try:
            return start()
        except BrokenError as error:
            self.failed(str(error))
            return None
