"""Published versions of the functions: removing old ones, and rolling back.

API Gateway calls the alias `live`. With SnapStart every published version costs money, and without it each counts
against the account's 75 GB of code. A rollback needs one version before the live one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vibe_cli.deploy.services import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

__all__ = ["ALIAS", "Published", "before", "move", "of_last_deployment", "published", "remove", "superseded"]

ALIAS = "live"

_DEPLOYMENT_SECONDS = 900  # at most between the versions that one deployment publishes; usually a minute or two


@dataclass(frozen=True, slots=True)
class Published:
    """A function's versions: all of them, the one that `live` calls, and those that any alias calls.

    `since` is the time when the live one was published, in epoch seconds.
    """

    function: str
    versions: tuple[int, ...]
    live: int
    aliased: frozenset[int] = frozenset()
    since: float = 0


def before(published: Published) -> int | None:
    """Return the version for a rollback: the newest that is older than the live one."""
    return max((version for version in published.versions if version < published.live), default=None)


def superseded(published: Published) -> tuple[int, ...]:
    """Return the versions that can be removed.

    The live one, the one before it and those of aliases stay. So do newer ones, which exist after a rollback:
    CloudFormation manages the newest.
    """
    needed = {published.live, before(published), *published.aliased}
    return tuple(sorted(each for each in published.versions if each < published.live and each not in needed))


def published(client: "LambdaClient", function: str) -> Published | None:
    """Return the versions of `function`; None if it has no alias `live`."""
    with aws_errors("Lambda"):
        pages = client.get_paginator("list_aliases").paginate(FunctionName=function)
        aliases = {alias["Name"]: alias for page in pages for alias in page["Aliases"]}
        if ALIAS not in aliases:
            return None
        named: set[str] = set()
        for alias in aliases.values():
            named |= {alias["FunctionVersion"], *alias.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})}
        listed = client.get_paginator("list_versions_by_function").paginate(FunctionName=function)
        made = {each["Version"]: each["LastModified"] for page in listed for each in page["Versions"]}
    live = aliases[ALIAS]["FunctionVersion"]
    since = datetime.fromisoformat(made[live]).timestamp() if live in made else 0
    return Published(function, _numbers(made), int(live), frozenset(_numbers(named)), since)


def of_last_deployment(functions: Iterable[Published]) -> list[Published]:
    """Return the functions that the last deployment changed."""
    listed = list(functions)
    newest = max((each.since for each in listed), default=0)
    return [each for each in listed if each.since >= newest - _DEPLOYMENT_SECONDS]


def _numbers(versions: Iterable[str]) -> tuple[int, ...]:
    return tuple(sorted(int(version) for version in versions if version.isdigit()))  # $LATEST is not published


def remove(client: "LambdaClient", function: str, versions: Iterable[int]) -> None:
    """Delete published versions."""
    with aws_errors("Lambda"):
        for version in versions:
            client.delete_function(FunctionName=function, Qualifier=str(version))


def move(client: "LambdaClient", function: str, version: int) -> None:
    """Point the alias at `version` alone, without the weights of a gradual deployment."""
    with aws_errors("Lambda"):
        client.update_alias(
            FunctionName=function,
            Name=ALIAS,
            FunctionVersion=str(version),
            RoutingConfig={"AdditionalVersionWeights": {}},
        )
