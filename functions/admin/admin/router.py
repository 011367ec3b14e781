"""Powertools' router, which also records its routes.

The records serve 405 answers, the check of query parameters, and the OpenAPI document.
"""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools.event_handler.router import APIGatewayRouter

__all__ = ["RegisteredRoute", "Router"]


@dataclass(frozen=True, slots=True)
class RegisteredRoute:
    """One route: its rule, the pattern of its path, its method, and its handler's docstring and parameter names."""

    rule: str
    path: re.Pattern[str]
    method: str
    about: str
    parameters: frozenset[str]


class Router(APIGatewayRouter):
    """The routes of one module."""

    def __init__(self) -> None:
        super().__init__()
        self.registered: list[RegisteredRoute] = []

    def route(self, rule: str, method: Any, *args: Any, **options: Any) -> Callable[[Any], Any]:
        """Route `method` of the path `rule` to the decorated function."""
        register = super().route(rule, method, *args, **options)

        def decorate(handler: Any) -> Any:
            path = re.compile(re.sub(r"<\w+>", "[^/]+", rule) + "/*")
            about = inspect.getdoc(handler) or ""
            for each in [method] if isinstance(method, str) else method:
                self.registered.append(
                    RegisteredRoute(rule, path, each, about, frozenset(inspect.signature(handler).parameters))
                )
            return register(handler)

        return decorate
