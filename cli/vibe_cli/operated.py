"""The stack that an operator looks at: one deployed by template.yaml, or the one that `make start` runs here."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vibe_cli.checkout import CHECKOUT
from vibe_cli.target import Target

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["Operated", "deployed", "local_stack"]


@dataclass(frozen=True)
class Operated:
    """Where a stack keeps what it knows. `log_group` is None for a local stack, whose log is its standard output."""

    name: str
    routes: Target
    state_table: str
    log_group: str | None

    def dynamodb(self) -> "DynamoDBClient":
        """Return a client for its tables."""
        return self.routes.client()


def deployed(stack: str, environ: Mapping[str, str] = os.environ) -> Operated:
    """Return the stack of that name, by the names that template.yaml gives; nothing is asked of AWS."""
    where = environ.get("AWS_ENDPOINT_URL_DYNAMODB") or environ.get("AWS_ENDPOINT_URL") or "AWS"
    routes = Target(f"{stack}-routes", None, where)
    return Operated(stack, routes, f"{stack}-state", f"/aws/lambda/{stack}-gateway")


def local_stack(environ: Mapping[str, str] = os.environ) -> Operated | None:
    """Return the stack that `make start` runs in this checkout, as it has written itself down; None if none runs."""
    file = CHECKOUT / environ.get("DATA_DIR", ".data") / "local.json"
    try:
        written: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
        endpoint, pid = str(written["endpoint"]), int(written["pid"])
        routes, state = str(written["routes_table"]), str(written["state_table"])
        os.kill(pid, 0)  # asks whether it lives, and does nothing to it
    except PermissionError:
        pass  # it lives, and is somebody else's
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Operated("the local stack", Target(routes, endpoint, f"the local stack at {endpoint}"), state, None)
