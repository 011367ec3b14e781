"""The pairs of formats of callers and providers that every scenario is run for, as data."""

from importlib.util import find_spec

from local.standin import Standin

__all__ = [
    "CROSSINGS",
    "MODELS",
    "OTHERS",
    "PAIRS",
    "PROVIDERS",
    "PROVIDER_MODEL",
    "SPARES",
    "crossing",
    "routes",
    "spare",
]

PROVIDERS = {"chat": "chats", "responses": "responds", "messages": "messages-on", "converse": "bedrock"}
"""The provider for each format: played by the stand-in, with no other format."""

OTHERS = {
    "completes": ("completions",),
    "embeds": ("embeddings", "moderations", "images", "image_edits", "speech", "transcriptions", "rerank"),
}
"""The formats of other providers: each serves a virtual model of its name."""

PROVIDER_MODEL = "claude-haiku-4-5"
"""The name of each provider's one model. Bedrock's are asked to think when they are Claude's, by a budget in tokens
when they are old, so others are called Claude too.
"""

MODELS = {spoken: f"via-{spoken}" for spoken in PROVIDERS}
"""The virtual model that a provider of each format stands behind, alone."""

SPARES = 40
"""How many models each provider has beside that: one for each test that breaks one, so that none waits for another's
cooldown to end."""


def spare(spoken: str, number: int) -> str:
    """Return the virtual model of a spare one, which its provider calls the same."""
    return f"spare-claude-{spoken}-{number}"


def _has_gemini() -> bool:
    """Return whether Google's package is installed, as `make test` does."""
    try:
        return find_spec("google.genai") is not None
    except ModuleNotFoundError:
        return False


CALLERS = ("chat", "responses", "messages", *(["gemini"] if _has_gemini() else []))
SPOKEN = tuple(PROVIDERS)

PAIRS = [(caller, spoken) for caller in CALLERS for spoken in SPOKEN]
"""Formats of callers, each with each format of providers."""


CROSSINGS = [
    (user, first, second)
    for user in (*CALLERS, "codex", "claude")
    for first, second in [("responses", "messages"), ("messages", "responses"), ("chat", "messages")]
] + [(caller, caller, "converse") for caller in CALLERS if caller in PROVIDERS]
"""Callers and agents, and the formats of the two deployments that serve them."""


def crossing(user: str, first: str, second: str) -> str:
    """Return the virtual model of such a chain, whose providers call it the same."""
    return f"crossing-claude-of-{user}-{first}-{second}"


def routes(standin: Standin) -> str:
    """Return a routes file with one virtual model for each format of providers."""
    lines = ["providers:"]
    for provider, formats in [*((name, (spoken,)) for spoken, name in PROVIDERS.items()), *OTHERS.items()]:
        what = f"secret: PROVIDER_KEY, formats: [{', '.join(formats)}]"
        if formats == ("converse",):
            what = "type: bedrock, region: eu-west-1"
        lines.append(f"  {provider}: {{base_url: {standin.base_url(provider)}, {what}}}")
    # Without stays, a conversation returns to the first deployment at once: the tests change formats at will.
    lines += ["defaults: {cooldown: {base: 1, max: 5}, retries: 0, stay: 0}", "models:"]
    for spoken, provider in PROVIDERS.items():
        spares = [spare(spoken, number) for number in range(SPARES)]
        for model, behind in [(MODELS[spoken], PROVIDER_MODEL), *((name, name) for name in spares)]:
            lines.append(
                f"  {model}: {{description: Of {provider}, chain: [{{provider: {provider}, model: {behind}}}]}}"
            )
    lines += [
        f"  {name}: {{description: Of {name}, chain: [{{provider: {name}, model: {PROVIDER_MODEL}}}]}}"
        for name in OTHERS
    ]
    for user, first, second in CROSSINGS:
        model = crossing(user, first, second)
        chain = ", ".join(f"{{provider: {PROVIDERS[spoken]}, model: {model}}}" for spoken in (first, second))
        lines.append(f"  {model}: {{description: For {user}, chain: [{chain}]}}")
    return "\n".join(lines) + "\n"
