"""Every wire format by its name. A format's module is imported when it is first needed: most callers speak one."""

from vibe_router.formats.chat.format import CHAT
from vibe_router.formats.interfaces import (
    ClientConversation,
    ClientFormat,
    ProviderConversation,
    ProviderFormat,
    StreamedFormat,
)

__all__ = ["TRANSLATABLE", "TRANSLATED", "client", "client_conversation", "conversation", "provider", "streamed"]

# Callers' formats that have a neutral form, and providers' formats that it can be said in.
TRANSLATABLE = frozenset({"chat", "completions", "messages", "responses"})
TRANSLATED = frozenset({"chat", "converse", "messages", "responses"})
# Providers' formats whose answers stream.
_STREAMED = TRANSLATED | {"completions"}


def client(name: str) -> ClientFormat:
    """Return a format that callers speak. Raises KeyError for a name that is none."""
    if name in TRANSLATABLE:
        return client_conversation(name)
    from vibe_router.formats.passthrough import PASSTHROUGH

    return PASSTHROUGH[name]


def client_conversation(name: str) -> ClientConversation:
    """Return a format of TRANSLATABLE. Raises KeyError for another one."""
    match name:
        case "chat":
            return CHAT
        case "messages":
            from vibe_router.formats.messages.format import MESSAGES

            return MESSAGES
        case "responses":
            from vibe_router.formats.responses.format import RESPONSES

            return RESPONSES
        case "completions":
            from vibe_router.formats.completions.format import COMPLETIONS

            return COMPLETIONS
    raise KeyError(name)


def provider(name: str) -> ProviderFormat:
    """Return a format that providers speak. Raises KeyError for a name that is none."""
    if name in _STREAMED:
        return streamed(name)
    from vibe_router.formats.passthrough import PASSTHROUGH

    return PASSTHROUGH[name]


def streamed(name: str) -> StreamedFormat:
    """Return a format of providers whose answers stream. Raises KeyError for another one."""
    if name == "completions":
        from vibe_router.formats.completions.format import COMPLETIONS

        return COMPLETIONS
    return conversation(name)


def conversation(name: str) -> ProviderConversation:
    """Return a format of TRANSLATED. Raises KeyError for another one."""
    match name:
        case "chat":
            return CHAT
        case "converse":
            from vibe_router.formats.converse.format import CONVERSE

            return CONVERSE
        case "messages":
            from vibe_router.formats.messages.format import MESSAGES

            return MESSAGES
        case "responses":
            from vibe_router.formats.responses.format import RESPONSES

            return RESPONSES
    raise KeyError(name)
