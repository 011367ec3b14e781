"""Starts the runtime, in place of `/var/runtime/bootstrap.py`: search path, log, handler import, loop."""

import gc
import importlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import cast

from .client import RuntimeApi
from .errors import ErrorReport, HandlerError, RuntimeApiError, RuntimeApiLostError
from .logs import Log
from .loop import Handler, Loop

__all__ = ["import_handler", "main", "search_path"]


def main(arguments: Sequence[str]) -> int:
    """Run the function that the environment variables describe. Returns the exit status of the process.

    `arguments` are the program and the path of the bootstrap that it replaces, as Lambda passed it to the wrapper.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # One write per line makes one log event per line. The loop flushes incomplete lines.
            stream.reconfigure(line_buffering=True)
    environ = os.environ
    task_root = environ.get("LAMBDA_TASK_ROOT", "/var/task")
    sys.path[:] = search_path(sys.path, task_root, arguments[1] if len(arguments) > 1 else "")
    log = Log.from_environment()
    log.install()
    api = RuntimeApi(environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        try:
            # Objects created by imports live as long as the process. Collecting garbage during imports costs a cold
            # start 30 ms with boto3 and httpx, and traversing them later costs each full collection 18 ms.
            gc.disable()
            handler = import_handler(environ.get("_HANDLER", ""))
            gc.freeze()
            gc.enable()
        except Exception as error:  # noqa: BLE001 - any exception of the module is reported as the failed start
            report = ErrorReport.of(error)
            log.error(report)
            api.fail_init(report)
            return 1
        if environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start":
            from .snapstart import snapshot_and_restore

            snapshot_and_restore(api, log)
        Loop(handler, api, log, buffered=environ.get("AWS_SAM_LOCAL") == "true").run()
    except (RuntimeApiError, RuntimeApiLostError) as error:
        log.error(ErrorReport(type(error).__name__, str(error)))
        return 1
    except KeyboardInterrupt:
        return 130


def search_path(
    current: Sequence[str],
    task_root: str,
    bootstrap: str = "",
    exists: Callable[[str], bool] = os.path.isdir,
) -> list[str]:
    """Return `sys.path` in the managed runtime's order: the function, its layers, Python's own, the runtime's.

    Directories that do not exist are not added: each would slow down every import.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers = [f"/opt/python/lib/{version}/site-packages", "/opt/python"]
    runtime = [os.path.dirname(bootstrap)] if bootstrap else []  # noqa: PTH120 - pathlib is slow to import
    paths = [task_root, *filter(exists, layers), *current, *filter(exists, runtime)]
    return list(dict.fromkeys(paths))


def import_handler(name: str) -> Handler:
    """Import the function that `_HANDLER` names: `package/module.function` or `package.module.function`.

    Raises `HandlerError` if it does not exist. Other exceptions of the module's import propagate.
    """
    module_name, dot, function_name = name.rpartition(".")
    if not dot or not module_name or not function_name:
        raise HandlerError("Runtime.MalformedHandlerName", f"Bad handler '{name}': write it as module.function")
    module_name = module_name.replace("/", ".")
    if module_name.partition(".")[0] in sys.builtin_module_names:
        raise HandlerError(
            "Runtime.BuiltInModuleConflict", f"Cannot use built-in module {module_name} as a handler module"
        )
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise HandlerError("Runtime.ImportModuleError", f"Unable to import module '{module_name}': {error}") from error
    except SyntaxError as error:
        raise HandlerError("Runtime.UserCodeSyntaxError", f"Syntax error in module '{module_name}': {error}") from error
    handler = getattr(module, function_name, None)
    if not callable(handler):
        raise HandlerError("Runtime.HandlerNotFound", f"Handler '{function_name}' is missing on module '{module_name}'")
    return cast("Handler", handler)
