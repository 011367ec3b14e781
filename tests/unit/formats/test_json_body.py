import contextlib
import json
import math
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.formats.common.json_body import dump, is_truncated, load, parse_object

# Lone surrogates too: an escape can carry them.
texts = st.text(st.characters(exclude_categories=()), max_size=12)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**98), 10**98)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
DEEP = 90_000


@given(body=st.dictionaries(texts, values, max_size=5), escaped=st.booleans())
def test_an_object_survives_being_read_and_written(body: dict[str, object], escaped: bool) -> None:
    raw = json.dumps(body, ensure_ascii=escaped).encode(errors="backslashreplace")
    again = dump(parse_object(raw))
    assert parse_object(again) == parse_object(raw)
    assert load(again) == load(raw)
    again.decode("utf-8", "strict")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(b"", "not valid JSON", id="nothing"),
        pytest.param(b"{", "not valid JSON", id="half an object"),
        pytest.param(b"{} {}", "not valid JSON", id="two objects"),
        pytest.param(b"[]", "must be a JSON object", id="an array"),
        pytest.param(b"null", "must be a JSON object", id="null"),
        pytest.param(b'"text"', "must be a JSON object", id="a string"),
        pytest.param(b'{"a": NaN}', "no NaN in JSON", id="NaN"),
        pytest.param(b'{"a": -Infinity}', "no -Infinity in JSON", id="an infinity"),
        pytest.param(b'{"a": "\x00"}', "not valid JSON", id="a raw NUL in a string"),
        pytest.param(b'{"a": 1}\x00', "not valid JSON", id="a NUL behind the object"),
        pytest.param(b'{"a": "\xff"}', "not valid UTF-8 (byte 7)", id="a byte that is not UTF-8"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', "not valid UTF-8", id="a surrogate in UTF-8"),
        pytest.param('{"a": 1}'.encode("utf-16"), "not valid UTF-8", id="UTF-16"),
        pytest.param(b'{"a": ' + b"9" * 5_000 + b"}", "number that is too large", id="an integer of 5,000 digits"),
        pytest.param(b'{"a": ' + b"9" * 4_000 + b"}", "number that is too large", id="an integer of 4,000 digits"),
        pytest.param(b'{"a": 1e400}', "number that is too large", id="a float beyond all floats"),
        pytest.param(b'{"a": [-1e999]}', "number that is too large", id="one below them"),
        pytest.param(b'{"model": "a", "model": "b"}', "'model' twice", id="a duplicate member"),
        pytest.param(b'{"m": [{"role": 1, "rol\\u0065": 2}]}', "'role' twice", id="an escaped one, further in"),
        pytest.param(b'{"a": [' + b"{}," * 200_000 + b"1]}", "more than 100,000 objects", id="too many objects"),
        pytest.param(b'{"a": [' + b"[]," * 200_000 + b"1]}", "more than 100,000 objects", id="too many arrays"),
        pytest.param(b'{"a": [' + b"7," * 600_000 + b"1]}", "500,000 other values", id="too many numbers"),
        pytest.param(b'{"a":' * DEEP + b"1" + b"}" * DEEP, "nested too deeply", id="objects nested too deeply"),
        pytest.param(b'{"a":' + b"[" * DEEP + b"]" * DEEP + b"}", "nested too deeply", id="arrays nested too deeply"),
    ],
)
def test_invalid_json_objects_are_rejected_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(ApiError) as rejected:
        parse_object(raw)
    assert (rejected.value.status, rejected.value.type) == (400, "invalid_request_error")
    assert reason in rejected.value.message


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        pytest.param(b"\xef\xbb\xbf{}", {}, id="a byte order mark"),
        pytest.param(b'{"a": "\\u0000"}', {"a": "\0"}, id="an escaped NUL"),
        pytest.param(b'{"a": "\\ud800"}', {"a": "\ud800"}, id="half a surrogate pair"),
        pytest.param(b'{"a": 18446744073709551615}', {"a": 2**64 - 1}, id="the largest integer of 64 bits"),
        pytest.param(b' \r\n\t{"a": []} ', {"a": []}, id="white space around"),
    ],
)
def test_valid_json_is_read(raw: bytes, value: object) -> None:
    assert parse_object(raw) == value


@pytest.mark.parametrize(
    ("value", "written"),
    [
        pytest.param({"a": [1, "ü"]}, '{"a":[1,"ü"]}'.encode(), id="compact, as UTF-8"),
        pytest.param("\ud800ü", '"\\ud800ü"'.encode(), id="half a surrogate pair as an escape, the rest as it is"),
        pytest.param("\0\n", b'"\\u0000\\n"', id="control characters as escapes"),
    ],
)
def test_values_are_written(value: object, written: bytes) -> None:
    assert dump(value) == written


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({"a": 1e999}, id="an infinity"),
        pytest.param({"a": 1e999, "b": "\ud800"}, id="an infinity beside half a surrogate pair"),
        pytest.param({"a": math.nan}, id="not a number"),
    ],
)
def test_a_number_that_json_cannot_carry_is_never_written(value: object) -> None:
    with pytest.raises(ApiError, match="too large") as rejected:
        dump(value)
    assert rejected.value.status == 400


def test_values_at_the_limit_of_nesting_are_written_or_rejected() -> None:
    value: object = 1
    for _ in range(DEEP):
        value = [value]
    with pytest.raises(ApiError, match="nested too deeply"):
        dump(value)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        pytest.param(b'{"logprob": -Infinity}', {"logprob": None}, id="an infinity is null"),
        pytest.param(b'{"logprob": NaN}', {"logprob": None}, id="so is NaN"),
        pytest.param(b'{"logprob": -1e999}', {"logprob": None}, id="and a number beyond all floats"),
        pytest.param(b'{"logprob": -1.5e3}', {"logprob": -1500.0}, id="other numbers stay"),
        pytest.param(b"\xef\xbb\xbf[1]", [1], id="a byte order mark"),
    ],
)
def test_a_providers_json_is_read_leniently(raw: bytes, value: object) -> None:
    assert load(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="HTML"),
        pytest.param(b"\xff", id="a byte that is not UTF-8"),
        pytest.param(b"[" * DEEP, id="nested too deeply"),
        pytest.param(b"9" * 5_000, id="an integer of 5,000 digits"),
    ],
)
def test_malformed_json_of_a_provider_is_one_kind_of_error(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        load(raw)


@pytest.mark.parametrize(
    ("text", "truncated"),
    [
        ('{"command":"rm -rf /tmp/x', True),
        ('{"a":[1,2', True),
        ('{"a":"}"', True),
        ('{"a":"\\', True),
        ('{"a":"\\"', True),
        ("{", True),
        ('{"a":"{"}', False),
        ("{}", False),
        ("", False),
        ('{"a":1,}', False),
        ("Paris", False),
    ],
)
def test_truncated_json_is_distinguished_from_malformed_json(text: str, truncated: bool) -> None:
    assert is_truncated(text) is truncated


@pytest.mark.parametrize("unit", ['\\"', '"', "\\", "{", '{"a":"'])
def test_the_check_for_truncation_takes_linear_time(unit: str) -> None:
    started = time.process_time()
    is_truncated('{"a":"' + unit * 200_000)
    assert time.process_time() - started < 2


def test_text_may_hold_any_number_of_brackets_and_commas() -> None:
    text = '{[,"' * 300_000
    assert parse_object(json.dumps({"a": text}).encode()) == {"a": text}


@pytest.mark.parametrize(
    "unit", [b"{},", b"[],", b'"ab",', b"12345,", '"é",'.encode(), b'{"a":1},', b"[[[]]],"], ids=str
)
def test_a_body_never_takes_much_more_memory_than_its_bytes(unit: bytes) -> None:
    raw = b'{"a":[' + unit * (600_000 // len(unit)) + b"1]}"
    tracemalloc.start()
    with contextlib.suppress(ApiError):  # most are refused; either way memory is bounded
        parse_object(raw)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * len(raw)


@pytest.mark.parametrize(
    "unit", [b'"', b'\\"', b"{", b"[", b'{"a":', b"\\", b"9", b" ", b'"a":1,', b"data:image/png;base64,"], ids=str
)
def test_the_time_to_parse_grows_with_the_length(unit: bytes) -> None:
    def seconds(length: int) -> float:
        raw = b'{"a":"' + unit * (length // len(unit))
        before = time.process_time()
        with contextlib.suppress(ApiError):
            parse_object(raw)
        return time.process_time() - before

    once = min(seconds(500_000) for _ in range(3))
    assert min(seconds(2_000_000) for _ in range(3)) < 12 * once + 0.05


def test_a_duplicate_among_many_members_is_found_in_linear_time() -> None:
    raw = b"{" + b",".join(b'"%d":1' % at for at in (*range(200_000), 199_999)) + b"}"
    before = time.process_time()
    with pytest.raises(ApiError, match="'199999' twice"):
        parse_object(raw)
    assert time.process_time() - before < 5
