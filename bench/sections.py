"""The sections of the report. Each returns its table; the harness starts the processes that it needs."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from . import size
from .checkout import OWN
from .figures import MEGABYTE, Aim, Cell, Memory, Table, median, milliseconds, percentile, spread
from .function import FunctionTarget
from .harness import MODEL, AwsCounts, Harness, Installation
from .keys import CALLERS, ready_made_write
from .payload import CALL_WORDS, request
from .processor import cpu_seconds
from .rounds import Round, added, answers_of, cpu_of, measure, typical
from .targets import Answer, BrokenError, Target, UrlTarget, checked

__all__ = ["log_bytes", "measured", "parted"]

_CHECKOUT = Path(__file__).parent.parent

# The limits of the router's cost: unnoticeable for people and for Lambda's bill.
_FUNCTION_CALL_MS = 1.5
_FUNCTION_STREAM_MS = 5.0
_STACK_CALL_MS = 3.0
_TRANSLATED_REQUEST_MS = 1.0
_CHAIN_SETTING_US = 300.0
_TRANSLATED_CHUNK_US = 20.0
_COLD_START_MS = 500.0
_MEMORY_MB = 110.0

_CALL = request(MODEL, CALL_WORDS, stream=False)
_STREAM = request(MODEL, 100, stream=True)
_STREAMS = ((100, False), (2000, False), (100, True))  # chunks, and whether paced
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
_MEGABYTES_OF_A_CORE = 1769
_WARM_UP, _IN_A_ROW = 20, 20  # calls
_DIRECT = "a write that is ready made"
_CALLERS = 16
_THROUGHPUT_ROUNDS = 5
_WITHIN_A_SECOND = 20  # calls, which together take far less than a second


def measured(section: str, harness: Harness) -> Table:
    """Return the table of a section, by the name that `--only` takes. Raises BrokenError."""
    return _SECTIONS[section](harness)


def _total(answer: Answer) -> float:
    return answer.total


def _first(answer: Answer) -> float:
    return answer.first_token or 0.0


def _calls(harness: Harness) -> Table:
    targets = harness.targets()
    rounds = measure(
        targets, _CALL, harness.options.calls, at_once=50, progress=harness.progress, failed=harness.failed
    )
    direct = rounds["direct"]
    rows: list[dict[str, Cell]] = []
    for name, got in rounds.items():
        answers = answers_of(got)
        row: dict[str, Cell] = {"target": name, "calls": len(answers), "p50_ms": milliseconds(typical(got, _total))}
        row |= spread("", [each.total for each in answers], (95, 99))
        if name != "direct":
            row["added_p50_ms"] = milliseconds(added(got, direct, _total))
        if all(each.settled is not None for each in answers):
            row["after_p50_ms"] = milliseconds(typical(got, lambda answer: answer.settled or 0.0))
        rows.append(row | _cpu(got))
    notes = [
        f"Whole answers of {CALL_WORDS} words. One client, one connection, one call after the other, 50 to each target "
        "in turn. A figure is the median over these rounds of each round's median; added is to the direct calls of the "
        "same round.",
        "after: the function's work between the end of the answer and its request for the next event. The stack's "
        "figure holds what of it the next call waits for.",
        _CPU_NOTE,
    ]
    limits = {"function": _FUNCTION_CALL_MS, "stack": _STACK_CALL_MS}
    aims = [
        Aim(f"{name} adds to a call, p50", milliseconds(added(rounds[name], direct, _total)), limit, "ms")
        for name, limit in limits.items()
        if name in rounds
    ]
    return Table("Calls", _with_ratios(rows, "added_p50_ms"), notes, aims)


_CPU_NOTE = (
    "cpu: processor time per call, of the function or of all processes of a peer; of the local gateway and of the "
    "embedded AWS beside it. Ratios: this code's function (for another stack: this code's stack) divided by the row's."
)


def _cpu(rounds: Sequence[Round]) -> dict[str, Cell]:
    """Return the processor time per call, by process."""
    columns = {"function": "cpu_ms", "peer": "cpu_ms", "gateway": "gateway_cpu_ms", "aws": "aws_cpu_ms"}
    used = {column: cpu_of(rounds, role) for role, column in columns.items() if cpu_of(rounds, role) is not None}
    return {column: milliseconds(seconds or 0.0) for column, seconds in used.items()}


def _with_ratios(rows: Sequence[dict[str, Cell]], added_column: str) -> Sequence[Mapping[str, Cell]]:
    """Return the rows with what this code's row of the same kind is, divided by theirs."""
    own = {str(row["target"]): row for row in rows}
    for row in rows:
        name = str(row["target"])
        reference = own.get("stack" if name.startswith("stack at ") else "function")
        if reference is None or name in ("direct", "function", "stack"):
            continue
        for column, ratio in ((added_column, "added_ratio"), ("cpu_ms", "cpu_ratio")):
            ours, theirs = reference.get(column), row.get(column)
            if isinstance(ours, float) and isinstance(theirs, float) and theirs > 0:
                row[ratio] = round(ours / theirs, 2)
    return rows


def _streams(harness: Harness) -> Table:
    rows: list[Mapping[str, Cell]] = []
    aims = []
    for chunks, paced in _STREAMS:
        name = f"{chunks} chunks" + (", paced" if paced else "")
        rounds = measure(
            harness.targets(),
            request(MODEL, chunks, stream=True, paced=paced),
            harness.options.streams(chunks * 20 if paced else chunks),
            at_once=5,
            progress=partial(_report_progress, harness, name),
            failed=harness.failed,
        )
        direct = rounds["direct"]
        of_these: list[dict[str, Cell]] = []
        for target, got in rounds.items():
            answers = answers_of(got)
            row: dict[str, Cell] = {"stream": name, "target": target, "streams": len(answers)}
            row["first_p50_ms"] = milliseconds(typical(got, _first))
            row |= spread("first", [_first(each) for each in answers], (95,))
            row["total_p50_ms"] = milliseconds(typical(got, _total))
            row |= spread("total", [each.total for each in answers], (95,))
            if target != "direct":
                row["added_first_ms"] = milliseconds(added(got, direct, _first))
                row["added_total_ms"] = milliseconds(added(got, direct, _total))
            of_these.append(row | _cpu(got))
        rows += _with_ratios(of_these, "added_total_ms")
        if chunks == 100 and not paced and "function" in rounds:
            more = milliseconds(added(rounds["function"], direct, _total))
            aims.append(Aim("function adds to a stream of 100 chunks, p50", more, _FUNCTION_STREAM_MS, "ms"))
    notes = [
        "first: until the first token has come. A chunk is a write of the provider; paced, one goes out every 1 ms, "
        "else one after the other without a pause.",
        _CPU_NOTE,
    ]
    return Table("Streams", rows, notes, aims)


def _report_progress(harness: Harness, name: str, done: str) -> None:
    harness.progress(f"{name}, {done}")


def _throughput(harness: Harness) -> Table:
    """Call the servers from many connections at once."""
    calls = max(harness.options.calls // 4, _CALLERS)
    targets = [harness.direct, *harness.servers()]
    rates: dict[str, list[float]] = {target.name: [] for target in targets}
    for number in range(_THROUGHPUT_ROUNDS + 1):
        harness.progress(f"round {number} of {_THROUGHPUT_ROUNDS}")
        for target in targets:
            if target.name not in rates:
                continue
            try:
                seconds = _served_at_once(target, calls if number else _CALLERS)
            except BrokenError as error:
                harness.failed(str(error))
                del rates[target.name]
                continue
            if number:  # the first only opens connections and environments
                rates[target.name].append(calls / seconds)
    rows: list[dict[str, Cell]] = [
        {"target": name, "calls_per_s": round(median(each), 1), "min": round(min(each), 1), "max": round(max(each), 1)}
        for name, each in rates.items()
    ]
    notes = [
        f"{_CALLERS} callers at once, each with its connection and one call after the other; rounds of {calls} calls. "
        "The callers and the provider share the machine's processor with what they call."
    ]
    return Table("Throughput", rows, notes)


def _served_at_once(target: UrlTarget, calls: int) -> float:
    """Return the seconds in which `target` answers `calls` calls of many callers."""
    prepared, left = target.prepare(_CALL), iter(range(calls))

    def call() -> None:
        with closing(target.another()) as own:
            while next(left, None) is not None:
                checked(own, own.exchange(prepared), CALL_WORDS, stream=False)

    began = time.perf_counter()
    with ThreadPoolExecutor(_CALLERS) as pool:
        for done in [pool.submit(call) for _ in range(_CALLERS)]:
            done.result()
    return time.perf_counter() - began


def _rows_of(harness: Harness, module: str) -> list[dict[str, Any]]:
    """Run a module that measures the layer's code, on the function's own libraries; return the rows it prints."""
    environ = {**os.environ, "PYTHONPATH": f"{_CHECKOUT}:{_CHECKOUT / 'layers' / 'router'}"}
    command = [str(harness.python), "-m", module, str(harness.options.calls)]
    ran = subprocess.run(command, env=environ, cwd=_CHECKOUT, capture_output=True, check=False)
    if ran.returncode:
        raise BrokenError(f"{module} failed: {ran.stderr.decode(errors='replace').strip()[-500:]}")
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def _chains(harness: Harness) -> Table:
    """Run `bench.chains`."""
    rows = _rows_of(harness, "bench.chains")
    most = max(row["added_us"] for row in rows)
    notes = ["A streamed request of 11 messages of 200 words, without sockets and tables. Processor time."]
    return Table("Chains", rows, notes, [Aim("a setting of a chain adds to a request", most, _CHAIN_SETTING_US, "us")])


def _formats(harness: Harness) -> Table:
    """Run `bench.translation`."""
    pairs = {(each["caller"], each["provider"]): each for each in _rows_of(harness, "bench.translation")}
    rows: list[dict[str, Cell]] = []
    for (caller, provider), each in pairs.items():
        row: dict[str, Cell] = {"caller": caller, "provider": provider}
        row |= {"request_p50_ms": milliseconds(each["request"]), "chunk_us": round(each["chunk"] * 1e6, 1)}
        if caller != provider:  # against who passes the same provider's stream on, and the same caller's request
            own = pairs.get((caller, caller), pairs["chat", "chat"])  # Gemini's format has no providers
            passed = pairs.get((provider, provider), own)  # Bedrock's format has no callers
            row["added_request_ms"] = milliseconds(each["request"] - own["request"])
            row["added_chunk_us"] = round((each["chunk"] - passed["chunk"]) * 1e6, 1)
        rows.append(row)
    notes = [
        "A request of 21 messages of 200 words with 15 tools; a stream of text, a word in a chunk. Processor time."
    ]
    translated = [row for row in rows if "added_chunk_us" in row]

    def most(column: str) -> float:
        return max(float(row[column] or 0.0) for row in translated)

    aims = [
        Aim("translation adds to a request, p50", most("added_request_ms"), _TRANSLATED_REQUEST_MS, "ms"),
        Aim("translation adds to a chunk", most("added_chunk_us"), _TRANSLATED_CHUNK_US, "us"),
    ]
    return Table("Formats", rows, notes, aims)


def _cold_start(harness: Harness) -> Table:
    megabytes = OWN.gateway.memory
    starts = {each.checkout.name("function"): _Starts(each) for each in harness.installations}
    python = []
    # The first start, which compiles modules, is not counted.
    for number in range(harness.options.starts + 1):
        harness.progress(f"start {number} of {harness.options.starts}")
        own = _python_start(harness.python)
        for each in starts.values():
            each.start(counted=bool(number))
        python += [own] if number else []

    def row(name: str, seconds: list[float]) -> dict[str, Cell]:
        return {
            "from the process's start": name,
            "starts": len(seconds),
            "median_ms": milliseconds(median(seconds)),
            "min_ms": milliseconds(min(seconds)),
            "max_ms": milliseconds(max(seconds)),
        }

    rows = [row("Python's own start", python)]
    for name, each in starts.items():
        of = "" if name == "function" else f", {name}"
        rows.append(row(f"to the first `next`{of}", each.ready) | {"cpu_ms": milliseconds(median(each.cpu))})
        rows.append(row(f"to the first answered byte{of}", each.answered))
    for column in (0, 1):  # against the revision before
        if len(starts) > 1:
            own_row, other = rows[1 + column], rows[3 + column]
            other["ratio"] = round(float(own_row["median_ms"] or 0) / float(other["median_ms"] or 1), 2)
    if stack := harness.stack:
        rows.append(row("local stack, to readiness, on an empty DATA_DIR", [stack.ready_after]))
    own_starts = starts["function"]
    notes = [
        f"The first answer waits for {median(own_starts.aws_calls):g} calls to the embedded AWS, on which it works "
        f"{milliseconds(median(own_starts.aws_seconds))} ms.",
        "Every file is in the system's cache and compiled. The process has a whole core, as in Lambda's init phase; "
        f"the first answer has {megabytes} MB's share there, {megabytes / _MEGABYTES_OF_A_CORE:.2f} of one.",
    ]
    ready, answered = own_starts.ready, own_starts.answered
    aims = [
        Aim("cold start, to the first `next`", milliseconds(median(ready)), _COLD_START_MS, "ms"),
        Aim("cold start, to the first answered byte", milliseconds(median(answered)), _COLD_START_MS, "ms"),
    ]
    return Table("Cold start", rows, notes, aims)


class _Starts:
    """Starts of one installation's function: seconds to its first `next`, also of processor time, and to its answer."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._counts = AwsCounts(installation.aws[0])
        self.ready: list[float] = []
        self.cpu: list[float] = []
        self.answered: list[float] = []
        self.aws_seconds: list[float] = []
        self.aws_calls: list[int] = []

    def start(self, *, counted: bool) -> None:
        """Start it, call it once and end it."""
        with self._counts.counting(), self._installation.start_function() as function:
            cpu = cpu_seconds(function.processes()["function"])
            began = time.perf_counter()
            answer = _ask(function, _STREAM)
            first_token_at = began - function.started_at + (answer.first_token or 0.0)
        if counted:
            self.ready.append(function.ready_after)
            self.cpu.append(cpu)
            self.answered.append(first_token_at)
            self.aws_seconds.append(self._counts.seconds)
            self.aws_calls.append(sum(self._counts.operations.values()))


def _python_start(python: Path) -> float:
    """Return the seconds from starting Python to the first line of the program."""
    began = time.perf_counter()
    with subprocess.Popen([python, "-c", "import os; os.write(1, b'.')"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        os.read(process.stdout.fileno(), 1)
        return time.perf_counter() - began


def _memory(harness: Harness) -> Table:
    requests = harness.options.requests
    rows: list[dict[str, Cell]] = []
    aims = []
    for each in harness.installations:
        name = each.checkout.name("function")
        with each.start_function() as function:
            started = function.memory()
            _serve(harness, function, requests)
            after = function.memory()
        rows.append(_held(f"{name}, waiting for its first event", started))
        rows.append(_held(f"{name}, after {requests} requests", after))
        if each is harness.own:
            aims.append(Aim(f"function's memory after {requests} requests", after.resident, _MEMORY_MB, "MB"))
    if stack := harness.stack:
        _serve(harness, stack.target, requests)
        held = stack.memory()
        rows += [_held(name, memory) for name, memory in held]
        rows.append(_held("stack: together", Memory(round(sum(each.resident for _, each in held), 1), None)))
    for peer in harness.peers:
        try:
            _serve(harness, peer, requests)
        except BrokenError as error:
            harness.failed(str(error))
            continue
        processes = [psutil.Process(pid) for pid in peer.processes()["peer"] if psutil.pid_exists(pid)]
        resident = sum(Memory.of(process).resident for process in processes)
        rows.append(_held(f"{peer.name}, {len(processes)} processes", Memory(round(resident, 1), None)))
    notes = ["Every tenth request a stream of 100 chunks. MB of 2**20 bytes; pages shared by processes count in each."]
    return Table("Memory", rows, notes, aims)


def _held(name: str, memory: Memory) -> dict[str, Cell]:
    return {"process": name, "resident_mb": memory.resident, "peak_mb": memory.peak}


def _serve(harness: Harness, target: Target, requests: int) -> None:
    call, stream = target.prepare(_CALL), target.prepare(_STREAM)
    for number in range(requests):
        if number % 100 == 0:
            harness.progress(f"{target.name}, request {number} of {requests}")
        if number % 10 == 9:
            checked(target, target.exchange(stream), 100, stream=True)
        else:
            checked(target, target.exchange(call), CALL_WORDS, stream=False)


def _size(_harness: Harness) -> Table:
    function = OWN.gateway
    rows: list[dict[str, Cell]] = []
    code = sum(size.of_folder(folder) for folder in (function.code, *function.layers))
    rows.append(_weighs("function: our code", code))
    libraries = _libraries("runtime")
    rows += [_weighs(f"function: {name}", weight) for name, weight in libraries[:4]]
    rows.append(_weighs(f"function: {len(libraries) - 4} more libraries", sum(weight for _, weight in libraries[4:])))
    rows.append(_weighs("function: together", code + sum(weight for _, weight in libraries)))
    local = _libraries("local")
    local_code = size.of_folder(_CHECKOUT / "local")
    rows.append(_weighs("local stack: together", code + local_code + sum(weight for _, weight in local)))
    return Table("Installed size", rows, ["As installed here for this Python, bytecode left out. MB of 2**20 bytes."])


def _libraries(lock: str) -> list[tuple[str, int]]:
    """Return the installed distributions of a lock file and what they weigh, the heaviest first."""
    names = size.requirements(_CHECKOUT / "requirements" / f"{lock}.txt")
    weights = [(name, weight) for name in names if (weight := size.of_distribution(name)) is not None]
    return sorted(weights, key=lambda each: each[1], reverse=True)


def _weighs(what: str, weight: int) -> dict[str, Cell]:
    return {"installed": what, "size_mb": round(weight / MEGABYTE, 2)}


def _aws(harness: Harness) -> Table:
    counts = harness.counts()
    rows: list[dict[str, Cell]] = []
    aims = []

    def count(function: FunctionTarget, when: str, calls: int, limit: int) -> None:
        with counts.counting():
            seconds = [_ask(function, _CALL).total for _ in range(calls)]
        booked = counts.of("DynamoDB_20120810.PutItem")  # after the answer
        dynamodb, secrets = counts.of("DynamoDB") - booked, counts.of("secretsmanager")
        rows.append(
            {
                "when": when,
                "calls": calls,
                "dynamodb_per_call": round(dynamodb / calls, 2),
                "booked_per_call": round(booked / calls, 2),
                "secretsmanager_per_call": round(secrets / calls, 2),
                "operations": ", ".join(name.rpartition(".")[2] for name in counts.operations) or "none",
                "call_p50_ms": milliseconds(percentile(seconds, 50)),
                "of_it_aws_ms": milliseconds(counts.seconds / calls),
            }
        )
        aims.append(Aim(f"DynamoDB calls before the answer, {when}", dynamodb / calls, limit, "a call"))
        aims.append(Aim(f"DynamoDB calls after the answer, {when}", booked / calls, 1, "a call"))
        aims.append(Aim(f"Secrets Manager calls, {when}", secrets / calls, 0, "a call"))

    with harness.start_function() as function:
        _ask(function, _CALL)
        for rest in harness.options.rests:
            harness.progress(f"resting for {rest:g} s")
            time.sleep(rest)
            count(function, f"after a rest of {rest:g} s", 1, 1)
        count(function, "within a second of a read", _WITHIN_A_SECOND, 0)
    notes = [
        "A call is booked after its answer, by one write more.",
        "States are read again after 1 s, routes after 10 s, secrets after 5 minutes.",
        "After 10 s both are read at the same time.",
    ]
    return Table("Calls to AWS per warm request", rows, notes, aims)


def _keys(harness: Harness) -> Table:
    counts, calls = harness.counts(), max(harness.options.calls // 4, 3)
    rows: list[dict[str, Cell]] = []
    with harness.start_function() as function, closing(UrlTarget("direct", harness.aws_endpoint, "")) as direct:
        events = {caller: function.prepare(_CALL, key) for caller, key in CALLERS.items()}
        asking: dict[str, Callable[[], float]] = {
            _DIRECT: partial(
                _written, direct, ready_made_write(harness.aws_endpoint, OWN.gateway.environment["LEDGER_TABLE"])
            ),
            **{caller: partial(_exchanged, function, event) for caller, event in events.items()},
        }
        took: dict[str, list[tuple[float, float]]] = {name: [] for name in asking}  # in all, and AWS's part
        for done in range(-_WARM_UP, calls, _IN_A_ROW):  # in turn, so that drift affects all alike
            harness.progress(f"call {max(done, 0)} of {calls}")
            for name, ask in asking.items():
                counts.spans()
                waits = [_waited(ask) for _ in range(min(_IN_A_ROW, calls - done))]
                took[name] += parted(waits, counts.spans()) if done >= 0 else []
        around = {}
        for caller, event in events.items():
            harness.progress(f"counting for the {caller}")
            around[caller] = _Around(function, event, counts)
    own = {name: percentile([total - aws for total, aws in each], 50) for name, each in took.items()}
    wire = own.pop(_DIRECT)
    added = {
        caller: milliseconds(each - own["master key"] - wire * sum(around[caller].before.values()))
        for caller, each in own.items()
    }
    for caller, asked in around.items():
        rows.append(
            {
                "caller": caller,
                "calls": len(took[caller]),
                "before_the_answer": asked.cell(asked.before),
                "after_it": asked.cell(asked.after),
                "call_p50_ms": milliseconds(percentile([total for total, _ in took[caller]], 50)),
                "of_it_aws_ms": milliseconds(median([aws for _, aws in took[caller]])),
                "own_added_ms": added[caller],
            }
        )
    notes = [
        "DynamoDB calls per call, reads that are due after 1 s (states) and 10 s (routes, keys) left out. What comes "
        "after the answer, which no caller waits for.",
        "own_added: the p50 of calls less, call by call, the time that the embedded AWS works on what is waited for, "
        "against the master key's. A write that is ready to be sent is on the wire for the p50 of "
        f"{milliseconds(wire)} ms besides, by the same measure; that is not the router's either, and left out.",
    ]
    budget = "virtual key with a budget"
    aims = [
        Aim(f"DynamoDB calls before the answer, {budget}", sum(around[budget].before.values()), 1, "a call"),
        Aim(f"own time that a {budget} adds to a call, p50", added[budget], 1.0, "ms"),
    ]
    return Table("Virtual keys", rows, notes, aims)


def _exchanged(function: FunctionTarget, event: bytes, answered: Callable[[], None] | None = None) -> float:
    return checked(function, function.exchange(event, answered), CALL_WORDS, stream=False).total


def _written(direct: UrlTarget, write: bytes) -> float:
    answer = direct.exchange(write)
    if answer.status != 200:
        raise BrokenError(f"the embedded AWS gave status {answer.status}: {answer.body[:300].decode()}")
    return answer.total


def _waited(ask: Callable[[], float]) -> tuple[float, float]:
    """Return the start and the end of a call."""
    began = time.perf_counter()
    return began, began + ask()


def parted(waits: Sequence[tuple[float, float]], spans: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the seconds of each wait, in total and within `spans`; all by one clock."""
    return [
        (end - begin, sum(max(min(end, ended) - max(begin, came), 0.0) for came, ended in spans))
        for begin, end in waits
    ]


class _Around:
    """The calls to DynamoDB for one request, `before` and `after` the end of its answer, by operation."""

    def __init__(self, function: FunctionTarget, event: bytes, counts: AwsCounts) -> None:
        before: list[Mapping[str, int]] = []
        after: list[Mapping[str, int]] = []

        def answered() -> None:
            counts.end()
            before.append(counts.operations)
            counts.begin()

        for _ in range(_WITHIN_A_SECOND):
            counts.begin()
            _exchanged(function, event, answered)
            counts.end()
            after.append(counts.operations)
        self.before, self.after = _usual(before), _usual(after)

    def cell(self, operations: Mapping[str, float]) -> str:
        """Return operations as the text of a cell."""
        return ", ".join(f"{number:g} {name}" for name, number in operations.items()) or "none"


def _usual(calls: list[Mapping[str, int]]) -> dict[str, float]:
    """Return the median number of calls of each operation."""
    names = dict.fromkeys(name for call in calls for name in call)
    usual = {name.rpartition(".")[2]: median([call.get(name, 0) for call in calls]) for name in names}
    return {name: number for name, number in usual.items() if number}


def _log(harness: Harness) -> Table:
    rows: list[dict[str, Cell]] = []
    with harness.start_function() as function:
        _ask(function, _CALL)
        for what, body in (("call", _CALL), ("stream of 100 chunks", _STREAM)):
            skip = function.log.stat().st_size
            times = 20
            for _ in range(times):
                _ask(function, body)
            kinds = log_bytes(function.log.read_bytes()[skip:])
            rows.append({"request": what, **{f"{kind}_bytes": round(kinds[kind] / times) for kind in kinds}})
    return Table("Log lines per request", rows, ["metrics: CloudWatch's embedded metric format."])


def log_bytes(log: bytes) -> dict[str, int]:
    """Return the bytes of all lines, of the routing decisions, of metrics, and of anything else."""
    kinds = {"all": len(log), "decision": 0, "metrics": 0, "other": 0}
    for line in log.splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {}
        if not isinstance(entry, dict):
            entry = {}
        kind = "metrics" if "_aws" in entry else "decision" if entry.get("message") == "ROUTING DECISION" else "other"
        kinds[kind] += len(line)
    return kinds


def _ask(function: FunctionTarget, body: Mapping[str, object]) -> Answer:
    """Return one whole answer. Raises BrokenError."""
    stream = bool(body.get("stream"))
    answer = checked(function, function.exchange(function.prepare(body)), 100, stream=stream)
    if stream and answer.first_token is None:
        raise BrokenError("the function's stream had no first token")
    return answer


_SECTIONS: Mapping[str, Callable[[Harness], Table]] = {
    "calls": _calls,
    "streams": _streams,
    "throughput": _throughput,
    "formats": _formats,
    "chains": _chains,
    "cold-start": _cold_start,
    "memory": _memory,
    "size": _size,
    "aws": _aws,
    "keys": _keys,
    "log": _log,
}
