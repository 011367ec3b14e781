"""AWS errors as plain sentences that say what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from vibe_cli.errors import CommandError

__all__ = ["aws_errors"]

_DENIED = "These credentials lack the permission. Ask for it, or use other credentials (AWS_PROFILE)."
_EXPIRED = "The AWS session has ended. Run `aws sso login`, or renew the credentials."
_UNKNOWN = "AWS rejected these credentials. Run `aws configure`, set AWS_PROFILE, or check the region."
_ADVICE = {
    "AccessDenied": _DENIED,
    "AccessDeniedException": _DENIED,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidClientTokenId": _UNKNOWN,
    "SignatureDoesNotMatch": "AWS rejected these credentials: the secret access key is wrong.",
    "UnrecognizedClientException": _UNKNOWN,
}


@contextmanager
def aws_errors(service: str, *, not_found: str | None = None, status: int = 2) -> Iterator[None]:
    """Raise CommandError with `status` for AWS errors; `not_found` is the message for a missing resource."""
    from botocore import exceptions

    from vibe_router.store.aws_errors import AwsError, ClientError

    def fail(message: str, error: Exception) -> None:
        raise CommandError(message, status) from error

    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        fail("No AWS credentials. Run `aws configure` or `aws sso login`, or set AWS_PROFILE.", error)
    except exceptions.NoRegionError as error:
        fail("No AWS region. Set AWS_REGION, or a region in the AWS profile.", error)
    except exceptions.ProfileNotFound as error:
        fail(f"{error}. AWS_PROFILE must name a profile in ~/.aws/config.", error)
    except (exceptions.SSOTokenLoadError, exceptions.UnauthorizedSSOTokenError) as error:
        fail(_EXPIRED, error)
    except (exceptions.ClientError, ClientError) as error:
        details = error.response.get("Error", {})
        code = details.get("Code", "")
        if code == "ResourceNotFoundException" and not_found:
            fail(not_found, error)
        fail(f"{service}: {details.get('Message') or error}\n{_ADVICE.get(code, '')}".rstrip(), error)
    except exceptions.WaiterError as error:
        fail(f"{service}: {error}", error)
    except (exceptions.BotoCoreError, AwsError) as error:
        fail(f"{service} cannot be reached: {error}", error)
