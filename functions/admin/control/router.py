"""Powertools' router, which also remembers what it routes: for 405s, and for queries that nobody would look at."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayRouter

__all__ = ["Known", "Router"]


@dataclass(frozen=True, slots=True)
class Known:
    """One route: a pattern of its path, its method, and the names of its handler's parameters."""

    path: re.Pattern[str]
    method: str
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
            for each in [method] if isinstance(method, str) else method:
                self.known.append(Known(path, each, frozenset(inspect.signature(handler).parameters)))
            return register(handler)

        return decorate
