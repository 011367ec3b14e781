"""The command and environment variables that start a function of the template on this machine."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from .environment import Launch
from .template import ACCOUNT_ID, REGION, Function, TemplateError

__all__ = ["CREDENTIALS", "launch_of"]

CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_SESSION_TOKEN": "local"}
"""The embedded AWS accepts any credentials; the machine's own must not be used by mistake."""

# The variables that a function needs to reach real providers, and a bucket elsewhere; no others are inherited.
_PASSED_ON = frozenset(
    {"PATH", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
    | {"AWS_ENDPOINT_URL_S3"}
)
_LOOPBACK = "127.0.0.1,localhost,::1"


def launch_of(
    function: Function,
    aws_endpoint: str,
    provider_base_urls: Mapping[str, str],
    environ: Mapping[str, str] = os.environ,
) -> Launch:
    """Return the launch of `function` with the embedded AWS at `aws_endpoint` and stand-ins at `provider_base_urls`.

    The variables are those of a Lambda environment
    (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html), the template's, and the local overrides.
    Raises `TemplateError` if the function's exec wrapper is not in one of its layers.
    """
    wrapper = function.environment.get("AWS_LAMBDA_EXEC_WRAPPER", "")
    program = next(
        (path for layer in function.layers if (path := layer / wrapper.removeprefix("/opt/")).is_file()), None
    )
    if not wrapper.startswith("/opt/") or program is None:
        raise TemplateError(
            f"{function.name}: AWS_LAMBDA_EXEC_WRAPPER is {wrapper!r}; it must be /opt/NAME, NAME being in a layer"
        )
    passed_on = {name: value for name, value in environ.items() if name.upper() in _PASSED_ON}
    no_proxy = ",".join(filter(None, (environ.get("NO_PROXY") or environ.get("no_proxy"), _LOOPBACK)))
    variables = {
        **passed_on,
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PYTHONPATH": _python_path(function.layers),
        "_HANDLER": function.handler,
        "LAMBDA_TASK_ROOT": str(function.code),
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": "local",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        **CREDENTIALS,
        **function.environment,
        "AWS_ENDPOINT_URL": aws_endpoint,
        # boto3 must ignore this machine's profile, and there is no metadata service.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PROVIDER_BASE_URLS": json.dumps(dict(provider_base_urls)),
    }
    return Launch(
        function_arn=f"arn:aws:lambda:{REGION}:{ACCOUNT_ID}:function:{function.name}",
        command=(str(program), sys.executable, "/var/runtime/bootstrap.py"),
        variables=variables,
        timeout=function.timeout,
        directory=function.code,
    )


def _python_path(layers: tuple[Path, ...]) -> str:
    """Return the directories that layers put on Python's path: `python/` where a layer has one, as in its archive."""
    return os.pathsep.join(str(layer / "python" if (layer / "python").is_dir() else layer) for layer in layers)
