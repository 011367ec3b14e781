"""Deploying, rolling back and deleting, step by step. Progress goes to standard error; results are returned."""

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

from vibe_cli.audit_log import digest_of_folder, record_change
from vibe_cli.boto import BotoApi
from vibe_cli.checkout import CHECKOUT
from vibe_cli.deploy import adoption, secret, stack, versions
from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.services import Quotas, Services, aws_errors
from vibe_cli.deploy.target import Target
from vibe_cli.routes_file import RoutesFileError, load_file
from vibe_router.core.secret_names import MASTER_KEY, RESERVED
from vibe_router.routing.spec import RoutesSpec
from vibe_router.store.dynamodb import DynamoDB

__all__ = ["Release", "delete", "deploy", "fill_secrets", "roll_back", "show_key"]

_Call = Mapping[str, Any]
_FUNCTION = "AWS::Lambda::Function"
_SECRET = "AWS::SecretsManager::Secret"  # noqa: S105 - a resource type
_KEY_VARIABLE = "VIBE_ROUTER_KEY"
_FEW_CALLS = 10
"""The quota of concurrent executions of many new accounts."""
_NEW_API_SECONDS = 60.0
"""Seconds that a new API may take until it answers: DNS and the stage need time to propagate."""
_NEW_KEY_SECONDS = 330.0
"""Running environments reload the secret after five minutes."""


@dataclass(frozen=True, slots=True)
class Release:
    """The result of a deployment: where the router is, the calls of the smoke test, and the versions removed."""

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


def deploy(target: Target, services: Services, environ: Mapping[str, str]) -> Release:
    """Deploy `target` with the variables `environ`. Raises CommandError at the first step that fails."""
    _step(f"Checking {target.name}")
    routes_file = Path(environ.get("ROUTES_FILE", "routes.yaml"))
    spec = _read_routes(routes_file, environ)
    names = _secret_names(spec)
    hidden = (*names, *RESERVED)
    _check_programs(services, hidden)
    account, region = services.account(), services.region
    _say(f"{target.stack} in {region}, account {account}")
    _warn_of_unreachable(spec)
    current = _check_stack(target, services)
    quotas = services.quotas()
    _check_quotas(quotas, target, current)

    _step("Building")
    _run(services, (*services.programs.build,), hidden, "The build failed")

    adopted: tuple[str, ...] = ()
    if current and current.failed_to_create:
        _step(f"Deleting the rest of a failed first deployment ({current.status}); its tables stay")
        _check_tables_stay(target, services)
        stack.delete(services.cloudformation, target.stack)
        current = None
    if not current:
        adopted = _adopt_tables(target, services)

    _step(f"Deploying {target.stack}")
    command = (
        *services.programs.sam,
        "deploy",
        "--config-env",
        target.config_env,
        *_overrides(target, quotas, current),
    )
    _run(services, command, hidden, "The deployment failed; CloudFormation has put back what was there before")
    created = stack.describe(services.cloudformation, target.stack)
    if not created:
        raise DeployError(f"sam deploy succeeded, but there is no stack {target.stack}. Check samconfig.toml.")

    if protected := adoption.protect(services.dynamodb, [each.name for each in _tables_of(target, services)]):
        _say(f"Protected from deletion: {', '.join(protected)}")

    _step("Filling the secret")
    filled = _fill(services, created, names, environ)
    _report_secret(filled, names, created.output("SecretArn"), target)

    _step("Writing the routes")
    where = ("--aws", "--yes", "--table", created.output("RoutesTableName"), "--file", str(routes_file))
    # routes.yaml may refer to variables from --env-file, which the command does not read.
    plain = {name: value for name, value in environ.items() if name not in hidden}
    _run(services, (*services.programs.routes, *where), hidden, "The routes could not be written", also=plain)

    module = {**created.parameters, **target.parameters}.get("HooksModule", "")
    hooks = {"hooks_module": module, "hooks": digest_of_folder(CHECKOUT / "layers/hooks/python")} if module else {}
    _record(target, services, "deploy", {"hooks_module": "", **hooks})

    url = created.output("BaseUrl")
    _step(f"Testing every virtual model at {url}")
    renewed = bool(current) and MASTER_KEY in filled.changed
    tested = _smoke(services, url, filled.master_key, hidden, _NEW_KEY_SECONDS if renewed else _NEW_API_SECONDS)

    _step("Removing old versions")
    removed = _remove_superseded(target, services, created.output("GatewayFunctionName"))
    return Release(
        target.name,
        target.stack,
        account,
        region,
        url,
        created.output("UiUrl"),
        created.output("SecretArn"),
        adopted,
        (*filled.added, *filled.changed),
        tested,
        removed,
    )


def fill_secrets(target: Target, services: Services, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Fill the secrets of a deployed stack, and nothing else. Returns the names that were written."""
    spec = _read_routes(Path(environ.get("ROUTES_FILE", "routes.yaml")), environ)
    services.account()
    current = stack.describe(services.cloudformation, target.stack)
    if not current:
        raise DeployError(f"There is no stack {target.stack} in {services.region}.")
    names = _secret_names(spec)
    filled = _fill(services, current, names, environ)
    _report_secret(filled, names, current.output("SecretArn"), target)
    return (*filled.added, *filled.changed)


def roll_back(target: Target, services: Services, version: int | None = None) -> dict[str, tuple[int, int]]:
    """Point the alias of each function of the last deployment at its previous version. Returns (from, to) by function.

    With `version`, only the gateway moves, because each function numbers its own versions. A deployment in progress is
    cancelled instead: CloudFormation then restores the previous state.
    """
    services.account()
    current = stack.describe(services.cloudformation, target.stack)
    if not current:
        raise DeployError(f"There is no stack {target.stack} in {services.region}.")
    if current.status == "UPDATE_IN_PROGRESS":
        _say(f"Cancelling the deployment of {target.stack} in progress; CloudFormation restores the previous state.")
        with aws_errors("CloudFormation"):
            services.cloudformation.cancel_update_stack(StackName=target.stack)
        return {}
    moves = {}
    functions = _published(target, services)
    gateway = current.output("GatewayFunctionName")
    if version is None:
        affected = versions.of_last_deployment(functions)
    else:
        affected = [each for each in functions if each.function == gateway]
    for each in affected:
        to = version if version is not None else versions.before(each)
        if to is None:
            _say(f"{each.function}: version {each.live} is live, and there is no earlier one.")
        elif to not in each.versions:
            there = ", ".join(map(str, each.versions))
            raise DeployError(f"{each.function} has no version {to}. Existing versions: {there}.")
        elif to == each.live:
            _say(f"{each.function}: version {to} is already live.")
        else:
            moves[each.function] = (each.live, to)
    if not moves:
        raise DeployError("Nothing was rolled back.")
    for function, (was, to) in moves.items():
        versions.move(services.functions, function, to)
        _say(f"{function}: version {to} is live instead of {was}.")
    _record(target, services, "deploy/rollback", {name: f"version {was} -> {to}" for name, (was, to) in moves.items()})
    return moves


def delete(target: Target, services: Services, *, confirmed: bool) -> tuple[str, ...]:
    """Delete the stack, after asking unless `confirmed`. Returns the names of the tables, which stay."""
    services.account()
    current = stack.describe(services.cloudformation, target.stack)
    if not current:
        raise DeployError(f"There is no stack {target.stack} in {services.region}: nothing to delete.")
    tables = _check_tables_stay(target, services)
    retained = stack.retained(services.cloudformation, target.stack)
    listed = stack.resources(services.cloudformation, target.stack)
    deleted = Counter(each.kind.removeprefix("AWS::") for each in listed if each.logical_id not in retained)
    _say(f"{target.stack} in {services.region} will be deleted, with its URL:")
    for kind, count in sorted(deleted.items()):
        _say(f"  {count:>3}  {kind}")
    _say(f"The tables stay, for the next deployment of {target.stack}: {', '.join(tables)}")
    if kept := [each.name for each in listed if each.kind == _SECRET and each.logical_id in retained]:
        _say(f"The secret with the master key and the providers' keys stays too: {', '.join(kept)}")
    if not confirmed and not _confirm(target.stack):
        raise DeployError("Nothing was deleted.")
    stack.delete(services.cloudformation, target.stack)
    remaining = adoption.existing(services.dynamodb, {name: name for name in tables})
    if missing := sorted(set(tables) - set(remaining)):
        raise DeployError(
            f"The stack was deleted, and so were the tables {', '.join(missing)}. Restore them from a backup."
        )
    _say(f"{target.stack} was deleted. Uploads of `sam` remain in its bucket, for a few cents a year.")
    return tables


def show_key(target: Target, services: Services) -> str:
    """Return the master key of a deployed stack."""
    current = stack.describe(services.cloudformation, target.stack)
    if not current:
        raise DeployError(f"There is no stack {target.stack} in {services.region}.")
    value = secret.read(services.secrets, current.output("SecretArn")).get(MASTER_KEY)
    if not value:
        raise DeployError("The secret has no master key. ./deploy.sh generates one.")
    return str(value)


# --- Steps ------------------------------------------------------------------------------------------------------------


def _record(target: Target, services: Services, action: str, changes: Mapping[str, Any]) -> None:
    """Add an entry to the stack's audit log: a deployment replaces the code, the hooks and the settings."""
    client = DynamoDB(BotoApi(services.dynamodb))
    if not record_change(client, f"{target.stack}-audit", action, services.identity(), changes):
        _say("WARNING: the audit log has no entry of this: its table cannot be written to.")


def _read_routes(file: Path, environ: Mapping[str, str]) -> RoutesSpec:
    try:
        return load_file(CHECKOUT / file, environ)
    except RoutesFileError as error:
        raise DeployError(f"{error}\nNothing was deployed.") from error


def _secret_names(spec: RoutesSpec) -> list[str]:
    return sorted(spec.secret_names)


def _fill(services: Services, current: stack.Stack, names: list[str], environ: Mapping[str, str]) -> secret.Filled:
    where = current.output("SecretArn"), current.output("AdminSecretArn")
    return secret.fill(services.secrets, *where, secret.values_from(names, environ))


def _check_programs(services: Services, hidden: tuple[str, ...]) -> None:
    status, version = services.run((*services.programs.sam, "--version"), without=hidden, captured=True)
    if status:
        raise DeployError("The SAM CLI does not run. Try again after: make clean")
    _say(version.strip())


def _check_stack(target: Target, services: Services) -> stack.Stack | None:
    current = stack.describe(services.cloudformation, target.stack)
    if current and current.is_busy:
        raise DeployError(
            f"CloudFormation is changing {target.stack} ({current.status}). Wait until it has finished, and try again."
        )
    if current and current.status == "UPDATE_ROLLBACK_FAILED":
        raise DeployError(
            f"{target.stack} is stuck between two deployments. Run this, and try again:\n"
            f"  aws cloudformation continue-update-rollback --stack-name {target.stack}"
        )
    return current


def _check_tables_stay(target: Target, services: Services) -> tuple[str, ...]:
    """Return the names of the stack's tables. Raises DeployError if one would be deleted with the stack."""
    retained = stack.retained(services.cloudformation, target.stack)
    tables = _tables_of(target, services)
    if lost := sorted(each.name for each in tables if each.logical_id not in retained):
        raise DeployError(
            f"{target.stack} was created from a template that deletes its tables with it: {', '.join(lost)}.\n"
            "Deploy it once from this checkout, which retains them, and try again. Nothing was deleted."
        )
    return tuple(sorted(each.name for each in tables))


def _tables_of(target: Target, services: Services) -> list[stack.Resource]:
    there = stack.resources(services.cloudformation, target.stack)
    return [each for each in there if each.kind == "AWS::DynamoDB::Table"]


def _adopt_tables(target: Target, services: Services) -> tuple[str, ...]:
    template = _template()
    tables = adoption.existing(services.dynamodb, adoption.named_tables(template, target.stack))
    if not tables:
        return ()
    _step(f"Importing the tables that an earlier {target.stack} left: {', '.join(tables.values())}")
    adoption.adopt(services.cloudformation, target.stack, template, tables)
    return tuple(tables.values())


def _overrides(target: Target, quotas: Quotas, current: stack.Stack | None) -> tuple[str, ...]:
    """Return the parameters that are not in samconfig.toml, and follow from the account and the stack."""
    added = _access_log(target, quotas, current)
    if not current:  # a creation that fails must be able to delete its tables; they are protected afterwards
        added["ProtectTables"] = "false"
    added = {name: value for name, value in added.items() if name not in target.parameters}
    if not added:
        return ()
    parameters = {**target.parameters, **added}
    return ("--parameter-overrides", *(f'{name}="{value}"' for name, value in parameters.items()))


def _access_log(target: Target, quotas: Quotas, current: stack.Stack | None) -> dict[str, str]:
    """Return parameters for the access log of a stack without a setting for it: it needs the account's log role.

    A new stack creates that role only if the account has none. An existing stack keeps its parameters.
    """
    if "AccessLog" in {**target.parameters, **(current.parameters if current else {})}:
        return {}
    if quotas.log_role:
        _say("API Gateway already has a log role in this account, which stays.")
        added = {"AccessLog": "on"}
    else:
        added = {} if current else {"CreateApiGatewayLogRole": "true"}
    return {} if "CreateApiGatewayLogRole" in target.parameters else added


def _check_quotas(quotas: Quotas, target: Target, current: stack.Stack | None) -> None:
    """Warn of an account that serves few calls at once. Raises DeployError when the throttle exceeds its quota."""
    if quotas.concurrency is not None and quotas.concurrency <= _FEW_CALLS:
        _say(
            f"WARNING: this account may run only {quotas.concurrency} functions at once, and every stream takes one; "
            "further callers get errors. Request more, which is free: "
            "https://console.aws.amazon.com/servicequotas/home/services/lambda/quotas/L-B99A9384"
        )
    declared = {name: each.get("Default") for name, each in _template()["Parameters"].items()}
    parameters = {**declared, **(current.parameters if current else {}), **target.parameters}
    for name, quota in (("ThrottleRate", quotas.rate), ("ThrottleBurst", quotas.burst)):
        if quota is not None and float(parameters[name]) > quota:
            raise DeployError(
                f"{name} is {parameters[name]}, and this account's quota in this region is {quota:.0f}. Lower it in "
                "parameter_overrides of samconfig.toml, or request a higher quota. Nothing was deployed."
            )


def _run(
    services: Services,
    command: tuple[str, ...],
    hidden: tuple[str, ...],
    failure: str,
    also: Mapping[str, str] | None = None,
) -> None:
    """Run a program without the secrets, which it does not need. Raises DeployError if it fails."""
    status, _ = services.run(command, without=hidden, also=also)
    if status:
        raise DeployError(f"{failure}: the lines above say why (exit status {status}).\n  {shlex.join(command)}")


def _report_secret(filled: secret.Filled, names: list[str], arn: str, target: Target) -> None:
    for change, changed in (("new", filled.added), ("changed", filled.changed), ("unchanged", filled.unchanged)):
        if changed:
            _say(f"{change}: {', '.join(changed)}")
    present = {*filled.added, *filled.changed, *filled.unchanged}
    for name in names:
        if name not in present:
            _say(f"WARNING: {name} is neither in .env nor in the secret; what uses it will fail.")
    _say(f"The master key is MASTER_KEY in {arn}")
    _say(f"Show it with: ./deploy.sh --show-key {target.name}")
    if "UI_PASSWORD" not in present:
        _say("Sign in to the page as `admin` with the master key, because UI_PASSWORD is not set.")


def _smoke(
    services: Services, url: str, key: str, hidden: tuple[str, ...], patience: float
) -> tuple[Mapping[str, Any], ...]:
    """Call every virtual model; return the calls of `vibe smoke`. Raises DeployError if one failed."""
    if not services.answers(f"{url}/models", key, patience):
        raise DeployError(f"{url}/models did not answer within {patience:.0f} s. See the function's log: make logs")
    command = (*services.programs.smoke, "--url", url, "--key-env", _KEY_VARIABLE)
    status, report = services.run(command, without=hidden, also={_KEY_VARIABLE: key}, captured=True)
    try:
        calls: tuple[_Call, ...] = tuple(json.loads(report)["calls"])
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
            f"The smoke test failed ({len(failed)} of {len(calls)} calls). The new version is live, and the one "
            "before still exists:\nfix the cause and deploy again, or go back with --rollback."
        )
    return calls


def _published(target: Target, services: Services) -> list[versions.Published]:
    there = stack.resources(services.cloudformation, target.stack)
    found = (versions.published(services.functions, each.name) for each in there if each.kind == _FUNCTION)
    return [each for each in found if each]


def _remove_superseded(target: Target, services: Services, gateway: str) -> dict[str, tuple[int, ...]]:
    removed = {}
    for each in _published(target, services):
        old = versions.superseded(each)
        versions.remove(services.functions, each.function, old)
        note = f"removed {', '.join(map(str, old))}" if old else "nothing to remove"
        _say(f"{each.function}: version {each.live} is live; {note}")
        if old:
            removed[each.function] = old
        if (newest := max(each.versions)) > each.live:
            fix = (
                f"./deploy.sh --rollback {target.name} --to {newest}" if each.function == gateway else "change its code"
            )
            _say(
                f"WARNING: version {newest} of {each.function} was rolled back, and this deployment did "
                f"not change it. To serve it: {fix}"
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
                f"WARNING: {name} is at {provider.base_url}, and Lambda only reaches public addresses. "
                "Set its base URL in .env."
            )


@cache
def _template() -> Any:
    return yaml_parse((CHECKOUT / "template.yaml").read_text(encoding="utf-8"))


def _confirm(name: str) -> bool:
    if not sys.stdin.isatty():
        raise DeployError("Cannot ask for confirmation without a terminal. Add --yes to delete without asking.")
    try:
        print(f"Type {name} to delete it: ", end="", file=sys.stderr, flush=True)
        return input().strip() == name
    except EOFError:
        return False


def _step(what: str) -> None:
    print(f"\n==> {what}", file=sys.stderr, flush=True)


def _say(what: str) -> None:
    print(f"    {what}", file=sys.stderr, flush=True)
