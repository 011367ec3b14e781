"""Client of the router's admin API, whose errors become plain sentences."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from vibe_cli.errors import CommandError

if TYPE_CHECKING:
    import httpx

__all__ = ["Api", "is_loopback", "quote_path"]

_TRIES = 3
_LONGEST_WAIT = 10.0  # seconds; a longer Retry-After is reported instead
_PAGE = 100


class Api:
    """Call the router at `url`, with or without a stage and /v1, with the master `key`.

    A context manager, safe to use from several threads. Calls raise CommandError: with status 1 if the router rejected
    the request, with 2 if it could not be reached or failed.
    """

    def __init__(self, url: str, key: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        import httpx

        self.url = url.rstrip("/").removesuffix("/v1")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"{url!r} is not the URL of a router, such as https://router.example.com/v1")
        if parts.scheme == "http" and not is_loopback(self.url):
            raise CommandError(
                f"{self.url} is not encrypted: the master key would be readable on the network. Use https://"
            )
        self._sleep = sleep
        self._client = httpx.Client(
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(60, connect=10),
            trust_env=not is_loopback(self.url),  # proxies are for other machines
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **query: object) -> Any:
        """Return the response to GET; a `query` value of None is not sent."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def text(self, path: str, **query: object) -> str:
        """Return the response to GET as text; a `query` value of None is not sent."""
        parameters = {name: value for name, value in query.items() if value is not None}
        return str(self._call("GET", path, read=lambda answer: answer.text, params=parameters))

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Return the response to a POST of a JSON object."""
        return self._call("POST", path, json=body)

    def pages(self, path: str, items: str, **query: object) -> Iterator[Any]:
        """Yield the entries under `items` of every page of a list."""
        page = 1
        while True:
            answer = self.get(path, page=page, size=_PAGE, **query)
            listed = _entries(answer, items)
            yield from listed
            if not listed or page >= int(answer.get("total_pages") or 0):
                return
            page += 1

    def _call(
        self, method: str, path: str, read: "Callable[[httpx.Response], Any] | None" = None, **options: Any
    ) -> Any:
        """Call, and return the JSON of the response, or what `read` makes of a successful one."""
        import httpx

        for left in reversed(range(_TRIES)):
            try:
                answer = self._client.request(method, self.url + path, **options)
            except httpx.ConnectError as error:
                # Nothing was sent, so a retry is safe.
                if not left or is_loopback(self.url):
                    raise CommandError(f"{self.url} cannot be reached: {error}. {self._hint()}") from error
                self._sleep(0.5)
                continue
            except httpx.HTTPError as error:
                why = str(error) or type(error).__name__
                raise CommandError(f"{self.url} did not complete {method} {path}: {why}.") from error
            wait = _retry_after(answer)
            if answer.status_code != 429 or not left or wait > _LONGEST_WAIT:
                return read(answer) if read and answer.is_success else self._read(answer, method, path)
            self._sleep(wait)
        raise AssertionError  # the last attempt returns or raises

    def _hint(self) -> str:
        return "Start it with: make start" if is_loopback(self.url) else "Check the URL and the network."

    def _read(self, answer: "httpx.Response", method: str, path: str) -> Any:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.is_success and body is not None:
            return body
        error = body.get("error") if isinstance(body, dict) else None
        message = str(error.get("message")) if isinstance(error, dict) else ""
        if not message or (isinstance(error, dict) and error.get("code") == "not_found"):  # the path does not exist
            raise CommandError(
                f"{method} {self.url}{path} answered {answer.status_code}, but not like a Vibe Router. "
                "Check the URL, and that the router is at least as new as this command."
            )
        match answer.status_code:
            case 401 | 403:
                raise CommandError(f"{message}\nThis command needs the router's master key in MASTER_KEY.")
            case 429:
                raise CommandError(f"{message}\nTry again in {_retry_after(answer):.0f} s.")
            case status if status >= 500:
                request_id = answer.headers.get("x-vibe-request-id", "unknown")
                raise CommandError(f"{message}\nThe router failed ({status}). Its log has details: {request_id}")
        raise CommandError(message, status=1)


def is_loopback(url: str) -> bool:
    """Return whether a URL leads to this machine."""
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


def quote_path(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


def _entries(answer: object, name: str) -> list[Any]:
    listed = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise CommandError(f"The router answered without {name}. Check that it is at least as new as this command.")
    return listed


def _retry_after(answer: "httpx.Response") -> float:
    seconds = answer.headers.get("retry-after", "")
    return float(seconds) if re.fullmatch(r"\d{1,6}", seconds) else 1.0
