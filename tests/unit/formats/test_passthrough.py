"""Formats that pass as they are: what is checked, what is replaced, what an answer must hold."""

import contextlib
import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.errors import ApiError
from vibe_router.core.usage import Usage
from vibe_router.formats import passthrough
from vibe_router.formats.passthrough import PassthroughFormat

PASSTHROUGH = {each.name: each for each in vars(passthrough).values() if isinstance(each, PassthroughFormat)}
BOUNDARY = "b0undary"
FORM_TYPE = f"multipart/form-data; boundary={BOUNDARY}"


def form(*parts: tuple[str, bytes]) -> bytes:
    form = b"".join(
        b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (BOUNDARY.encode(), name.encode(), content)
        for name, content in parts
    )
    return form + f"--{BOUNDARY}--\r\n".encode()


@pytest.mark.parametrize(
    ("name", "body", "param"),
    [
        ("embeddings", {"input": "x"}, "model"),
        ("embeddings", {"model": 3, "input": "x"}, "model"),
        ("embeddings", {"model": "m"}, "input"),
        ("images", {"model": "m"}, "prompt"),
        ("images", {"model": "m", "prompt": "x", "stream": True}, "stream"),
        ("speech", {"model": "m", "input": "x", "stream_format": "sse"}, "stream_format"),
        ("rerank", {"model": "m", "query": "x"}, "documents"),
    ],
)
def test_a_wrong_parameter_is_named(name: str, body: object, param: str) -> None:
    with pytest.raises(ApiError) as caught:
        PASSTHROUGH[name].parse(json.dumps(body).encode(), {})
    assert (caught.value.status, caught.value.param) == (400, param)


@pytest.mark.parametrize("name", [each for each in PASSTHROUGH if each not in ("image_edits", "transcriptions")])
def test_only_the_model_is_replaced(name: str) -> None:
    read = {"images": "prompt", "rerank": "documents"}.get(name, "input")
    asked = PASSTHROUGH[name].parse(json.dumps({"model": "auto", read: ["x"], "an_extension": [1]}).encode(), {})
    assert json.loads(asked.for_provider("real", stream=False)) == {"model": "real", read: ["x"], "an_extension": [1]}
    assert asked.prompt_tokens_estimate() > 0
    assert asked.max_output_tokens == 0


@given(st.binary(max_size=300).filter(lambda data: BOUNDARY.encode() not in data), st.booleans())
def test_a_form_keeps_every_byte_but_its_models(data: bytes, first: bool) -> None:
    file, model = ('name="file"; filename="a.wav"', data), ('name="model"', b"auto-voice")
    parts = [model, file] if first else [file, model]
    asked = PASSTHROUGH["transcriptions"].parse(form(*parts), {"content-type": FORM_TYPE})
    assert asked.model == "auto-voice"
    real = [('name="model"', b"whisper-1") if part is model else part for part in parts]
    assert asked.for_provider("whisper-1", stream=False) == form(*real)
    assert asked.forwarded_headers == {"content-type": FORM_TYPE}


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (form(('name="file"; filename="model"', b"x")), FORM_TYPE),
        (form(('name="model"', b"")), FORM_TYPE),
        (b"", FORM_TYPE),
        (form(('name="model"', b"m")), "multipart/form-data"),
        (form(('name="model"', b"m" * 2_000)), FORM_TYPE),
    ],
)
def test_a_form_without_a_model_is_rejected(raw: bytes, content_type: str) -> None:
    with pytest.raises(ApiError) as caught:
        PASSTHROUGH["transcriptions"].parse(raw, {"content-type": content_type})
    assert caught.value.status == 400


MODEL = form(('name="model"', b"allowed")).removesuffix(f"--{BOUNDARY}--\r\n".encode())
END = f"--{BOUNDARY}--\r\n".encode()
SECOND = form(('name="model"', b"other"))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        pytest.param(MODEL + SECOND, "'model' twice", id="two models"),
        pytest.param(MODEL + form(("name=model", b"other")), "'model' twice", id="one without quotes"),
        pytest.param(MODEL + form(("NAME=model", b"other")), "'model' twice", id="in capitals"),
        pytest.param(MODEL + form(("name*=utf-8''model", b"other")), "encoded", id="an encoded name"),
        pytest.param(MODEL + form(('name="x"; name="model"', b"other")), "two names", id="two names in a part"),
        pytest.param(MODEL + SECOND.replace(b"\r\n", b"\n"), "malformed", id="line feeds alone"),
        pytest.param(MODEL + SECOND.replace(b"; name", b";\r\n name"), "folded", id="a folded line"),
        pytest.param(MODEL + END + SECOND, "after its end", id="behind the end"),
        pytest.param(b"preamble\r\n" + SECOND, "does not begin", id="before the beginning"),
        pytest.param(MODEL, "malformed", id="no end"),
        pytest.param(MODEL + b"--b0undary x" + SECOND, "own", id="a boundary with words after it"),
    ],
)
def test_a_form_that_parsers_read_differently_is_rejected(raw: bytes, reason: str) -> None:
    with pytest.raises(ApiError, match=reason) as caught:
        PASSTHROUGH["transcriptions"].parse(raw, {"content-type": FORM_TYPE})
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "disguised",
    [
        'name="file"; filename="x\\"; name=model; a="',
        'name="a\\"; name="model"',
        'name="mo\\del"',
        'name="mod"el',
    ],
)
def test_a_head_in_which_parsers_see_different_names_is_rejected(disguised: str) -> None:
    with pytest.raises(ApiError, match="malformed"):
        PASSTHROUGH["transcriptions"].parse(MODEL + form((disguised, b"other")), {"content-type": FORM_TYPE})


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=b0undary; boundary=other",
        "multipart/form-data; boundary=other; boundary=b0undary",
        "multipart/form-data; boundary=b0undary; boundary*=utf-8''other",
        "multipart/form-data; boundary=b0undary; BOUNDARY=other",
        'multipart/form-data; boundary="b0undary\\"',
        "multipart/form-data; boundary=b0ündary",
        "multipart/form-data; boundary=" + "b" * 300,
        "multipart/form-data; boundary=",
    ],
)
def test_a_boundary_that_parsers_read_differently_is_rejected(content_type: str) -> None:
    raw = form(('name="model"', b"allowed"), ('name="x"', b"\r\n" + SECOND.replace(b"b0undary", b"other")))
    with pytest.raises(ApiError, match=r"malformed|no boundary"):
        PASSTHROUGH["transcriptions"].parse(raw, {"content-type": content_type})


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/form-data; charset=utf-8; boundary="b0undary"; x=y',
        "Multipart/Form-Data;boundary=b0undary",
        "multipart/form-data;\r\n boundary=b0undary",
    ],
)
def test_a_provider_gets_the_boundary_in_one_spelling(content_type: str) -> None:
    asked = PASSTHROUGH["transcriptions"].parse(form(('name="model"', b"m")), {"content-type": content_type})
    assert asked.forwarded_headers == {"content-type": FORM_TYPE}


def test_a_list_in_a_form_may_have_several_parts() -> None:
    parts = [('name="timestamp_granularities[]"', each) for each in (b"word", b"segment")]
    raw = form(('name="model"', b"m"), *parts)
    assert PASSTHROUGH["transcriptions"].parse(raw, {"content-type": FORM_TYPE}).model == "m"


@pytest.mark.parametrize(
    "unit", [b";", b"; name", b'"', b"\\", b"\r\n", b"--b0undary", b"\n--b0undary", b"\r\n--b0undary\r\n", b"a:b\r\n"]
)
@pytest.mark.parametrize("head", [True, False])
def test_the_time_to_read_a_form_grows_with_its_length(unit: bytes, head: bool) -> None:
    def seconds(length: int) -> float:
        before = time.process_time()
        filler = unit * (length // len(unit))
        raw = form((f'name="a"{filler.decode()}' if head else 'name="a"', b"" if head else filler))
        with contextlib.suppress(ApiError):
            PASSTHROUGH["transcriptions"].parse(raw, {"content-type": FORM_TYPE})
        return time.process_time() - before

    once = min(seconds(250_000) for _ in range(3))
    assert min(seconds(1_000_000) for _ in range(3)) < 12 * once + 0.05


@given(
    st.sampled_from(sorted(PASSTHROUGH)), st.binary(max_size=200), st.sampled_from(["", "application/json", FORM_TYPE])
)
def test_no_body_is_worse_than_a_400(name: str, raw: bytes, content_type: str) -> None:
    statuses = []
    try:
        PASSTHROUGH[name].parse(raw, {"content-type": content_type}).for_provider("m", stream=False)
    except ApiError as error:
        statuses.append(error.status)
    assert statuses in ([], [400])


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b'{"error":"x"}', b'{"other":1}'])
def test_an_incomplete_answer_is_invalid(raw: bytes) -> None:
    assert PASSTHROUGH["embeddings"].read_whole(raw) is None


@pytest.mark.parametrize(
    ("usage", "counted"),
    [
        ({"prompt_tokens": 5, "total_tokens": 5}, Usage(5, None)),
        ({"type": "tokens", "input_tokens": 14, "output_tokens": 45}, Usage(14, 45)),
        (
            {"input_tokens": 14, "input_token_details": {"audio_tokens": 10, "text_tokens": 4}, "output_tokens": 45},
            Usage(14, 45, audio_prompt_tokens=10),
        ),
        ({"input_tokens": 14, "input_token_details": 3}, Usage(14)),
        ({"total_tokens": 9}, Usage(9, None)),
        (None, Usage()),
    ],
)
def test_usage_in_each_of_their_words(usage: object, counted: Usage) -> None:
    assert PASSTHROUGH["embeddings"].usage_of({"usage": usage}) == counted


@pytest.mark.parametrize(("value", "rejected"), [(b"true", True), (b" True ", True), (b"1", True), (b"false", False)])
def test_a_stream_asked_for_in_a_form_is_rejected(value: bytes, rejected: bool) -> None:
    raw = form(('name="model"', b"m"), ('name="stream"', value), ('name="image[]"', b"a"), ('name="image[]"', b"b"))
    if not rejected:
        assert PASSTHROUGH["image_edits"].parse(raw, {"content-type": FORM_TYPE}).model == "m"
        return
    with pytest.raises(ApiError) as caught:
        PASSTHROUGH["image_edits"].parse(raw, {"content-type": FORM_TYPE})
    assert caught.value.param == "stream"
