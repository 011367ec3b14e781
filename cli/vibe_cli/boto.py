"""boto3 for commands: the user's profiles, single sign-on and proxies."""

import base64
import logging
from collections.abc import Mapping
from functools import cache
from typing import Any

from boto3.session import Session
from botocore import xform_name
from botocore.client import BaseClient
from botocore.exceptions import ClientError as BotoClientError

from vibe_router.store.aws_errors import ClientError

__all__ = ["BotoApi", "session"]


@cache
def session() -> Session:
    """Return the shared session, so that AWS's endpoints are loaded once."""
    # At DEBUG botocore logs the bodies of answers, and one of them holds every key.
    logging.getLogger("botocore").setLevel(logging.WARNING)
    return Session()


class BotoApi:
    """An `AwsApi` over a client of boto3, for stores in commands. Errors without a response stay botocore's."""

    def __init__(self, client: BaseClient) -> None:
        self._client = client

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call an operation. Raises ClientError and BotoCoreError."""
        try:
            answer: dict[str, Any] = getattr(self._client, xform_name(operation))(**parameters)
        except BotoClientError as error:
            raise ClientError(error.response, operation) from error
        return {name: _as_json(value) for name, value in answer.items()}

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _as_json(value: Any) -> Any:
    """Return a value of boto3's as it is in JSON: binary is base64."""
    match value:
        case dict():
            return {name: _as_json(each) for name, each in value.items()}
        case list():
            return [_as_json(each) for each in value]
        case bytes():
            return base64.b64encode(value).decode()
    return value
