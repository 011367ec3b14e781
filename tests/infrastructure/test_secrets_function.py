"""The function that writes the providers' keys: the admin function's code, with a role for that alone."""

from tests.infrastructure.expanded import Resource, allowed_actions, expand

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
    change = {"secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue"}
    assert allowed_actions(ROLE) == {
        '{"Ref": "Secret"}': change,
        '{"Ref": "AdminSecret"}': change,
        '{"Fn::GetAtt": ["KeysTable", "Arn"]}': {"dynamodb:GetItem"},
        '{"Fn::GetAtt": ["LedgerTable", "Arn"]}': {"dynamodb:GetItem"},
        '{"Fn::GetAtt": ["AuditTable", "Arn"]}': {"dynamodb:PutItem"},
        '{"Fn::GetAtt": ["SecretsLogGroup", "Arn"]}': {"logs:CreateLogStream", "logs:PutLogEvents"},
    }
    (trusted,) = ROLE["AssumeRolePolicyDocument"]["Statement"]
    assert trusted["Principal"] == {"Service": "lambda.amazonaws.com"}
    assert "ManagedPolicyArns" not in ROLE
