"""The clients and caches that one Lambda environment keeps for all its requests. It serves one at a time."""

import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vibe_router.core.clock import Clock
from vibe_router.core.errors import unavailable
from vibe_router.core.models import Catalogue
from vibe_router.core.secret_names import OIDC_TOKENS, OTLP_ENDPOINT
from vibe_router.core.tls import trusted_ssl_context
from vibe_router.pipeline.admission import Admission
from vibe_router.pipeline.failover import FailoverExecutor
from vibe_router.pipeline.first_tokens import FirstTokenTimes
from vibe_router.store.aws import is_local
from vibe_router.store.circuit_breaker import CircuitBreaker
from vibe_router.store.dynamodb import dynamodb_client
from vibe_router.store.keys import KeyDirectory
from vibe_router.store.ledger import LedgerStore
from vibe_router.store.routes import CatalogueCache, RoutesStore, RoutesUnavailableError
from vibe_router.store.secrets import MIN_MASTER_KEY, Secrets, SecretsUnavailableError, is_weak, secrets_client
from vibe_router.store.state import StateStore
from vibe_router.store.usage import UsageRecorder, UsageWriter
from vibe_router.upstream.client import Upstream

if TYPE_CHECKING:
    from vibe_router.core.models import AlertPolicy
    from vibe_router.hooks.runner import HookRunner
    from vibe_router.pipeline.alert_observer import AlertObserver
    from vibe_router.pipeline.answer_cache import AnswerCache
    from vibe_router.pipeline.archiver import RequestArchiver
    from vibe_router.pipeline.chain_memory import ChainMemory
    from vibe_router.pipeline.complexity import ComplexityRouter
    from vibe_router.pipeline.dual_runs import DualRunner
    from vibe_router.pipeline.evidence import EvidenceRecorder
    from vibe_router.pipeline.guardrails import Guardrails
    from vibe_router.pipeline.observers import RequestObserver
    from vibe_router.pipeline.span_exporter import SpanExporter
    from vibe_router.pipeline.stored_responses import ResponseStorage
    from vibe_router.pipeline.token_callers import TokenCallers
    from vibe_router.pipeline.token_counter import TokenCounter
    from vibe_router.store.alerts import AlertRaiser
    from vibe_router.store.complexity import ComplexityStore
    from vibe_router.store.observations import ObservationStore

__all__ = ["Environment", "Settings"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment variables, as template.yaml sets them."""

    routes_table: str
    state_table: str
    keys_table: str
    ledger_table: str
    usage_table: str
    cache_table: str
    usage_days: int
    responses_table: str
    response_days: int
    secret_id: str
    provider_base_urls: Mapping[str, str]
    is_local: bool = False
    hooks_module: str = ""
    alerts_table: str = ""
    archive_bucket: str = ""

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read them from `environ`. Raises KeyError with the name of a missing one."""
        return cls(
            routes_table=environ["ROUTES_TABLE"],
            state_table=environ["STATE_TABLE"],
            keys_table=environ["KEYS_TABLE"],
            ledger_table=environ["LEDGER_TABLE"],
            usage_table=environ["USAGE_TABLE"],
            usage_days=int(environ.get("USAGE_DAYS") or 90),
            cache_table=environ["CACHE_TABLE"],
            responses_table=environ["RESPONSES_TABLE"],
            response_days=int(environ.get("RESPONSE_DAYS") or 0),
            secret_id=environ["SECRET_ID"],
            provider_base_urls=json.loads(environ.get("PROVIDER_BASE_URLS") or "{}"),
            is_local=is_local(environ),
            hooks_module=environ.get("HOOKS_MODULE", ""),
            alerts_table=environ.get("ALERTS_TABLE", ""),
            archive_bucket=environ.get("ARCHIVE_BUCKET", ""),
        )


class Environment:
    """The collaborators of all requests. Nothing connects before the first one, so a snapshot can be taken of it."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self._settings = settings
        dynamodb = self._dynamodb = dynamodb_client(self.clock, trusted_ssl_context)
        routes = self._routes = RoutesStore(dynamodb, settings.routes_table)
        breaker = self._breaker = CircuitBreaker("DynamoDB", self.clock)
        self.catalogue = CatalogueCache(routes.read, self.clock, base_urls=settings.provider_base_urls, service=breaker)
        self.states = StateStore(dynamodb, settings.state_table, self.clock, service=breaker)
        book = UsageWriter(dynamodb, settings.usage_table, days=settings.usage_days)
        self.usage_recorder = UsageRecorder(book, self.clock, service=breaker)
        self.secrets = Secrets(secrets_client(self.clock, trusted_ssl_context), settings.secret_id, self.clock)
        if not settings.is_local:
            # Lambda's init phase has a whole CPU, the first request may not; and a snapshot keeps the result.
            trusted_ssl_context()
        self.ledgers = LedgerStore(dynamodb, settings.ledger_table, self.clock, service=breaker, renews=True)
        self.keys = KeyDirectory(
            dynamodb,
            settings.keys_table,
            settings.ledger_table,
            self.clock,
            on_ledger_read=self.ledgers.accept,
            service=breaker,
        )
        self.admission = Admission(self.master_key, self.keys, self.ledgers, self.clock, self._token_lookup)
        self._tokens: TokenCallers | None = None
        self.upstream = Upstream()
        self.hooks = self._open_hooks(settings.hooks_module)
        self.failover = FailoverExecutor(
            self.states, self.secrets, self.upstream, self.clock, self._open_memory, self.hooks
        )
        self._span_exporter: SpanExporter | None = None

    def _open_hooks(self, module: str) -> "HookRunner | None":
        """Return the runner of the operator's hooks, if there are any."""
        if not module:
            return None
        from vibe_router.hooks.runner import HookRunner

        return HookRunner.of_module(module)

    def _open_memory(self, times: FirstTokenTimes) -> "ChainMemory":
        """Return the memory of chains that all environments share; imported on first use, as few requests need it."""
        from vibe_router.pipeline.chain_memory import ChainMemory
        from vibe_router.store.conversations import ConversationStore

        conversations = ConversationStore(self._dynamodb, self._settings.state_table, self.clock, service=self._breaker)
        return ChainMemory(conversations, self.observations, times, self.clock)

    @cached_property
    def observations(self) -> "ObservationStore":
        """The observations of deployments that all environments share; imported on first use."""
        from vibe_router.store.observations import ObservationStore

        return ObservationStore(self._dynamodb, self._settings.state_table, self.clock, service=self._breaker)

    @cached_property
    def token_counter(self) -> "TokenCounter":
        """The token counter; imported on first use, since few callers need it."""
        from vibe_router.pipeline.token_counter import TokenCounter

        return TokenCounter(self.states, self.secrets, self.upstream, self.clock)

    @cached_property
    def responses(self) -> "ResponseStorage":
        """The stored responses; imported on first use, since only callers of Responses need them."""
        from vibe_router.pipeline.stored_responses import ResponseStorage
        from vibe_router.store.responses import ResponseStore

        settings = self._settings
        return ResponseStorage(
            ResponseStore(self._dynamodb, settings.responses_table, self.clock, days=settings.response_days)
        )

    @cached_property
    def answer_cache(self) -> "AnswerCache":
        """The cache of answers; imported with the first request of a model or key that has one."""
        from vibe_router.pipeline.answer_cache import AnswerCache
        from vibe_router.store.answers import AnswerStore

        store = AnswerStore(self._dynamodb, self._settings.cache_table, self.clock, service=self._breaker)
        # A new version of the function may have other hooks, which change what providers are sent.
        variant = os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", "") if self.hooks else ""
        return AnswerCache(store, self.master_key, self.clock, variant)

    @cached_property
    def archiver(self) -> "RequestArchiver | None":
        """The archive; imported with the first request of a key that is archived. None without a bucket."""
        if not (name := self._settings.archive_bucket):
            return None
        from vibe_router.pipeline.archiver import RequestArchiver
        from vibe_router.store.archive import ArchiveStore
        from vibe_router.store.objects import Bucket

        return RequestArchiver(ArchiveStore(Bucket(name, self.clock, tls=trusted_ssl_context)), self.clock)

    @property
    def observers(self) -> "tuple[RequestObserver, ...]":
        """The observers that the secret configures, each imported only if it does."""
        observers: list[RequestObserver] = []
        if self.secrets.cached(OTLP_ENDPOINT) is not None:
            if self._span_exporter is None:
                from vibe_router.pipeline.span_exporter import SpanExporter

                self._span_exporter = SpanExporter(self.secrets.cached, Upstream(), self.clock)
            observers.append(self._span_exporter)
        if self.hooks and self.hooks.has("after_answer"):
            from vibe_router.pipeline.hook_calls import HookObserver

            observers.append(HookObserver(self.hooks))
        if self._alert_policy() is not None:
            observers.append(self._alert_observer)
        return tuple(observers)

    def _alert_policy(self) -> "AlertPolicy | None":
        """Return the alerts of the routes that are in memory; None without receivers."""
        catalogue = self.catalogue.cached
        return catalogue.alerts if catalogue else None

    @cached_property
    def _alert_observer(self) -> "AlertObserver":
        """The observer that raises alerts; imported with the first answer once there are receivers."""
        from vibe_router.pipeline.alert_observer import AlertObserver

        return AlertObserver(self._alert_policy, self._alert_raiser, self.states, self.ledgers, self.clock)

    def _report_rollback(self, model: str, number: int, reason: str) -> None:
        """Raise an alert for an automatic rollback of complexity routing, if there are receivers."""
        if self._alert_policy() is not None:
            self._alert_observer.report_rollback(model, number, reason)

    @cached_property
    def _alert_raiser(self) -> "AlertRaiser":
        from vibe_router.store.alerts import AlertRaiser, AlertStore

        store = AlertStore(self._dynamodb, self._settings.alerts_table, self.clock)
        return AlertRaiser(store, self.clock, service=self._breaker)

    @cached_property
    def complexity(self) -> "ComplexityRouter":
        """Routing by complexity; imported with the first request for a model that is routed."""
        from vibe_router.pipeline.complexity import ComplexityRouter

        return ComplexityRouter(lambda: self._routes.complexity)

    def _token_lookup(self) -> "TokenCallers | None":
        """Return what finds the callers of the provider's tokens, if the secret accepts them; imported only then."""
        if self.secrets.cached(OIDC_TOKENS) is None:
            return None
        if self._tokens is None:
            from vibe_router.pipeline.token_callers import TokenCallers

            self._tokens = TokenCallers(self.secrets.cached, self.keys, self.clock)
        return self._tokens

    @cached_property
    def guardrails(self) -> "Guardrails":
        """Guardrails of Amazon Bedrock; imported with the first guard that is one."""
        from vibe_router.pipeline.guardrails import Guardrails

        return Guardrails(self.upstream, self.clock)

    def prefetch(self) -> None:
        """Start to read stale routes and states, so that after a rest all reads take one round trip together."""
        if not self.catalogue.is_fresh:
            self.states.prefetch()
            self.catalogue.prefetch()

    @cached_property
    def evidence(self) -> "EvidenceRecorder":
        """Evidence on complexity routing; imported with the first routed answer or feedback."""
        from vibe_router.pipeline.evidence import EvidenceRecorder

        return EvidenceRecorder(
            self._complexity_store,
            lambda: self._routes.complexity,
            self._routes.accept_complexity,
            self.clock,
            self._report_rollback,
        )

    @cached_property
    def dual_runs(self) -> "DualRunner":
        """Dual runs of routed requests; imported with the first answer of a model that has them."""
        import random

        from vibe_router.pipeline.dual_runs import DualRunner

        chance = random.SystemRandom()
        return DualRunner(self._complexity_store, self.failover, self.usage_recorder, self.clock, chance)

    @cached_property
    def _complexity_store(self) -> "ComplexityStore":
        from vibe_router.store.complexity import ComplexityStore

        settings = self._settings
        return ComplexityStore(self._dynamodb, settings.routes_table, settings.usage_table, self.clock)

    def routes(self) -> Catalogue:
        """Return the routing table. Raises ApiError (503)."""
        try:
            return self.catalogue.get()
        except RoutesUnavailableError:
            raise unavailable("The routes cannot be read right now.") from None

    def routes_written_at(self) -> int:
        """Return when the routes were last written (epoch seconds); now for a table that does not record it."""
        return self._routes.written_at or int(self.clock.now())

    def master_key(self) -> str | None:
        """Return the master key, None when there is none, or on AWS none that is safe. Raises ApiError (503)."""
        try:
            key = self.secrets.get("MASTER_KEY")
        except SecretsUnavailableError:
            raise unavailable("The keys cannot be read right now.") from None
        if key and is_weak(key) and not self._settings.is_local:
            _log.error("the master key is shorter than %d characters, so it is rejected", MIN_MASTER_KEY)
            return None
        return key

    def close(self) -> None:
        """Close every connection."""
        self.upstream.close()
        self._dynamodb.close()
        self.secrets.client.close()
        self.failover.close()
