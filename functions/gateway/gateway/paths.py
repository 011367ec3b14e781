"""The paths of models as clients write them: with the version doubled, with stray slashes, or as Azure has them."""

import re
from typing import NamedTuple
from urllib.parse import unquote

__all__ = ["Target", "target_of"]

_AZURE = "openai/"
_DEPLOYMENT = "deployments/"
_SLASHES = re.compile(r"//+")
_VERSIONS = re.compile(r"(?:v1/++)*+")  # one match, since cutting them off one by one copies the path each time


class Target(NamedTuple):
    """The path of a route, without /v1, and the model that an Azure path names."""

    path: str
    model: str | None = None


def target_of(path: str) -> Target:
    """Return what a request for `path` asks for: `/v1/v1/models` is `/models`.

    Azure's `/openai/deployments/MODEL/chat/completions` is `/chat/completions` with a model.
    """
    if path.startswith("/v1/") and "//" not in path and not path.startswith("/v1/v1/"):  # nearly all of them
        return Target(path[3:])
    rest = path.lstrip("/")
    is_azure = rest.startswith(_AZURE)
    if is_azure:
        rest = rest[len(_AZURE) :].lstrip("/")
    if versions := _VERSIONS.match(rest):
        rest = rest[versions.end() :]
    if not rest.startswith("models/"):  # a model's name may have any characters
        rest = _SLASHES.sub("/", rest)
    if is_azure and rest.startswith(_DEPLOYMENT):
        model, _, operation = rest[len(_DEPLOYMENT) :].partition("/")
        return Target(f"/{operation}", unquote(model, errors="replace"))
    return Target(f"/{rest}")
