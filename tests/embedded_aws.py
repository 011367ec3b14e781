"""The AWS of `make start` in the process of a test: a call costs no socket, no signature and no moto."""

import json
from collections.abc import Mapping
from typing import Any

from local.aws_connection import Service
from local.dynamodb.database import Database
from local.dynamodb.operations import DynamoDB as EmbeddedDynamoDB
from local.dynamodb.operations import DynamoDBError
from local.secrets_manager import SecretsManager as EmbeddedSecretsManager
from local.secrets_manager import SecretsManagerError
from vibe_router.store.aws_errors import ClientError
from vibe_router.store.dynamodb import DynamoDB
from vibe_router.store.secrets import SecretsManager

__all__ = ["EmbeddedApi", "embedded_dynamodb", "embedded_secrets"]


class EmbeddedApi:
    """An `AwsApi` over a service in this process."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Run an operation on a copy of its parameters. Raises ClientError."""
        try:
            answer = self._service.call(operation, json.loads(json.dumps(parameters)))
        except (DynamoDBError, SecretsManagerError) as error:
            response = {
                **getattr(error, "fields", {}),
                "Error": {"Code": error.code, "Message": error.message},
                "ResponseMetadata": {"HTTPStatusCode": 400},
            }
            raise ClientError(response, operation) from error
        return dict(answer)

    def close(self) -> None:
        """Do nothing: there is no connection."""


def embedded_dynamodb() -> DynamoDB:
    """Return the stores' client over an empty DynamoDB in memory."""
    return DynamoDB(EmbeddedApi(EmbeddedDynamoDB(Database(":memory:"))))


def embedded_secrets(secrets: Mapping[str, str]) -> SecretsManager:
    """Return the stores' client over a Secrets Manager that holds these secrets."""
    return SecretsManager(EmbeddedApi(EmbeddedSecretsManager(secrets)))
