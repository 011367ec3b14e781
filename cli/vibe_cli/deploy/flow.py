"""Deploying, going back and deleting, step by step. What is told goes to standard error; results are returned."""

import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from samtranslator.yaml_helper import yaml_parse

from vibe_cli.checkout import CHECKOUT
from vibe_cli.deploy import adoption, secret, stack, versions
from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.seam import Outside, aws_errors
from vibe_cli.deploy.target import Target
from vibe_cli.routes_file import RoutesFileError, load_file
from vibe_router.routing.spec import RoutesSpec

__all__ = ["Deployed", "delete", "deploy", "roll_back", "show_key"]

_Call = Mapping[str, Any]
_FUNCTION = "AWS::Lambda::Function"
_KEY_VARIABLE = "VIBE_ROUTER_KEY"
_NEW_API_SECONDS = 60.0
"""How long a new API may take to answer: its name and its stage are not known everywhere at once."""
_NEW_KEY_SECONDS = 330.0
"""An environment that is running reads the secret anew after five minutes."""


@dataclass(frozen=True, slots=True)
class Deployed:
    """What a deployment did: where the router is, what was called and how it went, what was cleaned away."""

    environment: str
    stack: str
    account: str
    region: str
    url: str
    ui: str
    secret: str
    adopted: tuple[str, ...] = ()
    secrets_written: tuple[str, ...] = ()
    tested: tuple[_Call, ...] = ()
    versions_removed: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def deploy(target: Target, outside: Outside, environ: Mapping[str, str]) -> Deployed:
    """Deploy `target`. `environ` holds the environment and .env. Raises DeployError at the first step that fails."""
    _step(f"Checking what {target.name} needs")
    routes_file = Path(environ.get("ROUTES_FILE", "routes.yaml"))
    spec = _read_routes(routes_file, environ)
    names = sorted({provider.secret for provider in spec.providers.values() if provider.secret})
    hidden = (*names, "MASTER_KEY", "LITELLM_MASTER_KEY", *secret.PAGE)
    _check_programs(outside, hidden)
    account, region = outside.account(), outside.region
    _say(f"{target.stack} in {region}, account {account}")
    _warn_of_unreachable(spec)
    standing = _check_stack(target, outside)

    _step("Building")
    architecture = target.parameters.get("Architecture") or _template()["Parameters"]["Architecture"]["Default"]
    _ran(outside, (*outside.programs.build, "--architecture", architecture), hidden, "The build failed")

    adopted: tuple[str, ...] = ()
    if standing and standing.never_was:
        _step(f"Taking away what a failed first deployment has left ({standing.status}); its tables stay")
        _check_tables_stay(target, outside)
        stack.delete(outside.cloudformation, target.stack)
        standing = None
    if not standing:
        adopted = _adopt_tables(target, outside)

    _step(f"Deploying {target.stack}")
    command = (
        *outside.programs.sam,
        "deploy",
        "--config-env",
        target.config_env,
        *_overrides(target, outside, standing),
    )
    _ran(outside, command, hidden, "The deployment failed; CloudFormation has put back what was there before")
    made = stack.describe(outside.cloudformation, target.stack)
    if not made:
        raise DeployError(f"sam deploy ended well, but there is no stack {target.stack}. Is samconfig.toml right?")

    _step("Filling the secret")
    filled = secret.fill(outside.secrets, made.output("SecretArn"), secret.given(names, environ))
    _tell_secret(filled, names, made.output("SecretArn"), target)

    _step("Writing the routes")
    where = ("--aws", "--yes", "--table", made.output("RoutesTableName"), "--file", str(routes_file))
    # What routes.yaml refers to may stand in a file that the command would not read by itself.
    plain = {name: value for name, value in environ.items() if name not in hidden}
    _ran(outside, (*outside.programs.routes, *where), hidden, "The routes could not be written", also=plain)

    url = made.output("BaseUrl")
    _step(f"Testing every virtual model at {url}")
    renewed = bool(standing) and secret.MASTER_KEY in filled.changed
    tested = _smoke(outside, url, filled.master_key, hidden, _NEW_KEY_SECONDS if renewed else _NEW_API_SECONDS)

    _step("Removing versions that nothing needs any more")
    removed = _remove_superseded(target, outside, made.output("GatewayFunctionName"))
    return Deployed(
        target.name,
        target.stack,
        account,
        region,
        url,
        made.output("UiUrl"),
        made.output("SecretArn"),
        adopted,
        (*filled.added, *filled.changed),
        tested,
        removed,
    )


def roll_back(target: Target, outside: Outside, version: int | None = None) -> dict[str, tuple[int, int]]:
    """Let the alias of each function that was deployed last call the version before. Returns (from, to) by function.

    `version` is one of the gateway, which alone goes to it: each function counts its own.

    While a deployment is under way, it is cancelled instead: CloudFormation then puts everything back by itself.
    """
    outside.account()
    standing = stack.describe(outside.cloudformation, target.stack)
    if not standing:
        raise DeployError(f"There is no stack {target.stack} in {outside.region}.")
    if standing.status == "UPDATE_IN_PROGRESS":
        _say(f"A deployment of {target.stack} is under way. Cancelling it; CloudFormation puts back what was there.")
        with aws_errors("CloudFormation"):
            outside.cloudformation.cancel_update_stack(StackName=target.stack)
        return {}
    moves = {}
    there_are = _published(target, outside)
    gateway = standing.output("GatewayFunctionName")
    if version is None:
        concerned = versions.of_last_deployment(there_are)
    else:
        concerned = [each for each in there_are if each.function == gateway]
    for each in concerned:
        to = version if version is not None else versions.before(each)
        if to is None:
            _say(f"{each.function}: version {each.live} is live, and there is none before it.")
        elif to not in each.versions:
            there = ", ".join(map(str, each.versions))
            raise DeployError(f"{each.function} has no version {to}. There are: {there}.")
        elif to == each.live:
            _say(f"{each.function}: version {to} is live already.")
        else:
            moves[each.function] = (each.live, to)
    if not moves:
        raise DeployError("Nothing was rolled back.")
    for function, (was, to) in moves.items():
        versions.move(outside.functions, function, to)
        _say(f"{function}: version {to} is live, and no longer {was}.")
    return moves


def delete(target: Target, outside: Outside, *, agreed: bool) -> tuple[str, ...]:
    """Take the stack away, after asking, unless it is `agreed`. Returns the names of the tables, which stay."""
    outside.account()
    standing = stack.describe(outside.cloudformation, target.stack)
    if not standing:
        raise DeployError(f"There is no stack {target.stack} in {outside.region}: nothing to take away.")
    kept = _check_tables_stay(target, outside)
    stays = stack.retained(outside.cloudformation, target.stack)
    there = stack.resources(outside.cloudformation, target.stack)
    gone = Counter(each.kind.removeprefix("AWS::") for each in there if each.logical_id not in stays)
    _say(f"{target.stack} in {outside.region} would be taken away, its URL and its keys with it:")
    for kind, count in sorted(gone.items()):
        _say(f"  {count:>3}  {kind}")
    _say(f"Kept, and adopted when {target.stack} is deployed again: the tables {', '.join(kept)}")
    if not agreed and not _agrees(target.stack):
        raise DeployError("Nothing was taken away.")
    stack.delete(outside.cloudformation, target.stack)
    still = adoption.existing(outside.dynamodb, {name: name for name in kept})
    if missing := sorted(set(kept) - set(still)):
        raise DeployError(f"The stack is gone, but so are the tables {', '.join(missing)}. Restore them from a backup.")
    _say(f"{target.stack} is gone. What `sam` uploaded stays in its bucket, for a few cents a year.")
    return kept


def show_key(target: Target, outside: Outside) -> str:
    """Return the master key of a deployed stack."""
    standing = stack.describe(outside.cloudformation, target.stack)
    if not standing:
        raise DeployError(f"There is no stack {target.stack} in {outside.region}.")
    value = secret.read(outside.secrets, standing.output("SecretArn")).get(secret.MASTER_KEY)
    if not value:
        raise DeployError("The secret holds no master key. ./deploy.sh makes one.")
    return str(value)


# --- Steps ------------------------------------------------------------------------------------------------------------


def _read_routes(file: Path, environ: Mapping[str, str]) -> RoutesSpec:
    try:
        return load_file(CHECKOUT / file, environ)
    except RoutesFileError as error:
        raise DeployError(f"{error}\nNothing was deployed.") from error


def _check_programs(outside: Outside, hidden: tuple[str, ...]) -> None:
    status, said = outside.run((*outside.programs.sam, "--version"), without=hidden, captured=True)
    if status:
        raise DeployError("The SAM CLI does not run. Try again after: make clean")
    _say(said.strip())


def _check_stack(target: Target, outside: Outside) -> stack.Stack | None:
    standing = stack.describe(outside.cloudformation, target.stack)
    if standing and standing.is_busy:
        raise DeployError(
            f"CloudFormation is at work on {target.stack} ({standing.status}). Wait until it is done, and try again."
        )
    if standing and standing.status == "UPDATE_ROLLBACK_FAILED":
        raise DeployError(
            f"{target.stack} is stuck between two deployments. Free it, and try again:\n"
            f"  aws cloudformation continue-update-rollback --stack-name {target.stack}"
        )
    return standing


def _check_tables_stay(target: Target, outside: Outside) -> tuple[str, ...]:
    """Return the names of the stack's tables. Raises DeployError if one would go with the stack."""
    stays = stack.retained(outside.cloudformation, target.stack)
    tables = [
        each for each in stack.resources(outside.cloudformation, target.stack) if each.kind == "AWS::DynamoDB::Table"
    ]
    if lost := sorted(each.name for each in tables if each.logical_id not in stays):
        raise DeployError(
            f"{target.stack} was made from a template that would take its tables away with it: {', '.join(lost)}.\n"
            "Deploy it once from this checkout, which keeps them, and try again. Nothing was taken away."
        )
    return tuple(sorted(each.name for each in tables))


def _adopt_tables(target: Target, outside: Outside) -> tuple[str, ...]:
    template = _template()
    tables = adoption.existing(outside.dynamodb, adoption.named_tables(template, target.stack))
    if not tables:
        return ()
    _step(f"Adopting the tables that an earlier {target.stack} has left: {', '.join(tables.values())}")
    adoption.adopt(outside.cloudformation, target.stack, template, tables)
    return tuple(tables.values())


def _overrides(target: Target, outside: Outside, standing: stack.Stack | None) -> tuple[str, ...]:
    """Return the parameters to give a stack that is made: the log role is the account's, who may have one already.

    A stack that is there keeps what it was made with.
    """
    if standing or "CreateApiGatewayLogRole" in target.parameters or not outside.log_role():
        return ()
    _say("API Gateway has its log role in this account already: it is left alone.")
    parameters = {**target.parameters, "CreateApiGatewayLogRole": "false"}
    return ("--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items()))


def _ran(
    outside: Outside,
    command: tuple[str, ...],
    hidden: tuple[str, ...],
    failure: str,
    also: Mapping[str, str] | None = None,
) -> None:
    """Run a program that has no use for the secrets, and so does not get them. Raises DeployError if it fails."""
    status, _ = outside.run(command, without=hidden, also=also)
    if status:
        raise DeployError(f"{failure}: the lines above say why (exit status {status}).\n  {shlex.join(command)}")


def _tell_secret(filled: secret.Filled, names: list[str], arn: str, target: Target) -> None:
    for told, which in (("new", filled.added), ("changed", filled.changed), ("unchanged", filled.kept)):
        if which:
            _say(f"{told}: {', '.join(which)}")
    held = {*filled.added, *filled.changed, *filled.kept}
    for name in names:
        if name not in held:
            _say(f"WARNING: {name} is neither in .env nor in the secret; calls to its provider will be refused.")
    _say(f"The master key is MASTER_KEY in {arn}")
    _say(f"To see it: ./deploy.sh --show-key {target.name}")
    if "UI_PASSWORD" not in held:
        _say("The page's sign-in is `admin` and the master key: neither .env nor the secret has UI_PASSWORD.")


def _smoke(
    outside: Outside, url: str, key: str, hidden: tuple[str, ...], patience: float
) -> tuple[Mapping[str, Any], ...]:
    """Call every virtual model. Returns the calls, as the smoke test reports them. Raises DeployError if one failed."""
    if not outside.answers(f"{url}/models", key, patience):
        raise DeployError(
            f"{url}/models did not answer within {patience:.0f} s. The function's log says why: make logs"
        )
    command = (*outside.programs.smoke, "--url", url, "--key-env", _KEY_VARIABLE)
    status, said = outside.run(command, without=hidden, also={_KEY_VARIABLE: key}, captured=True)
    try:
        calls: tuple[_Call, ...] = tuple(json.loads(said)["calls"])
    except (ValueError, KeyError, TypeError):
        calls = ()
    for call in calls:
        how = "streamed" if call.get("stream") else "whole"
        result = "ok" if call.get("ok") else f"FAILED: {call.get('why')}"
        _say(
            f"{call.get('model'):<20} {how:<9} {call.get('deployment') or '–':<36} {call.get('total_ms')} ms  {result}"
        )
    failed = [call for call in calls if not call.get("ok")]
    if status or failed or not calls:
        raise DeployError(
            f"The smoke test failed ({len(failed)} of {len(calls)} calls). The new version is live, and the one before "
            "it was kept:\nmend what is wrong and deploy again, or go back with --rollback."
        )
    return calls


def _published(target: Target, outside: Outside) -> list[versions.Published]:
    there = stack.resources(outside.cloudformation, target.stack)
    found = (versions.published(outside.functions, each.name) for each in there if each.kind == _FUNCTION)
    return [each for each in found if each]


def _remove_superseded(target: Target, outside: Outside, gateway: str) -> dict[str, tuple[int, ...]]:
    removed = {}
    for each in _published(target, outside):
        old = versions.superseded(each)
        versions.remove(outside.functions, each.function, old)
        told = f"removed {', '.join(map(str, old))}" if old else "nothing to remove"
        _say(f"{each.function}: version {each.live} is live; {told}")
        if old:
            removed[each.function] = old
        if (newest := max(each.versions)) > each.live:
            mend = (
                f"./deploy.sh --rollback {target.name} --to {newest}" if each.function == gateway else "change its code"
            )
            _say(
                f"WARNING: version {newest} of {each.function} was rolled back, and this deployment has changed "
                f"nothing in it. To go to it: {mend}"
            )
    return removed


def _warn_of_unreachable(spec: RoutesSpec) -> None:
    for name, provider in spec.providers.items():
        host = urlsplit(provider.base_url).hostname or ""
        try:
            reachable = not ip_address(host).is_private
        except ValueError:
            reachable = host != "localhost" and not host.endswith((".local", ".internal"))
        if not reachable:
            _say(
                f"WARNING: {name} is at {provider.base_url}, and Lambda reaches public addresses only. "
                "Set its base URL in .env."
            )


@cache
def _template() -> Any:
    return yaml_parse((CHECKOUT / "template.yaml").read_text(encoding="utf-8"))


def _agrees(name: str) -> bool:
    if not sys.stdin.isatty():
        raise DeployError("Nobody is there to ask. Add --yes to take it away without asking.")
    try:
        print(f"Type {name} to take it away: ", end="", file=sys.stderr, flush=True)
        return input().strip() == name
    except EOFError:
        return False


def _step(what: str) -> None:
    print(f"\n==> {what}", file=sys.stderr, flush=True)


def _say(what: str) -> None:
    print(f"    {what}", file=sys.stderr, flush=True)
