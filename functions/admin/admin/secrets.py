"""/secrets: write the providers' keys. None is ever read out.

API Gateway sends these calls to a function of their own: the only one that holds the page's users and may write the
router's secret. It has the admin function's code, and the admin function's role cannot read a provider's key.
"""

from typing import Annotated, Any

from aws_lambda_powertools.event_handler.openapi.params import Path
from pydantic import Field

from admin.call import Call, call_of
from admin.fields import Body, example
from admin.openapi import answers
from admin.router import Router
from vibe_router.core.errors import bad_request, not_found, unavailable
from vibe_router.core.secret_names import RESERVED
from vibe_router.routing.settings import checked_secret_name
from vibe_router.store.aws_errors import AwsError, error_code
from vibe_router.store.secret_writer import MAX_VALUE, SecretFullError

__all__ = ["router"]

router = Router()

_ANSWERS = answers("The `name`, and whether it `was_set` before.", 404)
_NAME = Annotated[str, Path(max_length=128, description="The name that a provider or receiver has as `secret`")]


class SecretValue(Body):
    """The value of an entry; white space around it is dropped."""

    model_config = example(secret="YOUR_PROVIDERS_KEY")  # noqa: S106 - an example

    secret: Annotated[str, Field(min_length=1, max_length=MAX_VALUE, description="The key or token itself")]


@router.put("/secrets/<name>", tags=["Secrets"], responses=_ANSWERS)
def put(name: _NAME, body: SecretValue) -> dict[str, Any]:
    """Set an entry of the router's secret. The gateway reads it within five minutes, or after a rejected key."""
    value = body.secret.strip()
    if not value or not value.isprintable():
        raise bad_request("secret: it is empty, or contains a line break or control character.", param="secret")
    return {"name": name, "was_set": _write(call_of(router), name, value)}


@router.delete(
    "/secrets/<name>", tags=["Secrets"], responses=answers("The `name`, and whether it `was_set` before.", 404)
)
def delete(name: _NAME) -> dict[str, Any]:
    """Delete an entry of the router's secret."""
    return {"name": name, "was_set": _write(call_of(router), name, None)}


def _write(call: Call, name: str, value: str | None) -> bool:
    writer = call.environment.secret_writer
    if writer is None:
        raise not_found("Secrets are written by a function of their own, which this is not.")
    if name in RESERVED:
        raise bad_request(f"{name} is an entry of the router's own. Change it in Secrets Manager.", param="name")
    try:
        checked_secret_name(name)
    except ValueError as error:
        raise bad_request(f"The name {error}.", param="name") from None
    try:
        was_set = writer.write(name, value)
    except SecretFullError:
        raise bad_request("The router's secret is full: Secrets Manager stores 64 KB.", param="secret") from None
    except (AwsError, ValueError) as error:
        raise unavailable(f"The secret could not be written ({error_code(error)}).") from None
    call.environment.secrets.invalidate()
    return was_set
