"""An AWS API with hooks: a test sees each call, changes its parameters or answer, or fails it."""

from collections.abc import Callable, Mapping
from typing import Any

from vibe_router.store.aws_client import AwsApi
from vibe_router.store.aws_errors import ClientError

Before = Callable[[str, Mapping[str, Any]], None]
After = Callable[[str, dict[str, Any]], None]


class HookedApi:
    """Calls `inner`.

    The hooks `before` get operation and parameters, those `after` operation and answer, and those of `errors` what is
    raised.
    """

    def __init__(self, inner: AwsApi) -> None:
        self.inner = inner
        self.before: list[Before] = []
        self.after: list[After] = []
        self.errors: list[Callable[[str, ClientError], None]] = []

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        for hook in list(self.before):
            hook(operation, parameters)
        try:
            answer = self.inner.call(operation, parameters)
        except ClientError as error:
            for on_error in list(self.errors):
                on_error(operation, error)
            raise
        for after in list(self.after):
            after(operation, answer)
        return answer

    def close(self) -> None:
        self.inner.close()


def hooked(client: Any) -> HookedApi:
    """Return the hooks of a client (DynamoDB or SecretsManager), which get into its way on the first call of this."""
    if not isinstance(client.api, HookedApi):
        client.api = HookedApi(client.api)
    api: HookedApi = client.api
    return api


def create_table(client: Any, **definition: Any) -> None:
    """Make a table, with the parameters that boto3 takes; the stores' client has no method for it."""
    client.api.call("CreateTable", definition)
