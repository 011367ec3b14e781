"""Powertools' router, which also remembers what it routes.

That is for 405s, for queries that nobody would look at, and for the API's description.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayRouter

__all__ = ["Known", "Router"]


@dataclass(frozen=True, slots=True)
class Known:
    """One route: its rule and a pattern of its path, its method, its handler's docstring and parameters' names."""

    rule: str
    path: re.Pattern[str]
    method: str
    about: str
    parameters: frozenset[str]


class Router(APIGatewayRouter):
    """A module's routes."""

    def __init__(self) -> None:
        super().__init__()
        self.known: list[Known] = []

    def route(self, rule: str, method: Any, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Route `method` of the path `rule` to the function that this decorates."""
        register = super().route(rule, method, *args, **options)

        def decorate(handler: Any) -> Any:
            path = re.compile(re.sub(r"<\w+>", "[^/]+", rule) + "/*")
            about = inspect.getdoc(handler) or ""
            for each in [method] if isinstance(method, str) else method:
                self.known.append(Known(rule, path, each, about, frozenset(inspect.signature(handler).parameters)))
            return register(handler)

        return decorate
