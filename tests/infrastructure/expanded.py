"""template.yaml as CloudFormation would get it: what the SAM translator makes of it, without AWS."""

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = ROOT / "template.yaml"
_BUCKET = "artefacts"
Resource = dict[str, Any]


class _NoManagedPolicies:
    """Stands where the translator would ask IAM for AWS's policies. The template names none by name."""

    def load(self) -> dict[str, str]:
        return {}


@cache
def _as_json() -> str:
    return json.dumps(yaml_parse(TEMPLATE.read_text(encoding="utf-8")))


def written() -> dict[str, Any]:
    """Return a copy of the template as it is written. Its YAML, which takes half a second, is parsed once."""
    template: dict[str, Any] = json.loads(_as_json())
    return template


def _artefacts(template: Resource) -> list[tuple[str, str]]:
    """Return what `sam deploy` uploads: logical ids, each with the property that holds its address."""
    return [
        (name, key)
        for name, resource in template["Resources"].items()
        for key in ("CodeUri", "ContentUri")
        if resource["Type"].startswith("AWS::Serverless::") and key in resource["Properties"]
    ]


def upload_artefacts(s3: Any) -> None:
    """Put an archive where the expanded template looks for each function and layer."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("app.py", "def handler(event, context): ...")
    s3.create_bucket(Bucket=_BUCKET)
    for name, _ in _artefacts(written()):
        s3.put_object(Bucket=_BUCKET, Key=f"{name}.zip", Body=packed.getvalue())


@cache
def _expanded(parameters: frozenset[tuple[str, str]], contents: frozenset[tuple[str, str]]) -> str:
    template = written()
    uris = dict(contents)
    for name, key in _artefacts(template):  # what `sam deploy` does after its upload
        template["Resources"][name]["Properties"][key] = uris.get(name, f"s3://{_BUCKET}/{name}.zip")
    with patch.dict("os.environ", AWS_DEFAULT_REGION="us-east-1"):
        return json.dumps(transform(template, dict(parameters), _NoManagedPolicies()))


def expand(parameters: Mapping[str, str] | None = None, contents: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the expanded template; `contents` gives artefacts another S3 URI, by logical id."""
    text = _expanded(frozenset((parameters or {}).items()), frozenset((contents or {}).items()))
    expanded: dict[str, Any] = json.loads(text)
    return expanded


def read_as_json(patch: pytest.MonkeyPatch) -> None:
    """Let moto read templates as the JSON that they are here: read as YAML, each takes it half a second."""
    reader = SimpleNamespace(
        add_multi_constructor=lambda *_: None, load=lambda text, **_: json.loads(text), Loader=None
    )
    patch.setattr("moto.cloudformation.models.yaml", reader)


def of_type(template: Mapping[str, Any], kind: str) -> dict[str, Resource]:
    """Return the resources of one type, by logical id."""
    return {name: resource for name, resource in template["Resources"].items() if resource["Type"] == kind}


def only(template: Mapping[str, Any], kind: str) -> Resource:
    """Return the one resource of a type."""
    ((_, resource),) = of_type(template, kind).items()
    return resource


def allowed_actions(role: Resource) -> dict[str, set[str]]:
    """Return the actions that a role's policies allow, by resource as JSON. Each policy has one statement."""
    allowed: dict[str, set[str]] = {}
    for policy in role["Policies"]:
        (statement,) = policy["PolicyDocument"]["Statement"]
        actions, resources = statement["Action"], statement["Resource"]
        for resource in resources if isinstance(resources, list) else [resources]:
            allowed.setdefault(json.dumps(resource), set()).update(actions if isinstance(actions, list) else [actions])
    return allowed


def strings(value: object) -> Iterator[str]:
    """Yield every string in `value`, keys of objects included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
