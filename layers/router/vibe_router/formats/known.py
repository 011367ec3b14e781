"""Every wire format by its name. A format's module is imported when it is first needed: most callers speak one."""

from vibe_router.formats.chat import CHAT
from vibe_router.formats.wire import ClientFormat, ProviderFormat

__all__ = ["TRANSLATABLE", "TRANSLATED", "client", "provider"]

# Callers' formats that have a neutral form, and providers' formats that it can be said in.
TRANSLATABLE = frozenset({"chat", "completions", "messages", "responses"})
TRANSLATED = frozenset({"chat", "converse", "messages", "responses"})


def client(name: str) -> ClientFormat:
    """Return a format that callers speak. Raises KeyError for a name that is none."""
    match name:
        case "chat":
            return CHAT
        case "messages":
            from vibe_router.formats.messages import MESSAGES

            return MESSAGES
        case "responses":
            from vibe_router.formats.responses import RESPONSES

            return RESPONSES
        case "completions":
            from vibe_router.formats.completions import COMPLETIONS

            return COMPLETIONS
        case _:
            from vibe_router.formats.plain import PLAIN

            return PLAIN[name]


def provider(name: str) -> ProviderFormat:
    """Return a format that providers speak. Raises KeyError for a name that is none."""
    match name:
        case "chat":
            return CHAT
        case "converse":
            from vibe_router.formats.converse import CONVERSE

            return CONVERSE
        case "messages":
            from vibe_router.formats.messages import MESSAGES

            return MESSAGES
        case "responses":
            from vibe_router.formats.responses import RESPONSES

            return RESPONSES
        case "completions":
            from vibe_router.formats.completions import COMPLETIONS

            return COMPLETIONS
        case _:
            from vibe_router.formats.plain import PLAIN

            return PLAIN[name]
