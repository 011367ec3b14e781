"""Import the tables that an earlier stack of the same name left.

The template retains its tables and names them after the stack, so a new stack would fail because they exist.
CloudFormation's automatic import (--import-existing-resources) does not support names with !Sub. So the stack is
created by a change set of the type IMPORT, which may contain nothing but the existing tables. `sam deploy` then updates
it to the whole template, which leaves the tables unchanged.

https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/resource-import-new-stack.html
https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/import-resources-automatically.html
"""

import json
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import WaiterError

from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.services import aws_errors
from vibe_cli.deploy.stack import RETAINED

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient

__all__ = ["adopt", "existing", "import_template", "named_tables", "protect"]

_TABLE = "AWS::DynamoDB::Table"
_IMPORTED = ("Type", "UpdateReplacePolicy", "Properties")
_PATIENCE = {"Delay": 5, "MaxAttempts": 120}


def named_tables(template: Mapping[str, Any], stack: str) -> dict[str, str]:
    """Return the names of the template's retained tables in `stack`, by logical id."""
    return {
        logical_id: _name(resource["Properties"]["TableName"], stack)
        for logical_id, resource in template["Resources"].items()
        if resource["Type"] == _TABLE and resource.get("DeletionPolicy") in RETAINED
    }


def _name(name: object, stack: str) -> str:
    text = name["Fn::Sub"] if isinstance(name, dict) else name
    return str(text).replace("${AWS::StackName}", stack)


def existing(client: "DynamoDBClient", tables: Mapping[str, str]) -> dict[str, str]:
    """Return those of `tables` (logical id to name) that exist."""
    found = {}
    for logical_id, name in tables.items():
        with aws_errors("DynamoDB"):
            try:
                client.describe_table(TableName=name)
            except client.exceptions.ResourceNotFoundException:
                continue
        found[logical_id] = name
    return found


def protect(client: "DynamoDBClient", tables: Iterable[str]) -> tuple[str, ...]:
    """Switch on deletion protection of the tables without it; return their names.

    The template does not, because CloudFormation could then not undo a first creation that fails.
    """
    changed = []
    for name in tables:
        with aws_errors("DynamoDB"):
            if not client.describe_table(TableName=name)["Table"].get("DeletionProtectionEnabled"):
                client.update_table(TableName=name, DeletionProtectionEnabled=True)
                changed.append(name)
    return tuple(changed)


def import_template(template: Mapping[str, Any], tables: Mapping[str, str]) -> dict[str, Any]:
    """Return a template with only `tables` (logical id to name) from `template`, with literal names.

    It has one unused parameter of the template, because the SAM CLI reads a stack's parameters before it updates it.
    """
    resources: dict[str, Any] = {}
    for logical_id, name in tables.items():
        declared = template["Resources"][logical_id]
        # Retain, whatever the template says: to CloudFormation an import creates the stack, and what it adds must stay.
        resources[logical_id] = {"DeletionPolicy": "Retain"} | {k: declared[k] for k in _IMPORTED if k in declared}
        literal = {"TableName": name, "DeletionProtectionEnabled": True}
        resources[logical_id]["Properties"] = {**declared["Properties"], **literal}
    parameters = {name: template["Parameters"][name] for name in ("StageName",) if name in template["Parameters"]}
    return {"AWSTemplateFormatVersion": "2010-09-09", "Parameters": parameters, "Resources": resources}


def adopt(
    client: "CloudFormationClient",
    stack: str,
    template: Mapping[str, Any],
    tables: Mapping[str, str],
    patience: Mapping[str, int] | None = None,
) -> None:
    """Create `stack` by importing `tables` (logical id to name). Raises DeployError with CloudFormation's reason."""
    wait = dict(patience or _PATIENCE)
    change_set = f"adopt-tables-{int(time.time())}"
    with aws_errors("CloudFormation"):
        client.create_change_set(
            StackName=stack,
            ChangeSetName=change_set,
            ChangeSetType="IMPORT",
            Description="Import the tables that an earlier stack of this name left",
            TemplateBody=json.dumps(import_template(template, tables)),
            ResourcesToImport=[
                {"ResourceType": _TABLE, "LogicalResourceId": logical_id, "ResourceIdentifier": {"TableName": name}}
                for logical_id, name in tables.items()
            ],
        )
        try:
            client.get_waiter("change_set_create_complete").wait(
                StackName=stack,
                ChangeSetName=change_set,
                WaiterConfig=wait,  # type: ignore[arg-type] # Delay and MaxAttempts
            )
        except WaiterError as error:
            reason = error.last_response.get("StatusReason", str(error))
            raise _rejected(tables.values(), reason) from error
        client.execute_change_set(StackName=stack, ChangeSetName=change_set)
        try:
            client.get_waiter("stack_import_complete").wait(StackName=stack, WaiterConfig=wait)  # type: ignore[arg-type] # Delay and MaxAttempts
        except WaiterError as error:
            events = client.describe_stack_events(StackName=stack)["StackEvents"]
            reasons = [each.get("ResourceStatusReason", "") for each in events if "FAILED" in each["ResourceStatus"]]
            raise _rejected(tables.values(), "; ".join(filter(None, reasons)) or str(error)) from error


def _rejected(names: Iterable[str], reason: str) -> DeployError:
    return DeployError(
        f"The tables {', '.join(names)} exist, and the new stack could not import them:\n{reason}\n"
        "If they belong to another stack, choose another stack_name in samconfig.toml."
    )
