"""Turns a LiteLLM proxy's config.yaml into a routes.yaml, and tells line by line what could not be carried over.

    model_list          the deployments of one model_name are the steps of its chain: `order` tells steps apart, and
                        those of one order share their step by `weight` (or, as LiteLLM does it, by `rpm` or `tpm`)
    fallbacks           the chains of the models that are fallen back to come after a model's own
    model_group_alias   a virtual model with the same chain
    api_key             the name of a secret: the NAME of os.environ/NAME, or a new one for a key written in plain
    other settings      timeouts, retries, cooldowns and prices, where routes.yaml has the like

Pure: text in, text out. A secret that the config holds is never repeated, neither in the routes nor in what is said.
For people's machines only: PyYAML is not in Lambda, and nothing that the functions import may import this package.
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
    """A text that is no LiteLLM config. Its message begins with the file's name, and the line where there is one."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of a config: `routes` is the text of a routes.yaml, or "" when no model could be carried over.

    `secrets` are the names of the keys that it needs; `variables` those of the environment that it reads and has no
    default for. Notes come in the order of their lines.
    """

    routes: str
    models: tuple[str, ...]
    providers: tuple[str, ...]
    secrets: tuple[str, ...]
    variables: tuple[str, ...]
    notes: tuple[Note, ...]


def import_config(text: str, file: str = "config.yaml") -> Imported:
    """Translate a config's text; `file` is what it is called in what is said. Raises LitellmConfigError."""
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
