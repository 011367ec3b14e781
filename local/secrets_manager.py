"""A small Secrets Manager in memory, for the development stack."""

import uuid
from collections.abc import Mapping
from typing import Any

__all__ = ["SecretsManager", "SecretsManagerError"]


class SecretsManagerError(Exception):
    """An error of Secrets Manager's: its code and its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class SecretsManager:
    """Secrets by name; an ARN that ends with the name works too."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)
        self._versions = {name: str(uuid.uuid4()) for name in secrets}

    def call(self, operation: str, parameters: Mapping[str, Any]) -> Mapping[str, Any]:
        """Run an operation. Raises `SecretsManagerError`."""
        name = str(parameters.get("SecretId", "")).rpartition(":")[2]
        if name not in self._secrets:
            raise SecretsManagerError("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
        if operation == "PutSecretValue":
            self._secrets[name] = str(parameters["SecretString"])
            self._versions[name] = str(uuid.uuid4())
        described = {
            "ARN": f"arn:aws:secretsmanager:us-east-1:123456789012:secret:{name}",
            "Name": name,
            "VersionId": self._versions[name],
            "VersionStages": ["AWSCURRENT"],
        }
        match operation:
            case "GetSecretValue":
                return {**described, "SecretString": self._secrets[name], "CreatedDate": 0}
            case "PutSecretValue" | "DescribeSecret":
                return described
        raise SecretsManagerError("UnknownOperationException", f"The development stack has no operation {operation}")
