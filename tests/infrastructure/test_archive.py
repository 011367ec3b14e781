"""The archive of requests: nothing without the parameter; with it a private bucket and the least permissions."""

import pytest

from tests.infrastructure.expanded import expand

STACK = expand()
RESOURCES = STACK["Resources"]
BUCKET = {"Fn::If": ["HasOwnArchive", {"Ref": "Archive"}, {"Ref": "ArchiveBucket"}]}


def test_without_the_parameter_there_is_no_archive() -> None:
    assert STACK["Parameters"]["ArchiveBucket"]["Default"] == ""
    assert STACK["Conditions"]["HasArchive"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "ArchiveBucket"}, ""]}]}
    assert STACK["Conditions"]["HasOwnArchive"] == {"Fn::Equals": [{"Ref": "ArchiveBucket"}, "create"]}
    assert {name: RESOURCES[name]["Condition"] for name in ("Archive", "ArchivePolicy")} == {
        "Archive": "HasOwnArchive",
        "ArchivePolicy": "HasOwnArchive",
    }


@pytest.mark.parametrize(
    ("policy", "role", "action"),
    [
        ("WriteArchivePolicy", "GatewayRole", "s3:PutObject"),
        ("ReadArchivePolicy", "AdminRole", "s3:GetObject"),
    ],
)
def test_the_gateway_writes_and_the_admin_function_reads_and_that_is_all(policy: str, role: str, action: str) -> None:
    resource = RESOURCES[policy]
    assert resource["Condition"] == "HasArchive"
    assert resource["Properties"]["RoleName"] == {"Ref": role}
    (statement,) = resource["Properties"]["PolicyDocument"]["Statement"]
    where = {"Fn::Sub": ["arn:${AWS::Partition}:s3:::${Bucket}/archive/*", {"Bucket": BUCKET}]}
    assert statement == {"Effect": "Allow", "Action": action, "Resource": where}


def test_both_functions_know_the_bucket_and_publish_a_version_when_it_changes() -> None:
    for name in ("GatewayFunction", "AdminFunction"):
        assert RESOURCES[name]["Properties"]["Environment"]["Variables"]["ARCHIVE_BUCKET"] == BUCKET
    template = RESOURCES["GatewayFunctionAliaslive"]["Properties"]["FunctionVersion"]["Fn::GetAtt"][0]
    assert "${ArchiveBucket}" in str(RESOURCES[template]["Properties"]["Description"])


def test_the_bucket_is_private_encrypted_over_tls_and_emptied() -> None:
    bucket = RESOURCES["Archive"]
    assert (bucket["DeletionPolicy"], bucket["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
    properties = bucket["Properties"]
    assert all(properties["PublicAccessBlockConfiguration"].values())
    assert len(properties["PublicAccessBlockConfiguration"]) == 4
    (rule,) = properties["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "aws:kms"}
    assert properties["OwnershipControls"] == {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    (expiry,) = properties["LifecycleConfiguration"]["Rules"]
    assert (expiry["Status"], expiry["ExpirationInDays"]) == ("Enabled", {"Ref": "ArchiveDays"})
    (denied,) = RESOURCES["ArchivePolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert (denied["Effect"], denied["Principal"], denied["Action"]) == ("Deny", "*", "s3:*")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert len(denied["Resource"]) == 2
