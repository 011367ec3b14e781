"""The router's own API, as commands call it: one connection, JSON both ways, and every error as a plain sentence."""

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from vibe_cli.errors import CommandError

if TYPE_CHECKING:
    import httpx

__all__ = ["Api", "is_loopback", "part_of_path"]

_TRIES = 3
_LONGEST_WAIT = 10.0  # seconds; what asks for more is told instead of waited out
_PAGE = 100


class Api:
    """Calls the router at `url` (with a stage or without, with /v1 or without) with the master `key`.

    A context manager; safe to use from several threads. Every call raises CommandError: with status 1 where the router
    refused what was asked, 2 where it could not be asked.
    """

    def __init__(self, url: str, key: str, *, sleep: Callable[[float], None] = time.sleep) -> None:
        import httpx

        self.url = url.rstrip("/").removesuffix("/v1")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CommandError(f"{url!r} is no URL of a router; it looks like https://router.example.com/v1")
        if parts.scheme == "http" and not is_loopback(self.url):
            raise CommandError(
                f"{self.url} is not encrypted: everyone on the way would see the master key. Use https://"
            )
        self._sleep = sleep
        self._client = httpx.Client(
            headers={"authorization": f"Bearer {key}"},
            timeout=httpx.Timeout(60, connect=10),
            trust_env=not is_loopback(self.url),  # a proxy for the way out is none for this machine
        )

    def __enter__(self) -> "Api":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, **query: object) -> Any:
        """Return what the router answers; a `query` value that is None is not sent."""
        return self._call("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """Send a JSON object, and return what the router answers."""
        return self._call("POST", path, json=body)

    def pages(self, path: str, items: str, **query: object) -> Iterator[Any]:
        """Yield the `items` of every page of a list."""
        page = 1
        while True:
            answer = self.get(path, page=page, size=_PAGE, **query)
            listed = _part(answer, items)
            yield from listed
            if not listed or page >= int(answer.get("total_pages") or 0):
                return
            page += 1

    def _call(self, method: str, path: str, **options: Any) -> Any:
        import httpx

        for left in reversed(range(_TRIES)):
            try:
                answer = self._client.request(method, self.url + path, **options)
            except httpx.ConnectError as error:
                # Nothing was sent, so it can be sent again.
                if not left or is_loopback(self.url):
                    raise CommandError(f"{self.url} can't be reached: {error}. {self._hint()}") from error
                self._sleep(0.5)
                continue
            except httpx.HTTPError as error:
                why = str(error) or type(error).__name__
                raise CommandError(f"{self.url} did not answer {method} {path}: {why}.") from error
            wait = _wait(answer)
            if answer.status_code != 429 or not left or wait > _LONGEST_WAIT:
                return self._answered(answer, method, path)
            self._sleep(wait)
        raise AssertionError  # the last try returns or raises

    def _hint(self) -> str:
        return "Start it with: make start" if is_loopback(self.url) else "Is the URL right, and is there a network?"

    def _answered(self, answer: "httpx.Response", method: str, path: str) -> Any:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if answer.is_success and body is not None:
            return body
        error = body.get("error") if isinstance(body, dict) else None
        message = str(error.get("message")) if isinstance(error, dict) else ""
        if not message or (isinstance(error, dict) and error.get("code") == "not_found"):  # not even the path
            raise CommandError(
                f"{method} {self.url}{path} answered {answer.status_code} and not as a Vibe Router does. "
                "Is this the router's URL, and is its version as new as this command's?"
            )
        match answer.status_code:
            case 401 | 403:
                raise CommandError(
                    f"{message}\nThese commands need the router's master key: MASTER_KEY in the environment."
                )
            case 429:
                raise CommandError(f"{message}\nTry again in {_wait(answer):.0f} s.")
            case status if status >= 500:
                named = answer.headers.get("x-vibe-request-id", "unknown")
                raise CommandError(f"{message}\nThe router could not do it ({status}); its log knows more: {named}")
        raise CommandError(message, status=1)


def is_loopback(url: str) -> bool:
    """Whether a URL is one of this machine."""
    return (urlsplit(url).hostname or "") in ("127.0.0.1", "localhost", "::1")


def part_of_path(text: str) -> str:
    """Return a text as one part of a path."""
    return quote(text, safe="")


def _part(answer: object, name: str) -> list[Any]:
    listed = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise CommandError(f"The router answered without {name}. Is its version as new as this command's?")
    return listed


def _wait(answer: "httpx.Response") -> float:
    said = answer.headers.get("retry-after", "")
    return float(said) if re.fullmatch(r"\d{1,6}", said) else 1.0
