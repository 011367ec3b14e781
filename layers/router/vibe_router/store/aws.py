"""The boto3 session that all clients share, so that AWS's endpoints are loaded once; and its signatures."""

import logging
from collections.abc import Mapping
from functools import cache

from boto3.session import Session
from botocore.exceptions import NoCredentialsError

from vibe_router.store.credentials import Credentials
from vibe_router.store.signature import signed_headers

__all__ = ["is_local", "session", "signed"]


def is_local(environ: Mapping[str, str]) -> bool:
    """Return whether AWS is emulated on this machine: its endpoint is set, and without TLS."""
    return environ.get("AWS_ENDPOINT_URL", "").startswith("http://")


@cache
def session() -> Session:
    """Return the shared session."""
    # At DEBUG botocore logs the bodies of answers, and one of them holds every key.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Session()


def signed(service: str, region: str, url: str, headers: Mapping[str, str], body: bytes, now: float) -> dict[str, str]:
    """Return the headers of a POST to `url` with its signature (Signature Version 4). Raises BotoCoreError.

    `url` is encoded and has no query.
    """
    if (found := session().get_credentials()) is None:
        raise NoCredentialsError
    frozen = found.get_frozen_credentials()
    credentials = Credentials(str(frozen.access_key), str(frozen.secret_key), frozen.token)
    return signed_headers(credentials, service, region, url, headers, body, now)
