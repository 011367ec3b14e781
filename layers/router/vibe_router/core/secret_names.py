"""The router's own entries in its secret, and the part of the secret that the admin function gets.

The gateway reads the router's secret, a JSON object with everything. The admin function cannot: its own secret is a
copy of the entries it needs, and the names, without values, of the others.
"""

import json
from collections.abc import Mapping

__all__ = [
    "MASTER_KEY",
    "METRICS_KEY",
    "OIDC",
    "OIDC_CLIENT_ID",
    "OIDC_ISSUER",
    "OIDC_TOKENS",
    "OTEL_RESOURCE",
    "OTLP_ENDPOINT",
    "OTLP_HEADERS",
    "PAGE",
    "RESERVED",
    "SECRETS_SET",
    "TRACING",
    "names_set",
    "select_for_admin",
]

MASTER_KEY = "MASTER_KEY"
PAGE = ("UI_USERNAME", "UI_PASSWORD")
"""The sign-in of the admin page; by default `admin` and the master key."""
SECRETS_SET = "SECRETS_SET"
"""The entry of the admin function's secret that lists the names of the providers' secrets."""
METRICS_KEY = "METRICS_KEY"
"""The key that reads /metrics, and nothing else; without it, only the master key does."""
OTLP_ENDPOINT, OTLP_HEADERS = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
OTEL_RESOURCE = "OTEL_RESOURCE_ATTRIBUTES"
TRACING = (OTLP_ENDPOINT, OTLP_HEADERS, OTEL_RESOURCE)
"""The collector of traces, by OpenTelemetry's names; without an endpoint no trace is sent."""
OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_TOKENS = "OIDC_ISSUER", "OIDC_CLIENT_ID", "OIDC_TOKENS"
OIDC = (OIDC_ISSUER, OIDC_CLIENT_ID, "OIDC_CLIENT_SECRET", "OIDC_URL", "OIDC_ROLES", OIDC_TOKENS)
"""Sign-in to the page through an OpenID Connect provider (access.oidc), and its tokens as keys (access.tokens);
without an issuer there is neither."""
RESERVED = frozenset({MASTER_KEY, "LITELLM_MASTER_KEY", *PAGE, METRICS_KEY, SECRETS_SET, *TRACING, *OIDC})
"""Entries that must not be sent to a provider."""


def select_for_admin(values: Mapping[str, object]) -> dict[str, object]:
    """Return the admin function's secret, made from `values`, the router's: no provider's key is in it."""
    own = {name: values[name] for name in (MASTER_KEY, *PAGE, METRICS_KEY, *OIDC) if values.get(name)}
    return {**own, SECRETS_SET: json.dumps(sorted(name for name in values if name not in RESERVED and values[name]))}


def names_set(listed: str | None) -> list[str] | None:
    """Return the names in the entry SECRETS_SET, or None if there is no such entry, or an unreadable one."""
    try:
        names = json.loads(listed or "")
    except ValueError:
        return None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else None
