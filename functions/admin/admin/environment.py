"""The clients and stores that one Lambda environment keeps for all its requests. It serves one at a time."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from vibe_router.access.oidc import OidcError, OidcSettings, read_settings
from vibe_router.access.roles import RolesError
from vibe_router.access.sessions import SessionKey, equals_in_constant_time
from vibe_router.core.clock import Clock
from vibe_router.core.errors import unavailable
from vibe_router.core.secret_names import MASTER_KEY, METRICS_KEY, OIDC, SECRETS_SET, names_set
from vibe_router.core.tls import trusted_ssl_context
from vibe_router.store.alerts import AlertStore
from vibe_router.store.audit import AuditStore
from vibe_router.store.aws import is_local
from vibe_router.store.complexity import ComplexityStore
from vibe_router.store.conversations import ConversationStore
from vibe_router.store.dynamodb import dynamodb_client
from vibe_router.store.history import HistoryStore
from vibe_router.store.key_admin import KeyAdmin
from vibe_router.store.ledger_admin import LedgerAdmin
from vibe_router.store.lifetime_totals import LifetimeTotals
from vibe_router.store.observations import ObservationStore
from vibe_router.store.routes import RoutesStore
from vibe_router.store.secret_writer import SecretWriter
from vibe_router.store.secrets import MIN_MASTER_KEY, Secrets, SecretsUnavailableError, is_weak, secrets_client
from vibe_router.store.sessions import SessionStore
from vibe_router.store.sign_ins import SignInStore
from vibe_router.store.state import StateStore
from vibe_router.store.usage import UsageReader

if TYPE_CHECKING:
    from admin.oidc_client import OidcClient
    from vibe_router.store.archive import ArchiveStore

__all__ = ["Environment", "Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """The function's environment variables, as template.yaml sets them."""

    secret_id: str
    keys_table: str
    ledger_table: str
    routes_table: str
    history_table: str
    state_table: str
    usage_table: str
    audit_table: str
    alerts_table: str
    is_local: bool = False
    archive_bucket: str = ""
    provider_secret_id: str | None = None  # of the function that may write providers' keys, and of no other

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """Read them from `environ`. Raises KeyError with the name of a missing one."""
        return cls(
            secret_id=environ["SECRET_ID"],
            keys_table=environ["KEYS_TABLE"],
            ledger_table=environ["LEDGER_TABLE"],
            routes_table=environ["ROUTES_TABLE"],
            history_table=environ["HISTORY_TABLE"],
            state_table=environ["STATE_TABLE"],
            usage_table=environ["USAGE_TABLE"],
            audit_table=environ["AUDIT_TABLE"],
            alerts_table=environ["ALERTS_TABLE"],
            is_local=is_local(environ),
            archive_bucket=environ.get("ARCHIVE_BUCKET", ""),
            provider_secret_id=environ.get("PROVIDER_SECRET_ID"),
        )


class Environment:
    """The collaborators of all calls. Nothing connects before the first one."""

    def __init__(self, settings: Settings, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.is_local = settings.is_local
        dynamodb = self.dynamodb = dynamodb_client(self.clock, trusted_ssl_context)
        self.keys = KeyAdmin(dynamodb, settings.keys_table, self.clock)
        self.ledgers = LedgerAdmin(dynamodb, settings.ledger_table)
        self.sign_ins = SignInStore(dynamodb, settings.ledger_table, self.clock)
        self.sessions = SessionStore(dynamodb, settings.ledger_table, self.clock)
        self.routes = RoutesStore(dynamodb, settings.routes_table)
        self.history = HistoryStore(dynamodb, settings.history_table)
        self.audit = AuditStore(dynamodb, settings.audit_table)
        self.alerts = AlertStore(dynamodb, settings.alerts_table, self.clock)
        self.complexity = ComplexityStore(dynamodb, settings.routes_table, settings.usage_table, self.clock)
        self.states = StateStore(dynamodb, settings.state_table, self.clock)
        self.observations = ObservationStore(dynamodb, settings.state_table, self.clock)
        self.conversations = ConversationStore(dynamodb, settings.state_table, self.clock)
        self.usage = UsageReader(dynamodb, settings.usage_table)
        self.lifetimes = LifetimeTotals(dynamodb, settings.usage_table, settings.state_table, self.clock)
        client = secrets_client(self.clock, trusted_ssl_context)
        self.secrets = Secrets(client, settings.secret_id, self.clock)
        self.secret_writer = (
            SecretWriter(client, settings.provider_secret_id, settings.secret_id)
            if settings.provider_secret_id
            else None
        )
        self._archive_bucket = settings.archive_bucket

    @cached_property
    def archive(self) -> "ArchiveStore | None":
        """The archive of requests; imported on first use. None without a bucket."""
        if not self._archive_bucket:
            return None
        from vibe_router.store.archive import ArchiveStore
        from vibe_router.store.objects import Bucket

        return ArchiveStore(Bucket(self._archive_bucket, self.clock, tls=trusted_ssl_context))

    def master_key(self) -> str:
        """Return the master key. Raises ApiError (503)."""
        key = self._secret(MASTER_KEY)
        if not key:
            raise unavailable("The router has no master key. Set MASTER_KEY in its secret.")
        if is_weak(key) and not self.is_local:
            message = f"The router's master key is shorter than {MIN_MASTER_KEY} characters. Set a longer MASTER_KEY."
            raise unavailable(message)
        return key

    def is_master_key(self, shown: str) -> bool:
        """Return whether `shown` is the master key, compared in constant time. Raises ApiError (503)."""
        return equals_in_constant_time(shown, self.master_key())

    def is_metrics_key(self, shown: str) -> bool:
        """Return whether `shown` is the scraper's key, compared in constant time. Raises ApiError (503)."""
        key = self._secret(METRICS_KEY)
        if not key:
            return False
        if is_weak(key) and not self.is_local:
            message = (
                f"METRICS_KEY in the router's secret is shorter than {MIN_MASTER_KEY} characters. Set a longer one."
            )
            raise unavailable(message)
        return equals_in_constant_time(shown, key)

    def sign_in(self) -> tuple[str, str]:
        """Return the page's username and password. Raises ApiError (503)."""
        return self._secret("UI_USERNAME") or "admin", self._secret("UI_PASSWORD") or self.master_key()

    def oidc_settings(self) -> OidcSettings | None:
        """Return the OpenID Connect provider of the page, None if there is none. Raises ApiError (503)."""
        try:
            return read_settings({name: self._secret(name) for name in OIDC})
        except (OidcError, RolesError) as error:
            raise unavailable(f"{error}. Correct it in the router's secret.") from None

    @cached_property
    def oidc(self) -> "OidcClient":
        """The client of that provider; imported on first use."""
        from admin.oidc_client import OidcClient

        return OidcClient(self.clock)

    def session_key(self) -> SessionKey:
        """Return the key that signs sessions. A change of the roles ends them, as one of the password does.

        Raises ApiError (503).
        """
        return SessionKey(self.master_key(), self.sign_in()[1], self._secret("OIDC_ROLES") or "")

    def secrets_set(self) -> list[str] | None:
        """Return the names of the providers' secrets that have a value, or None if unknown. Raises ApiError (503)."""
        return names_set(self._secret(SECRETS_SET))

    def _secret(self, name: str) -> str | None:
        try:
            return self.secrets.get(name)
        except SecretsUnavailableError:
            raise unavailable("The keys cannot be read right now.") from None
