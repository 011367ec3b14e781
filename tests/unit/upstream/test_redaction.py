"""The provider's key in a provider's answer: redacted however it is spelled and split, and nothing else is changed."""

import base64
import json
import time
from collections.abc import Callable, Iterable
from itertools import pairwise
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.upstream.redaction import KeyRedactor, redactor_for

KEY = "sk-live/9f31c7e2-b04d+77aa/secret-end"
TEXT = st.text(st.sampled_from('abcks-/\\u0063"{}\n 9f31'), max_size=60)


def in_reads(redactor: KeyRedactor, data: bytes, cuts: Iterable[int]) -> bytes:
    stream = redactor.stream()
    bounds = [0, *sorted({cut for cut in cuts if cut < len(data)}), len(data)]
    reads = (data[start:end] for start, end in pairwise(bounds))
    return b"".join([*(stream.feed(each) for each in reads if each), stream.flush()])


def every_character(text: str) -> str:
    return "".join(f"\\u{ord(each):04X}" for each in text)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "with escaped slashes, as PHP does": lambda text: text.replace("/", "\\/"),
    "with an escaped plus, as .NET does": lambda text: text.replace("+", "\\u002B"),
    "escaped throughout": every_character,
    "escaped in places": lambda text: every_character(text[:3]) + text[3:20] + every_character(text[20:]),
    "as JSON inside JSON": lambda text: json.dumps(text.replace("/", "\\/").replace("+", "\\u002b"))[1:-1],
}


@pytest.mark.parametrize("spell", SPELLINGS.values(), ids=SPELLINGS)
@given(before=TEXT, after=TEXT, length=st.integers(8, len(KEY)), cuts=st.lists(st.integers(1, 250), max_size=6))
def test_no_long_beginning_of_the_key_is_left(
    spell: Callable[[str], str], before: str, after: str, length: int, cuts: list[int]
) -> None:
    redactor = redactor_for({"Authorization": f"Bearer {KEY}"})
    assert redactor is not None
    secret = spell(KEY[:length])
    data = f"{before}|{secret}|{after}".encode()
    for redacted in (redactor.redact(data), in_reads(redactor, data, cuts)):
        assert secret.encode() not in redacted
        assert KEY[:8].encode() not in redacted
        assert b"***" in redacted


@given(data=TEXT.map(str.encode), cuts=st.lists(st.integers(1, 60), max_size=6))
def test_reads_add_up_to_what_the_whole_answer_gives(data: bytes, cuts: list[int]) -> None:
    redactor = KeyRedactor(KEY.encode())
    assert in_reads(redactor, data, cuts) == redactor.redact(data)


@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(1, 200), max_size=6))
def test_an_answer_without_the_key_is_unchanged(data: bytes, cuts: list[int]) -> None:
    assert in_reads(KeyRedactor(KEY.encode()), data, cuts) == data


def test_an_event_that_is_complete_is_not_held_back() -> None:
    stream = KeyRedactor(KEY.encode()).stream()
    event = b'data: {"choices":[{"delta":{"content":"sk-live"}}]}\n\n'
    assert stream.feed(event) == event


def test_the_public_beginning_of_keys_may_be_written_about() -> None:
    redactor = KeyRedactor(b"sk-ant-api03-QmFzZTY0c2VjcmV0")
    about = b'{"content": "Anthropic keys begin with sk-ant-api03- and are long."}'
    assert redactor.redact(about) == about
    assert redactor.redact(b"Incorrect API key: sk-ant-api03-QmFz****") == b"Incorrect API key: *******"


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"Authorization": "Bearer sk-secret-1"}, b"sk-secret-1"),
        ({"x-api-key": "sk-secret-1"}, b"sk-secret-1"),
        ({"content-type": "application/json"}, None),
        ({"authorization": "AWS4-HMAC-SHA256 Credential=x"}, None),
        ({"authorization": "Bearer abc"}, None),
    ],
    ids=["a bearer", "Anthropic's header", "no key", "a signature", "too short to be a key"],
)
def test_the_key_is_the_one_that_was_sent(headers: dict[str, str], key: bytes | None) -> None:
    redactor = redactor_for(headers)
    assert (redactor.key if redactor else None) == key


def test_headers_are_redacted() -> None:
    redactor = KeyRedactor(KEY.encode())
    assert redactor.redact_headers({"x-request-id": f"r-{KEY}", "date": "today"}) == {
        "x-request-id": "r-***",
        "date": "today",
    }


RESPELLINGS: dict[str, Callable[[str], str]] = {
    **SPELLINGS,
    "in capitals": str.upper,
    "in the other case": str.swapcase,
    "backwards": lambda text: text[::-1],
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64, as a bearer": lambda text: base64.b64encode(f"Bearer {text}".encode()).decode(),
    "in base64, with a user's name": lambda text: base64.b64encode(f"u:{text}".encode()).decode(),
    "in base64, for URLs": lambda text: base64.urlsafe_b64encode(f"x{text}".encode()).decode(),
    "in hexadecimal": lambda text: text.encode().hex(),
    "in hexadecimal, in capitals": lambda text: text.encode().hex(" ").upper(),
    "as bytes of C": lambda text: ", ".join(f"0x{each:02x}" for each in text.encode()),
    "as a program's string": lambda text: "".join(f"\\x{each:02x}" for each in text.encode()),
    "encoded for a URL": lambda text: quote(text, safe=""),
    "encoded for a URL throughout": lambda text: "".join(f"%{each:02X}" for each in text.encode()),
    "encoded for a URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "encoded for HTML": lambda text: "".join(f"&#x{each:x};" for each in text.encode()),
    "its middle": lambda text: text[4:-4],
    "its end": lambda text: f"...{text[-12:]}",
}


@pytest.mark.parametrize("spell", RESPELLINGS.values(), ids=RESPELLINGS)
def test_an_error_has_the_key_in_no_spelling(spell: Callable[[str], str]) -> None:
    redactor = KeyRedactor(KEY.encode())
    secret = spell(KEY)
    redacted = redactor.redact_error(f'{{"error": {{"message": "bad key {secret}", "code": "{secret}"}}}}'.encode())
    own = range(12, len(secret) - 11)  # in base64, the words before the key are first
    assert not {part for at in own if (part := secret[at : at + 12].encode()) in redacted}
    assert b"***" in redacted
    assert redacted.startswith(b'{"error": {"message": "bad key ')
    assert json.loads(redacted)


@given(data=TEXT.map(str.encode))
def test_an_error_without_the_key_is_unchanged(data: bytes) -> None:
    assert KeyRedactor(b"sk-other-0123456789").redact_error(data) == data


HOSTILE = {
    "the beginning again and again": KEY[:8].encode(),
    "all but the last byte": KEY[:-1].encode(),
    "backslashes": b"\\\\\\\\\\\\\\\\",
    "escapes": b"\\u0073",
    "escapes of the beginning": every_character(KEY[:7]).encode(),
    "an ordinary event": b'data: {"choices":[{"delta":{"content":" a word"}}]}\n\n',
}


@pytest.mark.parametrize("piece", HOSTILE.values(), ids=HOSTILE)
def test_the_cost_is_linear(piece: bytes) -> None:
    redactor = KeyRedactor(KEY.encode())

    def seconds(size: int) -> float:
        data = piece * (size // len(piece))
        best = 60.0
        for _ in range(3):
            started = time.process_time()
            in_reads(redactor, data, range(4_096, len(data), 4_096))
            redactor.redact_error(data)
            best = min(best, time.process_time() - started)
        return best

    assert seconds(400_000) < 10 * max(seconds(100_000), 0.001)
