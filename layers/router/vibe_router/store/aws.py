"""The one boto3 session: what clients share, such as AWS's list of endpoints, is loaded once. And what it signs."""

import logging
from collections.abc import Mapping
from functools import cache

from boto3.session import Session
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import NoCredentialsError

__all__ = ["session", "signed"]


@cache
def session() -> Session:
    """Return it."""
    # botocore tells the bodies of its answers at DEBUG, and one of them holds every key; at INFO it tells of routine.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Session()


def signed(service: str, region: str, url: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers of a POST that is not a client's own, with the session's signature. Raises BotoCoreError."""
    credentials = session().get_credentials()
    if credentials is None:
        raise NoCredentialsError
    request = AWSRequest("POST", url, headers, body)
    SigV4Auth(credentials.get_frozen_credentials(), service, region).add_auth(request)
    return dict(request.headers.items())
