"""Published versions of a function: which are kept, and which one a rollback goes to.

The alias `live` is what API Gateway calls. With SnapStart every published version has a standing fee, and without it
each counts against the account's 75 GB of code; one version back is what a rollback needs.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scripts.deploy.seam import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

__all__ = ["ALIAS", "Published", "before", "move", "published", "remove", "superseded"]

ALIAS = "live"


@dataclass(frozen=True, slots=True)
class Published:
    """A function's versions: all of them, the one that the alias calls, and those that some alias calls in part."""

    function: str
    versions: tuple[int, ...]
    live: int
    aliased: frozenset[int] = frozenset()


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
        versions = [each["Version"] for page in listed for each in page["Versions"]]
    return Published(function, _numbers(versions), int(aliases[ALIAS]["FunctionVersion"]), frozenset(_numbers(named)))


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
