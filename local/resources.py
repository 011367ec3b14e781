"""Match requests with API Gateway's resources. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from .template import Route

__all__ = ["Match", "Resources"]


class Match(NamedTuple):
    """A request's route and its path parameters, percent-encoded as in the URL."""

    route: Route
    parameters: dict[str, str]


@dataclass(frozen=True)
class _Resource:
    segments: tuple[str, ...]
    methods: dict[str, Route]

    @property
    def rank(self) -> tuple[tuple[int, ...], int]:
        """The sort key, most specific first: in each segment a literal before a parameter before a greedy one."""
        return tuple(_kind(segment) for segment in self.segments), -len(self.segments)

    def parameters_of(self, parts: list[str]) -> dict[str, str] | None:
        """Return the path parameters if the path matches this resource, else None."""
        found = {}
        for place, segment in enumerate(self.segments):
            kind = _kind(segment)
            if kind == _GREEDY:
                if place >= len(parts):
                    return None
                found[segment[1:-2]] = "/".join(parts[place:])
                return found
            if place >= len(parts) or not parts[place]:
                return None
            if kind == _PARAMETER:
                found[segment[1:-1]] = parts[place]
            elif segment != parts[place]:
                return None
        return found if len(parts) == len(self.segments) else None


class Resources:
    """The resource tree of the routes."""

    def __init__(self, routes: Iterable[Route]) -> None:
        by_path: dict[str, dict[str, Route]] = {}
        for route in routes:
            by_path.setdefault(route.path, {})[route.method] = route
        resources = (_Resource(tuple(_parts(path)), methods) for path, methods in by_path.items())
        self._resources = sorted(resources, key=lambda resource: resource.rank)

    def find(self, method: str, path: str) -> Match | None:
        """Return the route of the most specific resource; None if no path or method matches.

        `path` is the URL's path, without query; a trailing slash is ignored. The path alone selects the resource: if it
        lacks the method, a more general resource is not tried.
        """
        parts = _parts(path)
        for resource in self._resources:
            parameters = resource.parameters_of(parts)
            if parameters is not None:
                route = resource.methods.get(method) or resource.methods.get("ANY")
                return Match(route, parameters) if route else None
        return None


_LITERAL, _PARAMETER, _GREEDY = range(3)


def _kind(segment: str) -> int:
    if not segment.startswith("{"):
        return _LITERAL
    return _GREEDY if segment.endswith("+}") else _PARAMETER


def _parts(path: str) -> list[str]:
    return [] if path in ("", "/") else path.removeprefix("/").removesuffix("/").split("/")
