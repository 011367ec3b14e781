import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streaming_runtime.errors import HandlerError
from streaming_runtime.startup import import_handler, search_path
from tests.unit.streaming_runtime.fake_runtime_api import ACCEPTED, PATIENCE, FakeRuntimeApi, Step, event, reply

WRAPPER = Path(__file__).parents[3] / "layers" / "streaming_runtime" / "streaming-runtime"
VERSION = f"python{sys.version_info.major}.{sys.version_info.minor}"

Write = Callable[[str, str], None]


@pytest.fixture
def task_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of handlers. Modules imported from it are unloaded afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "app", raising=False)  # the gateway's, where its tests came first
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def start(api: FakeRuntimeApi, task_root: Path, wrapper: Path = WRAPPER, **environ: str) -> tuple[int, str]:
    """Run the wrapper as Lambda does. Returns the exit status and the function's log."""
    process = subprocess.run(
        [wrapper, sys.executable, "/var/runtime/bootstrap.py"],
        env={"AWS_LAMBDA_RUNTIME_API": api.address, "LAMBDA_TASK_ROOT": str(task_root), "_HANDLER": "app.handler"}
        | environ,
        cwd="/",
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert process.stderr == b""
    return process.returncode, process.stdout.decode()


@pytest.mark.parametrize(
    ("current", "existing", "expected"),
    [
        pytest.param(["/lib"], set(), ["/task", "/lib"], id="without layers"),
        pytest.param(
            ["/lib"],
            {"/opt/python", f"/opt/python/lib/{VERSION}/site-packages", "/var/runtime"},
            ["/task", f"/opt/python/lib/{VERSION}/site-packages", "/opt/python", "/lib", "/var/runtime"],
            id="the function, its layers, Python's own, the runtime's",
        ),
        pytest.param(
            ["/opt/python", "/lib", "/task"],
            {"/opt/python"},
            ["/task", "/opt/python", "/lib"],
            id="no path is repeated",
        ),
    ],
)
def test_the_search_path_has_lambdas_order(current: list[str], existing: set[str], expected: list[str]) -> None:
    assert search_path(current, "/task", "/var/runtime/bootstrap.py", existing.__contains__) == expected


@pytest.mark.parametrize("name", ["package.module.run", "package/module.run"])
def test_a_handler_is_found_by_dots_and_slashes(name: str, task_root: Path) -> None:
    (task_root / "package").mkdir()
    (task_root / "package" / "module.py").write_text("def run(event, context): return event\n")
    assert import_handler(name)(7, None) == 7  # type: ignore[arg-type] # this handler wants no context


@pytest.mark.parametrize(
    ("name", "source", "error_name", "says"),
    [
        pytest.param("handler", "", "Runtime.MalformedHandlerName", "module.function", id="no dot"),
        pytest.param("", "", "Runtime.MalformedHandlerName", "module.function", id="empty"),
        pytest.param("sys.exit", "", "Runtime.BuiltInModuleConflict", "sys", id="a built-in module"),
        pytest.param("absent.handler", "", "Runtime.ImportModuleError", "'absent'", id="no such module"),
        pytest.param(
            "app.handler", "import absent_too", "Runtime.ImportModuleError", "absent_too", id="its import fails"
        ),
        pytest.param("app.handler", "def (", "Runtime.UserCodeSyntaxError", "app.py, line 1", id="a syntax error"),
        pytest.param("app.handler", "", "Runtime.HandlerNotFound", "'handler' is missing", id="no such function"),
        pytest.param(
            "app.handler", "handler = 5", "Runtime.HandlerNotFound", "'handler' is missing", id="not callable"
        ),
    ],
)
def test_a_missing_handler_is_reported_with_the_reason(
    name: str, source: str, error_name: str, says: str, task_root: Path
) -> None:
    (task_root / "app.py").write_text(source)
    with pytest.raises(HandlerError) as caught:
        import_handler(name)
    assert caught.value.name == error_name
    assert says in str(caught.value)


def test_a_failed_start_is_reported_and_ends_the_process(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text("def load():\n    raise ValueError('no table')\nload()\n")
    with FakeRuntimeApi([ACCEPTED]) as api:
        status, log = start(api, tmp_path)
    [request] = api.requests
    assert status == 1
    assert request.line == "POST /2018-06-01/runtime/init/error HTTP/1.1"
    assert request.headers["lambda-runtime-function-error-type"] == "ValueError"
    assert (request.json["errorType"], request.json["errorMessage"]) == ("ValueError", "no table")
    stack = request.json["stackTrace"]
    assert isinstance(stack, list)
    assert [frame.split(", ", 1)[1].split("\n")[0] for frame in stack] == ["line 3, in <module>", "line 2, in load"]
    assert log.startswith("[ERROR] ValueError: no table\rTraceback")


def test_a_bad_handler_name_is_reported_and_ends_the_process(tmp_path: Path) -> None:
    with FakeRuntimeApi([ACCEPTED]) as api:
        status, _ = start(api, tmp_path, _HANDLER="nowhere.handler")
    assert status == 1
    assert api.requests[0].json["errorType"] == "Runtime.ImportModuleError"


@pytest.mark.parametrize("deployed", [False, True], ids=["from the checkout", "as deployed"])
def test_the_wrapper_finds_its_package_and_shadows_no_module(deployed: bool, tmp_path: Path) -> None:
    wrapper = WRAPPER
    if deployed:
        # The artifact's place is /opt on Lambda.
        subprocess.run(
            [
                "make",
                "--no-print-directory",
                "-C",
                WRAPPER.parent,
                "build-StreamingRuntimeLayer",
                f"ARTIFACTS_DIR={tmp_path}",
            ],
            check=True,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
        )
        wrapper = tmp_path / "streaming-runtime"
    task_root = tmp_path / "task"
    task_root.mkdir()
    # A function may have modules of the same names as the runtime's own.
    (task_root / "client.py").write_text("mine = True\n")
    (task_root / "app.py").write_text(
        "import client, sys, streaming_runtime\n"
        "def handler(event, context):\n"
        "    print('half a line', end='')\n"
        "    return [client.mine, sys.path[0], streaming_runtime.__file__]\n"
    )
    with FakeRuntimeApi([event(), ACCEPTED]) as api:
        status, log = start(api, task_root, wrapper)
    package = wrapper.parent / ("python" if deployed else "") / "streaming_runtime"
    assert api.requests[1].body == f'[true, "{task_root}", "{package}/__init__.py"]'.encode()
    assert status == 1, "the Runtime API is gone after the first event"
    assert log.startswith("half a line")
    assert "[ERROR] RuntimeApiLostError: " in log


def test_objects_of_the_import_are_excluded_from_garbage_collection(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import gc\nkept = [[] for _ in range(5000)]\nduring = gc.isenabled()\n"
        "def handler(event, context): return [during, gc.isenabled(), gc.get_freeze_count() > len(kept)]\n"
    )
    with FakeRuntimeApi([event(), ACCEPTED]) as api:
        start(api, tmp_path)
    assert api.requests[1].body == b"[false, true, true]"


def test_the_wrapper_without_arguments_prints_its_usage() -> None:
    process = subprocess.run([WRAPPER], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert process.returncode == 64
    assert "AWS_LAMBDA_EXEC_WRAPPER" in process.stderr


def test_streams_are_buffered_for_sam_cli(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "from streaming_runtime import StreamingResponse\n"
        "def handler(event, context):\n"
        "    return StreamingResponse(200, {}, iter([b'a', b'b']))\n"
    )
    with FakeRuntimeApi([event(), ACCEPTED]) as api:
        start(api, tmp_path, AWS_SAM_LOCAL="true")
    assert api.requests[1].json["body"] == "ab"


HOOKS = (
    "from snapshot_restore_py import register_after_restore, register_before_snapshot\n"
    "def hook(name, fail=False):\n"
    "    print(name)\n"
    "    if fail: raise ValueError(name)\n"
    "def handler(event, context): return 'served'\n"
)


@pytest.mark.parametrize(
    ("hooks", "script", "status", "paths", "logged"),
    [
        pytest.param(
            "register_before_snapshot(hook, 'b1')\nregister_before_snapshot(hook, name='b2')\n"
            "register_after_restore(hook, 'a1')\nregister_after_restore(hook, 'a2')\n",
            [reply(200), event(), ACCEPTED],
            1,
            ["restore/next", "invocation/next", "invocation/req-1/response"],
            ["b2", "b1", "a1", "a2"],
            id="hooks run around the restore",
        ),
        pytest.param(
            "register_before_snapshot(hook, 'b1', fail=True)\n",
            [ACCEPTED],
            64,
            ["init/error"],
            ["b1"],
            id="a hook before the snapshot fails",
        ),
        pytest.param(
            "register_after_restore(hook, 'a1', fail=True)\n",
            [reply(200), ACCEPTED],
            65,
            ["restore/next", "restore/error"],
            ["a1"],
            id="a hook after the restore fails",
        ),
        pytest.param("", [reply(500), ACCEPTED], 64, ["restore/next", "init/error"], [], id="the restore is rejected"),
    ],
)
def test_snapstart(
    hooks: str, script: list[Step], status: int, paths: list[str], logged: list[str], tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(HOOKS + hooks)
    with FakeRuntimeApi(script) as api:
        ended, log = start(api, tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
    assert ended == status
    assert api.connections == 1 + ("restore/next" in paths), "no connection outlives the snapshot"
    assert [request.line.split()[1].removeprefix("/2018-06-01/runtime/") for request in api.requests] == paths
    assert [line for line in log.splitlines() if len(line) == 2] == logged
    if paths[-1].endswith("error"):
        name = "Runtime.AfterRestoreError" if status == 65 else "Runtime.BeforeSnapshotError"
        assert api.requests[-1].headers["lambda-runtime-function-error-type"] == name


def test_snapstart_reseeds_random_numbers_after_the_restore(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(
        "import random\nrandom.seed(1)\ndef handler(event, context): return random.random()\n"
    )
    drawn: set[bytes] = set()
    for _ in range(2):
        with FakeRuntimeApi([reply(200), event(), ACCEPTED]) as api:
            start(api, tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start")
        drawn.add(api.requests[-1].body)
    assert len(drawn) == 2


def test_hooks_do_not_run_without_snapstart(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(HOOKS + "register_after_restore(hook, 'a1', fail=True)\n")
    with FakeRuntimeApi([event(), ACCEPTED]) as api:
        start(api, tmp_path)
    assert api.requests[1].body == b'"served"'
