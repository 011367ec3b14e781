"""Objects in one S3 bucket, without boto3: written and read whole.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
"""

import re
import ssl
from collections.abc import Callable, Mapping
from hashlib import sha256
from urllib.parse import quote

from vibe_router.core.clock import Clock
from vibe_router.store.aws_client import Bounds, Service, endpoint_of, region_of, suffix_of
from vibe_router.store.aws_errors import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from vibe_router.store.connection import Connection, HttpResponse, InvalidResponseError
from vibe_router.store.credentials import CredentialSource, shared_credentials
from vibe_router.store.signature import signed_headers

__all__ = ["S3", "Bucket"]

S3 = Service("s3", "", "", "S3")
_CODE = re.compile(rb"<Code>([A-Za-z]{1,64})</Code>")


class Bucket:
    """Objects of the bucket `name`, which is in the environment's region. Each call has a connection of its own.

    `endpoint` and `region` are the environment's by default. `tls` is as of `AwsClient`.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        region: str | None = None,
        endpoint: str | None = None,
        credentials: CredentialSource | None = None,
        bounds: Bounds | None = None,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.name = name
        self._clock = clock
        self._region = region or region_of()
        self._base = _base_url(name, endpoint or endpoint_of(S3, self._region), self._region)
        self._credentials = credentials or shared_credentials()
        self._bounds = bounds or Bounds(connect=1.0, read=5.0, tries=2)
        self._tls = tls

    def put(self, key: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Write an object. A broken connection and a 5xx are tried again. Raises AwsError."""
        response = self._call("PUT", key, headers, body)
        if response.status != 200:
            raise _client_error("PutObject", response)

    def get(self, key: str) -> bytes | None:
        """Return an object's bytes, None if there is none. Raises AwsError."""
        response = self._call("GET", key, {}, b"")
        if response.status == 200:
            return response.body
        error = _client_error("GetObject", response)
        # Without the permission to list, a missing object is denied.
        if response.status == 404 or error.response["Error"]["Code"] == "AccessDenied":
            return None
        raise error

    def _call(self, method: str, key: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        tries = self._bounds.tries
        while True:
            tries -= 1
            try:
                response = self._call_once(method, key, headers, body)
            except (EndpointConnectionError, ConnectionClosedError):
                if not tries:
                    raise
            else:
                if response.status < 500 or not tries:
                    return response
            self._clock.sleep(self._clock.jitter() * self._bounds.pause)

    def _call_once(self, method: str, key: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        url = self._base + quote(key, safe="/-_.~")
        sent = {**headers, "X-Amz-Content-Sha256": sha256(body).hexdigest()}
        sent = signed_headers(
            self._credentials.get(), S3.name, self._region, url, sent, body, self._clock.now(), method=method
        )
        sent["User-Agent"] = "vibe-router"
        connection = self._connect(url)
        try:
            return connection.put(sent, body) if method == "PUT" else connection.get(sent)
        except TimeoutError:
            raise ReadTimeoutError("S3 fell silent") from None
        except (OSError, InvalidResponseError) as error:
            raise ConnectionClosedError(f"the connection to S3 broke ({type(error).__name__})") from None
        finally:
            connection.close()

    def _connect(self, url: str) -> Connection:
        tls = self._tls() if self._tls and url.startswith("https:") else None
        try:
            return Connection(url, connect_seconds=self._bounds.connect, read_seconds=self._bounds.read, tls=tls)
        except TimeoutError:
            raise ConnectTimeoutError("connecting to S3 took too long") from None
        except OSError as error:
            raise EndpointConnectionError(f"S3 cannot be reached ({type(error).__name__})") from None


def _base_url(bucket: str, endpoint: str, region: str) -> str:
    """Return what a key is appended to. The bucket is a host name, unless TLS or another server prevents it."""
    if endpoint == f"https://s3.{region}.{suffix_of(region)}" and "." not in bucket:
        return f"https://{bucket}.s3.{region}.{suffix_of(region)}/"
    return f"{endpoint.rstrip('/')}/{quote(bucket, safe='')}/"


def _client_error(operation: str, response: HttpResponse) -> ClientError:
    found = _CODE.search(response.body[:10_000])
    code = found[1].decode() if found else str(response.status)
    return ClientError(
        {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": response.status}}, operation
    )
