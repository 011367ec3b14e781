"""The state of a CloudFormation stack, and deleting one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, WaiterError
from samtranslator.yaml_helper import yaml_parse

from vibe_cli.deploy.errors import DeployError
from vibe_cli.deploy.services import aws_errors

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient

__all__ = ["RETAINED", "Resource", "Stack", "delete", "describe", "resources", "retained"]

RETAINED = ("Retain", "RetainExceptOnCreate")
"""Deletion policies of resources that outlive a stack."""

_PATIENCE = {"Delay": 10, "MaxAttempts": 360}  # an hour: custom domains are slow


@dataclass(frozen=True, slots=True)
class Stack:
    """An existing stack, with the template's outputs and parameters by name."""

    name: str
    status: str
    outputs: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_busy(self) -> bool:
        """Return whether CloudFormation is changing it."""
        return self.status.endswith("_IN_PROGRESS")

    @property
    def failed_to_create(self) -> bool:
        """Return whether its first deployment failed: CloudFormation can only delete such a stack."""
        return self.status in ("ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED")

    def output(self, name: str) -> str:
        """Return an output. Raises DeployError if it is missing."""
        if name not in self.outputs:
            raise DeployError(f"The stack {self.name} has no output {name}: it was created from another template.")
        return self.outputs[name]


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource of the stack: its CloudFormation type, and its name in the service."""

    logical_id: str
    kind: str
    name: str


def describe(client: "CloudFormationClient", name: str) -> Stack | None:
    """Return a stack; None if it does not exist, or has only a change set that was never executed."""
    with aws_errors("CloudFormation"):
        try:
            (found,) = client.describe_stacks(StackName=name)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
    if found["StackStatus"] in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE"):
        return None
    outputs = {each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])}
    parameters = {each["ParameterKey"]: each.get("ParameterValue", "") for each in found.get("Parameters", [])}
    return Stack(name, found["StackStatus"], outputs, parameters)


def resources(client: "CloudFormationClient", name: str) -> list[Resource]:
    """Return the resources of the stack."""
    with aws_errors("CloudFormation"):
        pages = client.get_paginator("list_stack_resources").paginate(StackName=name)
        return [
            Resource(each["LogicalResourceId"], each["ResourceType"], each.get("PhysicalResourceId", ""))
            for page in pages
            for each in page["StackResourceSummaries"]
            if each["ResourceStatus"] != "DELETE_COMPLETE"
        ]


def retained(client: "CloudFormationClient", name: str) -> frozenset[str]:
    """Return the logical ids of resources that outlive the stack, from its deployed template."""
    with aws_errors("CloudFormation"):
        body: Any = client.get_template(StackName=name, TemplateStage="Processed")["TemplateBody"]
    template = yaml_parse(body) if isinstance(body, str) else body
    return frozenset(
        logical_id
        for logical_id, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") in RETAINED
    )


def delete(client: "CloudFormationClient", name: str, patience: Mapping[str, int] | None = None) -> None:
    """Delete a stack and wait until it is gone. Raises DeployError with CloudFormation's reasons."""
    with aws_errors("CloudFormation"):
        stack_id = client.describe_stacks(StackName=name)["Stacks"][0].get(
            "StackId", name
        )  # stays valid after deletion, unlike the name
        client.delete_stack(StackName=name)
        try:
            client.get_waiter("stack_delete_complete").wait(
                StackName=stack_id,
                WaiterConfig=dict(patience or _PATIENCE),  # type: ignore[arg-type] # Delay and MaxAttempts
            )
        except WaiterError as error:
            events = client.describe_stack_events(StackName=stack_id)["StackEvents"]
            reasons = [
                f"{each.get('LogicalResourceId')}: {each.get('ResourceStatusReason')}"
                for each in events
                if each["ResourceStatus"] == "DELETE_FAILED"
            ]
            raise DeployError(f"{name} could not be deleted:\n" + ("\n".join(reasons) or str(error))) from error
