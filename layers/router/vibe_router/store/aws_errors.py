"""The errors of calls to AWS, named and shaped as botocore's.

AwsError                         a call to AWS failed
├─ ClientError                   AWS answered with an error
└─ NoResponseError               there was no response
   ├─ NoCredentialsError         there are no credentials to sign with
   ├─ CredentialRetrievalError   the credentials' endpoint did not answer with credentials
   ├─ NoRegionError              no region is set
   ├─ EndpointConnectionError    no connection was made
   ├─ ConnectTimeoutError        no connection was made in time
   ├─ ReadTimeoutError           the server fell silent
   └─ ConnectionClosedError      the connection broke, or what it carried was no response of AWS's
"""

from collections.abc import Mapping
from typing import Any

__all__ = [
    "AwsError",
    "ClientError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "CredentialRetrievalError",
    "EndpointConnectionError",
    "NoCredentialsError",
    "NoRegionError",
    "NoResponseError",
    "ReadTimeoutError",
    "error_code",
]


class AwsError(Exception):
    """A call to AWS failed."""


class ClientError(AwsError):
    """AWS answered with an error.

    `response` holds `Error` (its `Code` and `Message`), `ResponseMetadata` (`HTTPStatusCode`) and the other members of
    the response, such as `Item` and `CancellationReasons`.
    """

    def __init__(self, response: Mapping[str, Any], operation_name: str) -> None:
        error = response.get("Error", {})
        text = f"An error occurred ({error.get('Code', 'Unknown')}) when calling the {operation_name} operation"
        super().__init__(f"{text}: {error.get('Message', 'Unknown')}")
        self.response = response
        self.operation_name = operation_name


class NoResponseError(AwsError):
    """There was no response."""


class NoCredentialsError(NoResponseError):
    """There are no credentials to sign with."""


class CredentialRetrievalError(NoResponseError):
    """The credentials' endpoint did not answer with credentials."""


class NoRegionError(NoResponseError):
    """No region is set."""


class EndpointConnectionError(NoResponseError):
    """No connection was made."""


class ConnectTimeoutError(NoResponseError):
    """No connection was made in time."""


class ReadTimeoutError(NoResponseError):
    """The server fell silent."""


class ConnectionClosedError(NoResponseError):
    """The connection broke, or what it carried was no response of AWS's."""


def error_code(error: Exception) -> str:
    """Return an error's name for the log, without the text that came with it."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", "ClientError"))
    return type(error).__name__
