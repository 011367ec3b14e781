"""The provider of each deployment of a LiteLLM config: API, key and model name."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from vibe_cli.litellm_import.config import FROM_ENVIRONMENT, Config, is_supported, shown
from vibe_cli.litellm_import.names import BEDROCK, NOT_OPENAI, PROVIDERS, LitellmProvider
from vibe_router.routing.spec import Place, parse_row

__all__ = ["Found", "Providers"]

_KNOWN_BY_NAME = (  # models whose provider LiteLLM infers from the name
    (re.compile(r"gpt-|chatgpt-|o[134](-|$)|text-embedding-|codex-|dall-e|whisper|tts-"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
)
_REGION = re.compile(r"[a-z]{2}(-[a-z]+)+-[0-9]")  # in bedrock/eu-west-1/...
_ON_THIS_MACHINE = frozenset(("localhost", "127.0.0.1", "0.0.0.0", "::1", "host.docker.internal"))  # noqa: S104
_USUAL_LABELS = frozenset(("api", "www", "com", "net", "org", "io", "ai", "cn", "co", "dev", "local", "v1"))


@dataclass(frozen=True, slots=True)
class Found:
    """A provider of routes.yaml, its model name, and the formats implied by the prefix; () for the provider's."""

    provider: str
    model: str
    formats: tuple[str, ...]


@dataclass(slots=True)
class Providers:
    """The providers so far: `rows` as in routes.yaml, `variables` that base URLs read without a default."""

    config: Config
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)  # by base URL
    _named: dict[str, str] = field(default_factory=dict)  # generated names by key; the key goes nowhere else

    def find(self, params: Mapping[Any, Any], at: Place) -> Found | None:
        """Return the place of these litellm_params; None after a note with the reason."""
        written = params.get("model")
        if not isinstance(written, str) or not written:
            self.config.left_out((*at, "model"), "names no model")
            return None
        if "*" in written:
            self.config.left_out((*at, "model"), "wildcards are not routed; name each model that callers use")
            return None
        prefix, model = self._prefix(written, params, (*at, "model"))
        if not prefix:
            return None
        if prefix in BEDROCK:
            return self._bedrock(model, params, at)
        formats: tuple[str, ...] = ()
        if prefix == "openai" and model.startswith("responses/"):
            model, formats = model.removeprefix("responses/"), ("responses",)
        known = PROVIDERS.get(prefix) or LitellmProvider(None, f"{_constant(prefix)}_API_KEY")
        if not is_supported(known.formats):
            self.config.left_out((*at, "model"), f"the router has no format for what {shown(prefix)} speaks")
            return None
        base_url = self._base_url(prefix, known, params, at)
        if base_url is None:
            return None
        row: dict[str, Any] = {"base_url": base_url, "secret": self._secret(known, params, at)}
        if speaks := known.at_home if known.at_home and base_url == known.base_url else known.formats:
            row["formats"] = list(speaks)
        return Found(self._called(row, _label(prefix, base_url, known)), model, formats)

    def is_bedrock(self, found: Found) -> bool:
        """Return whether a deployment is at Amazon Bedrock, which only speaks Converse."""
        return self.rows[found.provider].get("type") == "bedrock"

    def _bedrock(self, written: str, params: Mapping[Any, Any], at: Place) -> Found | None:
        """Return a model of Amazon Bedrock in the region of the model or its parameters."""
        model = written.removeprefix("converse/").removeprefix("invoke/")  # LiteLLM's two prefixes
        region, place = params.get("aws_region_name"), (*at, "aws_region_name")
        before, _, rest = model.partition("/")
        if _REGION.fullmatch(before):
            region, model, place = before, rest, (*at, "model")
        row: dict[str, Any] = {"type": "bedrock"}
        if isinstance(region, str) and region.startswith(FROM_ENVIRONMENT):
            self.config.changed(place, "is not read: without a region, the function's own region is used")
        elif region is not None:
            row["region"] = region
        if not self.config.takes("provider", "p", row, place):
            return None
        if _address(params):
            base_url = self._base_url("bedrock", LitellmProvider(None, ""), params, at)
            if base_url is None:
                return None
            row["base_url"] = base_url
        if params.get("api_key"):
            self.config.left_out((*at, "api_key"), "Bedrock is called by the function's own role")
        return Found(self._called(row, "bedrock"), model, ())

    def _called(self, row: dict[str, Any], wanted: str) -> str:
        """Return the name of the provider with this `row`, added under the name `wanted` if there is none."""
        name = next((name for name, other in self.rows.items() if other == row), None)
        if name is None:
            name = _free(wanted, self.rows, "-")
            self.rows[name] = row
        return name

    def _prefix(self, written: str, params: Mapping[Any, Any], place: Place) -> tuple[str, str]:
        """Return LiteLLM's provider and model name; two empty texts after a note with the reason."""
        explicit = params.get("custom_llm_provider")
        prefix, slash, model = written.partition("/")
        if isinstance(explicit, str) and explicit:
            prefix, model = explicit, written.removeprefix(f"{explicit}/")
        elif not slash:
            by_name = next((name for pattern, name in _KNOWN_BY_NAME if pattern.match(written)), "")
            if not by_name and not _address(params):
                self.config.left_out(place, "does not tell which provider it is at; write provider/model")
                return "", ""
            return by_name or "openai", written
        if prefix in PROVIDERS or prefix in BEDROCK:
            return prefix, model
        if prefix in NOT_OPENAI:
            self.config.left_out(
                place, f"{prefix} has an API and an authorization of its own; add it by hand if you can"
            )
            return "", ""
        if not _address(params):
            self.config.left_out(
                place, f"the address of {shown(prefix)} is not known to this import; give it an api_base"
            )
            return "", ""
        self.config.changed(place, f"{shown(prefix)} is taken for an API that speaks OpenAI's chat completions")
        return prefix, model

    def _base_url(self, prefix: str, known: LitellmProvider, params: Mapping[Any, Any], at: Place) -> str | None:
        name = _address(params)
        if not name:
            if known.base_url is None:
                self.config.left_out((*at, "model"), f"{shown(prefix)} needs an api_base")
            return known.base_url and self._checked(known.base_url, (*at, "model"))
        written, place = params[name], (*at, name)
        if not isinstance(written, str):
            self.config.left_out(place, "must be a URL")
            return None
        if not written.startswith(FROM_ENVIRONMENT):
            return self._checked(_with_suffix(written, known.suffix), place)
        variable = written.removeprefix(FROM_ENVIRONMENT)
        if not (variable.isascii() and variable.isidentifier()):
            self.config.left_out(place, "names no variable that routes.yaml could read")
            return None
        value = self.config.variable(variable)
        if known.suffix:
            self.config.changed(place, f"LiteLLM adds a path to it by itself; {variable} must end in {known.suffix}")
        if value is not None:
            default = self._checked(_with_suffix(value, known.suffix), place)
            return default and f"${{{variable}:-{default}}}"
        # No default: without the variable, one API's key would be sent to another.
        self.config.to_do(place, f"set {variable} in the environment or .env: routes.yaml reads it")
        self.variables[f"${{{variable}}}"] = variable
        return f"${{{variable}}}"

    def _checked(self, url: str, place: Place) -> str | None:
        """Return a URL for routes.yaml, or None after a note with the reason."""
        if not (url.isascii() and url.isprintable()) or any(each in url for each in '"\\{}'):
            self.config.left_out(place, "must be a URL of plain characters, such as https://api.example.com/v1")
        elif self.config.takes("provider", "p", {"base_url": url, "secret": "S"}, place):
            if (urlsplit(url).hostname or "") in _ON_THIS_MACHINE:
                self.config.changed(place, "is an address of this machine, which a function in Lambda can't reach")
            return url.rstrip("/")
        return None

    def _secret(self, known: LitellmProvider, params: Mapping[Any, Any], at: Place) -> str:
        """Return the name of the key's secret. A plain key is only compared with other keys."""
        key, place = params.get("api_key"), (*at, "api_key")
        if key is None or key == "":
            return known.secret
        text = str(key)
        if not text.startswith(FROM_ENVIRONMENT):
            name = self._make_name(text, known.secret)
            self.config.to_do(place, f"holds a key in plain, which is not repeated; put it into .env as {name}")
            return name
        name = text.removeprefix(FROM_ENVIRONMENT)
        if not parse_row("provider", "p", {"base_url": "http://p", "secret": name})[1]:
            return name
        name = self._make_name(text, known.secret)
        self.config.changed(place, f"cannot be the name of a secret; put its value into .env as {name}")
        return name

    def _make_name(self, key: str, wanted: str) -> str:
        if key not in self._named:
            self._named[key] = _free(wanted, {*self._named.values(), *_variables_of_keys(self.config.data)}, "_")
        return self._named[key]


def _address(params: Mapping[Any, Any]) -> str:
    """Return the setting with the API's address, "" if none."""
    return next((name for name in ("api_base", "base_url") if params.get(name)), "")


def _with_suffix(url: str, suffix: str) -> str:
    """Add the path that LiteLLM appends to an API's address, unless it is already there."""
    url = url.strip().rstrip("/")
    if not suffix or "/v1" in url:
        return url.removesuffix("/messages").removesuffix("/chat/completions")
    return url.removesuffix("/openai") + suffix


def _variables_of_keys(data: Mapping[Any, Any]) -> set[str]:
    """Return every variable that the config reads a key from; generated names must differ."""
    found = set()
    for part, inner in (("model_list", "litellm_params"), ("credential_list", "credential_values")):
        entries = data.get(part)
        for entry in entries if isinstance(entries, list) else ():
            holder = entry.get(inner) if isinstance(entry, dict) else None
            key = holder.get("api_key") if isinstance(holder, dict) else None
            if isinstance(key, str):
                found.add(key.removeprefix(FROM_ENVIRONMENT))
    return found


def _label(prefix: str, base_url: str, known: LitellmProvider) -> str:
    """Return a provider's name: LiteLLM's prefix at the default address, else from its address."""
    label = re.sub(r"[^A-Za-z0-9_.-]+", "-", prefix).strip("-.") or "provider"
    if base_url == known.base_url:
        return label[:48]
    if variable := re.match(r"\$\{([A-Za-z0-9_]+?)(?:_API)?(?:_BASE)?(?:_URL)?(?::-.*)?\}", base_url):
        return variable[1].strip("_").lower().replace("_", "-")[:48] or label[:48]
    host = urlsplit(base_url).hostname or ""
    parts = [part for part in host.split(".") if part not in _USUAL_LABELS]
    if not parts or all(part.isdigit() for part in parts) or ":" in host or host == "localhost":
        return label[:48]
    return re.sub(r"[^A-Za-z0-9-]+", "-", parts[0]).strip("-")[:48] or label[:48]


def _constant(prefix: str) -> str:
    """Return a prefix in the form of a variable's name."""
    name = re.sub(r"[^A-Za-z0-9]+", "_", prefix).strip("_").upper()[:64]
    return f"KEY_{name}" if not name or name[0].isdigit() else name


def _free(wanted: str, taken: Collection[str], joint: str) -> str:
    """Return the name `wanted`, with a number if it is taken."""
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}{joint}{number}", number + 1
    return name
