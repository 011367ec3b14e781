"""Runs the functions of a module of hooks, each within its time limit.

A function that fails or takes too long costs no more than its limit, and what it did is discarded: it works on copies.
Its error is logged by the names of the hook and of the exception's class, as its text may quote a prompt.
"""

import copy
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from threading import Thread
from types import ModuleType
from typing import Any, Literal, TypeVar

from vibe_router.core.errors import ApiError
from vibe_router.core.telemetry import logger
from vibe_router.hooks import HookAttempt, HookRequest, RejectedError, SkippedError

__all__ = ["HookRunner", "Hooks", "hooks_of"]

Hook = Literal["before_request", "before_attempt", "after_answer"]
OnError = Literal["reject", "skip", "continue"]

_NAMES: tuple[Hook, ...] = ("before_request", "before_attempt", "after_answer")
_ON_ERROR: Mapping[str, OnError] = {"before_request": "reject", "before_attempt": "skip", "after_answer": "continue"}
_SECONDS = 1.0
_T = TypeVar("_T", HookRequest, HookAttempt)


@dataclass(frozen=True, slots=True)
class Hooks:
    """The functions of a module by name, what to do when one fails, and their limits in seconds."""

    functions: Mapping[str, Callable[[Any], object]]
    on_error: Mapping[str, OnError] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


def hooks_of(module: ModuleType | object) -> Hooks:
    """Return the hooks that `module` defines. Raises ValueError for one that is no function, or a wrong setting."""
    functions: dict[str, Callable[[Any], object]] = {
        name: getattr(module, name) for name in _NAMES if hasattr(module, name)
    }
    for name, function in functions.items():
        if not callable(function):
            raise ValueError(f"{name} is not a function")
    on_error, seconds = getattr(module, "on_error", {}), getattr(module, "seconds", {})
    for name, value in on_error.items():
        if name not in _NAMES or value not in ("reject", "skip", "continue"):
            raise ValueError("on_error must map a hook to reject, skip or continue")
    for name, value in seconds.items():
        if name not in _NAMES or not isinstance(value, int | float) or not 0 < value <= 60:
            raise ValueError("seconds must map a hook to a number up to 60")
    return Hooks(functions, on_error, seconds)


class HookRunner:
    """Runs the hooks of a module, which is imported on first use."""

    def __init__(self, load: Callable[[], Hooks]) -> None:
        self._load = load
        self._hooks: Hooks | None = None

    @classmethod
    def of_module(cls, name: str) -> "HookRunner":
        """Return the runner of the module called `name`."""
        return cls(lambda: hooks_of(import_module(name)))

    def has(self, name: Hook) -> bool:
        """Return whether the hook `name` is defined. Raises ApiError (500) if the module cannot be loaded."""
        return name in self._loaded().functions

    def before_request(self, request: HookRequest) -> HookRequest:
        """Return what the hook makes of `request`; the same object if it changes nothing. Raises ApiError."""
        try:
            return self._changed("before_request", request)
        except RejectedError as error:
            raise ApiError(error.status, error.message, code=error.code) from None
        except SkippedError:
            return request

    def before_attempt(self, attempt: HookAttempt) -> HookAttempt:
        """Return what the hook makes of `attempt`. Raises ApiError (400) if it skips the deployment."""
        try:
            return self._changed("before_attempt", attempt)
        except (RejectedError, SkippedError) as error:
            raise ApiError(400, f"A hook skipped {attempt.deployment}: {error}", code="skipped_by_hook") from None

    def after_answer(self, record: dict[str, Any]) -> None:
        """Hand the record of a request to the hook."""
        hooks = self._loaded()
        if function := hooks.functions.get("after_answer"):
            with suppress(RejectedError, SkippedError):  # there is nothing left to reject
                self._run(hooks, "after_answer", function, record)

    def _changed(self, name: Hook, given: _T) -> _T:
        hooks = self._loaded()
        function = hooks.functions.get(name)
        if function is None:
            return given
        own = copy.deepcopy(given)
        return own if self._run(hooks, name, function, own) and own != given else given

    def _run(self, hooks: Hooks, name: Hook, function: Callable[[Any], object], argument: object) -> bool:
        """Run `function`; return whether it succeeded. Raises what it raises on purpose, and ApiError (500)."""
        raised: list[BaseException] = []

        def call() -> None:
            try:
                function(argument)
            except BaseException as error:  # noqa: BLE001 - handed on to the thread that waits
                raised.append(error)

        seconds = hooks.seconds.get(name, _SECONDS)
        thread = Thread(target=call, daemon=True, name=f"hook {name}")
        thread.start()
        thread.join(seconds)
        if not thread.is_alive() and not raised:
            return True
        error = raised[0] if raised else TimeoutError()
        if isinstance(error, RejectedError | SkippedError):
            raise error
        on_error = hooks.on_error.get(name, _ON_ERROR[name])
        logger.error("HOOK FAILED", extra={"hook": name, "fault": type(error).__name__, "on_error": on_error})
        if on_error == "continue":
            return False
        if on_error == "skip":
            raise SkippedError(f"the hook {name} failed")
        raise ApiError(500, f"The router's hook {name} failed. Its operator finds the reason in the log.",
                       type="server_error", code="hook_failed")  # fmt: skip

    def _loaded(self) -> Hooks:
        if self._hooks is None:
            try:
                self._hooks = self._load()
            except Exception as error:  # noqa: BLE001 - a module of the operator's, which may fail in any way
                logger.error("HOOKS NOT LOADED", extra={"fault": type(error).__name__, "reason": str(error)[:300]})
                raise ApiError(
                    500, "The router's hooks cannot be loaded. Its operator finds the reason in the log.",
                    type="server_error", code="hook_failed",
                ) from None  # fmt: skip
        return self._hooks
