"""Published versions of a function: which are kept, and which one a rollback goes to.

The alias `live` is what API Gateway calls. With SnapStart every published version has a standing fee, and without it
each counts against the account's 75 GB of code; one version back is what a rollback needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from vibe_cli.deploy.seam import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

__all__ = ["ALIAS", "Published", "before", "move", "of_last_deployment", "published", "remove", "superseded"]

ALIAS = "live"

_DEPLOYMENT_SECONDS = 900  # between the versions that one deployment publishes; in truth a minute or two


@dataclass(frozen=True, slots=True)
class Published:
    """A function's versions: all of them, the one that the alias calls, and those that some alias calls in part.

    `since` is when the live one was published, in epoch seconds.
    """

    function: str
    versions: tuple[int, ...]
    live: int
    aliased: frozenset[int] = frozenset()
    since: float = 0


def before(published: Published) -> int | None:
    """Return the version that a rollback goes to: the newest that is older than the live one."""
    return max((version for version in published.versions if version < published.live), default=None)


def superseded(published: Published) -> tuple[int, ...]:
    """Return the versions that nothing needs any more.

    Kept are the live one, the one before it, and any that an alias names. Those newer than the live one are kept too:
    they are there after a rollback, and the newest of them is the one that CloudFormation manages.
    """
    kept = {published.live, before(published), *published.aliased}
    return tuple(sorted(each for each in published.versions if each < published.live and each not in kept))


def published(client: "LambdaClient", function: str) -> Published | None:
    """Ask for the versions of `function`; None if it has no alias `live`."""
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


def of_last_deployment(there: Iterable[Published]) -> list[Published]:
    """Return the functions whose live version came with the last deployment: one that it left alone stays as it is."""
    known = list(there)
    newest = max((each.since for each in known), default=0)
    return [each for each in known if each.since >= newest - _DEPLOYMENT_SECONDS]


def _numbers(versions: Iterable[str]) -> tuple[int, ...]:
    return tuple(sorted(int(version) for version in versions if version.isdigit()))  # $LATEST is not a published one


def remove(client: "LambdaClient", function: str, versions: Iterable[int]) -> None:
    """Delete published versions."""
    with aws_errors("Lambda"):
        for version in versions:
            client.delete_function(FunctionName=function, Qualifier=str(version))


def move(client: "LambdaClient", function: str, version: int) -> None:
    """Let the alias call `version`, and nothing else: a share that a gradual deployment had is taken back."""
    with aws_errors("Lambda"):
        client.update_alias(
            FunctionName=function,
            Name=ALIAS,
            FunctionVersion=str(version),
            RoutingConfig={"AdditionalVersionWeights": {}},
        )
