"""Lambda SnapStart: runs the hooks before the snapshot is taken and after it is restored.

https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html: hooks before the snapshot run in the
reverse order of their registration, hooks after the restore in its order.
"""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from .client import RuntimeApi
from .errors import ErrorReport
from .logs import Log

__all__ = ["snapshot_and_restore"]

# The managed runtime's names and exit codes for the two failures.
_BEFORE, _BEFORE_EXIT = "Runtime.BeforeSnapshotError", 64
_AFTER, _AFTER_EXIT = "Runtime.AfterRestoreError", 65


_Hook = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


def snapshot_and_restore(api: RuntimeApi, log: Log) -> None:
    """Let Lambda take the snapshot, and return in a restored environment. Raises `SystemExit` if a hook fails."""
    before: list[_Hook] = []
    after: list[_Hook] = []
    try:
        # AWS's library registers the hooks. It is part of the managed runtime: a function without it has no hooks.
        hooks = importlib.import_module("snapshot_restore_py")
    except ImportError:
        pass
    else:
        before, after = hooks.get_before_snapshot(), hooks.get_after_restore()
    try:
        while before:
            function, arguments, named = before.pop()
            function(*arguments, **named)
        api.restore_next()
    except Exception as error:  # noqa: BLE001 - any exception of a hook ends the start
        report = ErrorReport.of(error)
        log.error(report)
        api.fail_init(report._replace(error_type=_BEFORE))
        sys.exit(_BEFORE_EXIT)
    if "random" in sys.modules:
        # Otherwise every restored environment would draw the same numbers.
        sys.modules["random"].seed()
    try:
        for function, arguments, named in after:
            function(*arguments, **named)
    except Exception as error:  # noqa: BLE001 - likewise
        report = ErrorReport.of(error)
        log.error(report)
        api.fail_restore(report._replace(error_type=_AFTER))
        sys.exit(_AFTER_EXIT)
