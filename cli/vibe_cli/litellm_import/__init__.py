"""Convert a LiteLLM proxy's config.yaml to a routes.yaml, and report by line what cannot be converted.

    model_list          the deployments of one model_name become the steps of its chain: one step per `order`,
                        load-balanced by `weight` (or, as in LiteLLM, by `rpm` or `tpm`)
    fallbacks           the chains of the fallback models follow a model's own
    model_group_alias   a virtual model with the same chain
    api_key             the name of a secret: the NAME of os.environ/NAME, or a new one for a key written in plain
    other settings      timeouts, retries, cooldowns and prices, if routes.yaml has an equivalent

Pure: text in, text out. A secret in the config never appears in the routes or in a note.
"""

from dataclasses import dataclass

from vibe_cli.litellm_import import settings
from vibe_cli.litellm_import.chains import chains
from vibe_cli.litellm_import.config import Config, Note
from vibe_cli.litellm_import.providers import Providers
from vibe_cli.litellm_import.text import routes_text
from vibe_cli.yaml_document import Document, UnreadableError

__all__ = ["Imported", "LitellmConfigError", "Note", "import_config"]


class LitellmConfigError(Exception):
    """A text is not a LiteLLM config. The message begins with the file's name, and the line if there is one."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A converted config: `routes` is the text of a routes.yaml, or "" if no model could be converted.

    `secrets` are the names of the keys it needs, `variables` the environment variables it reads without a default.
    Notes are in the order of their lines.
    """

    routes: str
    models: tuple[str, ...]
    providers: tuple[str, ...]
    secrets: tuple[str, ...]
    variables: tuple[str, ...]
    notes: tuple[Note, ...]


def import_config(text: str, file: str = "config.yaml") -> Imported:
    """Convert a config's text; `file` is its name in notes. Raises LitellmConfigError."""
    document = Document(None)
    try:
        data = document.read(text)
    except UnreadableError as error:
        where = f"{file}:{error.line}" if error.line else file
        raise LitellmConfigError(f"{where}: {error.reason}") from error
    if not isinstance(data, dict) or not data.get("model_list"):
        raise LitellmConfigError(f"{file}: has no model_list, so there is nothing to make routes of")
    config = Config(data, document)
    for _, problem in document.problems:
        config.left_out(problem.place, problem.reason)
    providers = Providers(config)
    found = chains(config, providers)
    defaults = settings.defaults(config)
    settings.general(config)
    named = {member.row["provider"] for chain in found.values() for step in chain for member in step.members}
    rows = {name: row for name, row in providers.rows.items() if name in named}
    urls = {row.get("base_url") for row in rows.values()}
    return Imported(
        routes=routes_text(file, rows, defaults, found) if found else "",
        models=tuple(found),
        providers=tuple(rows),
        secrets=tuple(dict.fromkeys(row["secret"] for row in rows.values() if "secret" in row)),
        variables=tuple(sorted({name for url, name in providers.variables.items() if url in urls})),
        notes=tuple(sorted(dict.fromkeys(config.notes), key=lambda note: note.line)),
    )
