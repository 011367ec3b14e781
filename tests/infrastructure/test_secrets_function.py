"""The function that writes the providers' keys: the admin function's code, with a role for that alone."""

from tests.infrastructure.expanded import Resource, expand

STACK = expand()
FUNCTION: Resource = STACK["Resources"]["SecretsFunction"]["Properties"]
ROLE: Resource = STACK["Resources"]["SecretsRole"]["Properties"]
ADMIN: Resource = STACK["Resources"]["AdminFunction"]["Properties"]


def test_it_has_the_code_and_environment_of_the_admin_function() -> None:
    for name in ("Handler", "Runtime", "Layers", "Timeout", "MemorySize"):
        assert FUNCTION[name] == ADMIN[name]
    variables = dict(FUNCTION["Environment"]["Variables"])
    assert variables.pop("PROVIDER_SECRET_ID") == {"Ref": "Secret"}
    assert variables == {
        name: value for name, value in ADMIN["Environment"]["Variables"].items() if name != "ARCHIVE_BUCKET"
    }


def test_its_role_changes_secrets_authenticates_and_adds_to_the_audit_log() -> None:
    allowed: dict[str, set[str]] = {}
    for policy in ROLE["Policies"]:
        (statement,) = policy["PolicyDocument"]["Statement"]
        actions, resources = statement["Action"], statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            name = resource.get("Ref") or resource["Fn::GetAtt"][0]
            allowed.setdefault(name, set()).update(actions if isinstance(actions, list) else [actions])
    change = {"secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"}
    assert allowed == {
        "Secret": change,
        "AdminSecret": change,
        "KeysTable": {"dynamodb:GetItem"},
        "LedgerTable": {"dynamodb:GetItem"},
        "AuditTable": {"dynamodb:PutItem"},
        "SecretsLogGroup": {"logs:CreateLogStream", "logs:PutLogEvents"},
    }
    (trusted,) = ROLE["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert "ManagedPolicyArns" not in ROLE
