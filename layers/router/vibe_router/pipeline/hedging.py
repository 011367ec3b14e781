"""Hedged requests: the next deployment is started beside a silent one, and the first to commit answers.

    deployment 1  ├──────────── silent ────────────┤ cancelled
    deployment 2        hedge_after ├──── commits ─────────────────▶ the answer

The first attempt runs in the caller's thread, the backup in one of its own with its own connections. The loser is
cancelled: it is booked at the cost of its prompt, and never cooled for losing.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import Event, Lock, Thread

from vibe_router.core.clock import Clock
from vibe_router.core.errors import ApiError
from vibe_router.core.models import Deployment, VirtualModel
from vibe_router.core.telemetry import log_fault
from vibe_router.core.usage import MOST_TOKENS, Usage
from vibe_router.formats.interfaces import ClientRequest, WholeAnswer
from vibe_router.pipeline.attempt import AttemptServices, DeploymentAttempt
from vibe_router.pipeline.trace import AttemptTrace, BilledPart
from vibe_router.routing.chain import Candidate, Mode
from vibe_router.routing.deadline import Deadline
from vibe_router.routing.hedge import HedgeAllowance, hedge_delay
from vibe_router.routing.outcome import Attempt
from vibe_router.upstream.client import Upstream
from vibe_router.upstream.commit import OpenStream
from vibe_router.upstream.exchange import Exchange

Answer = OpenStream | WholeAnswer
OpenExchange = Callable[[Candidate, ClientRequest, AttemptTrace], Exchange | None]

__all__ = ["Backup", "HedgeBudget", "HedgedAttempt", "Hedger"]


class HedgeBudget:
    """The allowances of all models in an environment, and the connections of its backups."""

    def __init__(self, upstream: Upstream) -> None:
        self._main = upstream
        self._allowances: dict[str, HedgeAllowance] = {}
        self._spare: Upstream | None = None
        self._is_in_use = False
        self._retired: list[Upstream] = []  # in use by backups that were cancelled
        self._thread: Thread | None = None

    def earn(self, model: str, share: float) -> bool:
        """Count a request to `model`; return whether it may be hedged."""
        allowance = self._allowances.get(model, HedgeAllowance(1.0 - share)).earned(share)
        self._allowances[model] = allowance
        return allowance.permits

    def spend(self, model: str) -> None:
        """Count a hedged request to `model`."""
        self._allowances[model] = self._allowances[model].spent()

    def connections(self) -> Upstream:
        """Return connections that no earlier backup uses any more."""
        if self._spare is None:
            self._spare = self._main.sibling()
        elif self._is_in_use:  # by a cancelled backup, which closes them
            self._retired.append(self._spare)
            self._spare = self._main.sibling()
        self._is_in_use = True
        self._spare.rearm()
        return self._spare

    def release(self, upstream: Upstream) -> None:
        """Take back the connections of a backup that has ended."""
        if upstream is self._spare:
            self._is_in_use = False
        else:
            self._retired.remove(upstream)
            upstream.close()

    def rearm(self) -> None:
        """Let the environment's own connections be used again, after an attempt on them was cancelled."""
        self._main.rearm()

    def close(self) -> None:
        """Close every connection of backups."""
        if self._thread:
            self._thread.join()
        if self._spare:
            self._spare.close()

    def run(self, work: Callable[[], None]) -> None:
        """Run `work` in a thread."""
        self._thread = Thread(target=work, name="hedge", daemon=True)
        self._thread.start()


@dataclass(slots=True)
class Backup:
    """The attempt at the next deployment, with its own trace."""

    attempt: DeploymentAttempt
    deployment: Deployment
    trace: AttemptTrace


class HedgedAttempt:
    """Runs one attempt, and a backup if it is silent for `delay` seconds. Run it once.

    `open_backup` opens the backup on connections of its own; it returns None if there is nothing to open. Afterwards
    `backup` is the one that ran, and `loser` the deployment that was cancelled.
    """

    def __init__(
        self,
        budget: HedgeBudget,
        model: str,
        delay: float,
        clock: Clock,
        open_backup: Callable[[Upstream], Backup | None],
    ) -> None:
        self.backup: Backup | None = None
        self.loser: Deployment | None = None
        self._budget = budget
        self._model = model
        self._delay = delay
        self._clock = clock
        self._open_backup = open_backup
        self._lock = Lock()
        self._no_start = Event()  # the first attempt has ended: no backup is started any more
        self._ended = Event()  # the backup has ended
        self._first: DeploymentAttempt | None = None
        self._has_first_won = False
        self._answer: Answer | None = None  # of the backup, if it won

    def run(
        self, attempt: DeploymentAttempt, deployment: Deployment, trace: AttemptTrace
    ) -> tuple[Deployment, Answer] | None:
        """Return the deployment that committed first, and its answer; None if neither did.

        Raises RequestRejectedError.
        """
        self._first = attempt
        began = self._clock.monotonic()
        self._budget.run(self._wait_and_run)
        try:
            answer = attempt.run()
        except BaseException:
            self._end_first(answered=True)
            self._drop_backup(trace)
            raise
        if self._end_first(answered=answer is not None) and answer is not None:
            self._drop_backup(trace)
            return deployment, answer
        backup = self.backup
        if backup is None:
            return None
        self._ended.wait()
        self._budget.rearm()
        if self._answer is not None and (answer is not None or attempt.is_cancelled()):
            if answer is not None:  # both committed within a moment
                _close(answer)
                trace.attempts.pop()
            self.loser = deployment
            trace.attempts.append(_cancelled(deployment, began, self._clock.monotonic()))
        trace.attempts += backup.trace.attempts
        trace.skipped += backup.trace.skipped
        if self._answer is None:
            return None
        trace.served_by, trace.provider_format = backup.trace.served_by, backup.trace.provider_format
        trace.reasoning_left_out = backup.trace.reasoning_left_out
        trace.dropped_params = backup.trace.dropped_params
        return backup.deployment, self._answer

    def _wait_and_run(self) -> None:
        """Wait, and run the backup unless the first attempt has ended; in a thread of its own."""
        try:
            if not self._no_start.wait(self._delay):
                upstream = self._budget.connections()
                try:
                    if backup := self._open_backup(upstream):
                        self._race(backup)
                finally:
                    self._budget.release(upstream)
        except Exception as error:  # noqa: BLE001 - the first attempt goes on without a backup
            log_fault("hedge", error)
        finally:
            self._ended.set()

    def _race(self, backup: Backup) -> None:
        with self._lock:
            if self._no_start.is_set():
                return
            self.backup = backup
            self._budget.spend(self._model)
        try:
            answer = backup.attempt.run()
        except ApiError:  # the provider rejected the request itself; the first attempt may still answer
            return
        with self._lock:
            is_late = self._has_first_won
            if not is_late:
                self._answer = answer
        if answer is None:
            return
        if is_late:
            _close(answer)
        elif self._first:
            self._first.cancel()

    def _end_first(self, *, answered: bool) -> bool:
        """Record that the first attempt has ended; return whether it has won."""
        with self._lock:
            self._no_start.set()
            self._has_first_won = answered and self._answer is None
            return self._has_first_won

    def _drop_backup(self, trace: AttemptTrace) -> None:
        """Cancel the backup, if one was started, and record it."""
        backup = self.backup
        if backup is None:
            return
        if self._answer is not None:  # the request was rejected there a moment after the backup had committed
            self._ended.wait()
            self._budget.rearm()
            _close(self._answer)
        failed = [each for each in backup.trace.attempts if each.classification]
        if not self._ended.is_set():
            backup.attempt.cancel()
            self.loser = backup.deployment
            failed.append(_cancelled(backup.deployment, backup.attempt.started, self._clock.monotonic()))
        trace.attempts += failed


class Hedger:
    """Hedges one attempt. `open_` opens exchanges, as `FailoverExecutor` does."""

    def __init__(self, budget: HedgeBudget, services: AttemptServices, open_: OpenExchange) -> None:
        self._budget = budget
        self._services = services
        self._open = open_

    def run(
        self,
        model: VirtualModel,
        attempt: DeploymentAttempt,
        candidate: Candidate,
        waiting: deque[Candidate],
        request: ClientRequest,
        deadline: Deadline,
        trace: AttemptTrace,
    ) -> tuple[Deployment, Answer] | None:
        """Run `attempt`, and beside it the first of `waiting` if it stays silent, which is then removed from these.

        Returns the deployment that committed first and its answer, None if neither did. Raises RequestRejectedError.
        """
        deployment, policy = candidate.deployment, candidate.deployment.policy
        delay = hedge_delay(policy.hedge_after, self._services.first_tokens.of(deployment.id))
        permitted = self._budget.earn(model.name, policy.hedge_share)
        if delay is None or not permitted or not waiting or waiting[0].mode is not Mode.NORMAL:
            answer = attempt.run()
            return None if answer is None else (deployment, answer)

        def open_backup(upstream: Upstream) -> Backup | None:
            other, own = waiting[0], AttemptTrace(origin=trace.origin, client_headers=trace.client_headers)
            if (exchange := self._open(other, request, own)) is None:
                return None
            services = replace(self._services, upstream=upstream)
            backup = DeploymentAttempt(
                services, other, exchange, deadline, own, stream=True, remaining=len(waiting) - 1
            )
            return Backup(backup, other.deployment, own)

        race = HedgedAttempt(self._budget, model.name, delay, self._services.clock, open_backup)
        try:
            return race.run(attempt, deployment, trace)
        finally:
            if race.backup:
                waiting.popleft()
            if race.loser:
                prompt = min(request.prompt_tokens_estimate(), MOST_TOKENS)
                trace.losers.append(BilledPart(race.loser, Usage(prompt, 0)))


def _cancelled(deployment: Deployment, started: float, ended: float) -> Attempt:
    ms = round((ended - started) * 1000, 3)
    return Attempt(deployment.id, None, None, ms, is_cancelled=True, started=started)


def _close(answer: Answer) -> None:
    if isinstance(answer, OpenStream):
        answer.reply.close()
