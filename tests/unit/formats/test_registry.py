"""The table of wire formats: every entry leads to a format of its name, with the abilities that the entry states."""

import pytest

from vibe_router.core.wire_formats import DECLARABLE, WIRE_FORMATS
from vibe_router.formats import registry
from vibe_router.formats.chat.format import CHAT
from vibe_router.formats.completions.format import COMPLETIONS
from vibe_router.formats.converse.format import CONVERSE
from vibe_router.formats.gemini.format import GEMINI
from vibe_router.formats.interfaces import ClientConversation, ProviderConversation, StreamedFormat
from vibe_router.formats.messages.format import MESSAGES
from vibe_router.formats.responses.format import RESPONSES

# The type checker proves here what the registry's casts promise.
CLIENTS: tuple[ClientConversation, ...] = (CHAT, COMPLETIONS, GEMINI, MESSAGES, RESPONSES)
PROVIDERS: tuple[ProviderConversation, ...] = (CHAT, CONVERSE, MESSAGES, RESPONSES)
STREAMED: tuple[StreamedFormat, ...] = (*PROVIDERS, COMPLETIONS)


@pytest.mark.parametrize("name", sorted(WIRE_FORMATS))
def test_an_entry_leads_to_the_format_of_its_name(name: str) -> None:
    found = registry.provider(name)
    assert (found.name, found.streams) == (name, WIRE_FORMATS[name].streams)
    if path := WIRE_FORMATS[name].client_path:
        assert id(registry.client(name)) == id(found)
        assert found.path == path


def test_the_table_states_which_formats_translate_and_stream() -> None:
    assert {each.name for each in CLIENTS} == registry.TRANSLATABLE
    assert {each.name for each in PROVIDERS} == registry.TRANSLATED
    assert {each.name for each in STREAMED} == {name for name, entry in WIRE_FORMATS.items() if entry.streams}
    assert [registry.client_conversation(each.name) for each in CLIENTS] == [*CLIENTS]
    assert [registry.conversation(each.name) for each in PROVIDERS] == [*PROVIDERS]
    assert set(WIRE_FORMATS) - set(DECLARABLE) == {"converse", "gemini"}


@pytest.mark.parametrize(
    ("look_up", "name"),
    [
        (registry.client, "converse"),
        (registry.client_conversation, "embeddings"),
        (registry.conversation, "completions"),
        (registry.streamed, "speech"),
        (registry.provider, "telepathy"),
    ],
)
def test_a_format_without_the_ability_is_not_found(look_up: object, name: str) -> None:
    assert callable(look_up)
    with pytest.raises(KeyError):
        look_up(name)
