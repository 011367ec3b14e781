"""Settings of `make start`, from the environment and `.env`; the environment wins."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vibe_cli.settings import LOCAL_PORT, read_environment_of
from vibe_router.core.secret_names import METRICS_KEY, OIDC, TRACING

__all__ = ["Settings", "SettingsError", "parse_list", "read_environment", "read_settings"]


class SettingsError(Exception):
    """An invalid setting; the message names it and the allowed values."""


@dataclass(frozen=True)
class Settings:
    """The settings of one `make start`.

    `environment` has every variable, including those of `.env`, for routes.yaml's `${VAR}` and the providers' secrets.
    `master_key` is None if none is set: then one is generated and stored in the data folder. `ui_password` is None for
    the master key. `json_log` is None for the default: JSON unless standard output is a terminal.
    `cors_origins` is a comma-separated list, as the template's parameter takes it.
    """

    port: int
    routes_file: Path
    data_dir: Path
    concurrency: int
    master_key: str | None
    ui_username: str
    ui_password: str | None
    json_log: bool | None
    cors_origins: str
    allowed_hosts: frozenset[str]
    hooks_module: str
    archive_bucket: str
    environment: Mapping[str, str]

    def secret(self, names: frozenset[str], master_key: str) -> dict[str, str]:
        """Return the router's secret: the router's own entries, and those of `names` that are set."""
        optional = sorted({*names, METRICS_KEY, *TRACING, *OIDC})
        found = {name: self.environment[name] for name in optional if self.environment.get(name)}
        return found | {
            "MASTER_KEY": master_key,
            "UI_USERNAME": self.ui_username,
            "UI_PASSWORD": self.ui_password or master_key,
        }


def read_environment(checkout: Path, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of `environ` and the checkout's `.env`; empty ones count as unset."""
    return read_environment_of([checkout / ".env"], environ)


def read_settings(checkout: Path, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings of the stack in `checkout`, the base of relative paths.

    Raises `SettingsError`.
    """
    environment = read_environment(checkout, environ)
    master_key = environment.get("MASTER_KEY") or environment.get("LITELLM_MASTER_KEY")
    return Settings(
        port=_number(environment, "PORT", default=LOCAL_PORT, least=0, most=65535),
        routes_file=checkout / environment.get("ROUTES_FILE", "routes.yaml"),
        data_dir=checkout / environment.get("DATA_DIR", ".data"),
        concurrency=_number(environment, "LOCAL_CONCURRENCY", default=16, least=1, most=1000),
        master_key=master_key,
        ui_username=environment.get("UI_USERNAME", "admin"),
        ui_password=environment.get("UI_PASSWORD"),
        json_log=_log_format(environment),
        cors_origins=environment.get("CORS_ORIGINS", ""),
        allowed_hosts=parse_list(environment.get("ALLOWED_HOSTS", "")),
        hooks_module=environment.get("HOOKS_MODULE", ""),
        archive_bucket=environment.get("ARCHIVE_BUCKET", ""),
        environment=environment,
    )


def parse_list(text: str) -> frozenset[str]:
    """Return the items of a comma-separated setting, in lower case and without trailing slashes."""
    return frozenset(item.strip().rstrip("/").lower() for item in text.split(",") if item.strip())


def _log_format(environment: Mapping[str, str]) -> bool | None:
    text = environment.get("LOG_FORMAT", "").strip().lower()
    if text not in ("", "json", "text"):
        raise SettingsError(f"LOG_FORMAT is {text!r}; it must be json or text.")
    return text == "json" if text else None


def _number(environment: Mapping[str, str], name: str, *, default: int, least: int, most: int) -> int:
    text = environment.get(name, "").strip()
    if not text:
        return default
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if not least <= number <= most:
        raise SettingsError(f"{name} is {text!r}; it must be a whole number from {least} to {most}.")
    return number
