from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vibe_router.core.models import ComplexityRule, Deployment, Provider, VirtualModel
from vibe_router.routing.complexity.decision import (
    Choice,
    Request,
    Rollout,
    bucket_of,
    decide,
    rollout_of,
)
from vibe_router.routing.complexity.languages import language_of
from vibe_router.routing.complexity.reading import Conversation
from vibe_router.routing.complexity.scorer import Score, Scorer, seed


def model(name: str, context_window: int | None = None) -> VirtualModel:
    provider = Provider("p", "https://p.example/v1", "P_KEY")
    return VirtualModel(name, "", ((Deployment(provider, f"{name}-1", context_window=context_window),),))


RULE = ComplexityRule(model("mini", 100_000), model("standard"), mode="complexity", share=50)
ALL = frozenset(("en", "zh", "tools", "long"))
OPEN = Rollout("complexity", 50, ALL, 3)
EASY, HARD = Score(0.05, (("length", -0.3),)), Score(0.6, (("asks for demanding work", 1.0),))
HELLO = Request(Conversation(("hello there",)), 200, bucket=0.2)


def chosen(rollout: Rollout = OPEN, request: Request = HELLO, score: Score | None = EASY) -> Choice:
    return decide(RULE, rollout, request, score, 0.1, "v1")


CASES: list[Any] = [
    pytest.param(OPEN, HELLO, EASY, ("mini", "mini", "mini"), id="an easy request in the share"),
    pytest.param(OPEN, replace(HELLO, bucket=0.7), EASY, ("standard", "mini", "standard"), id="outside the share"),
    pytest.param(OPEN, HELLO, HARD, ("standard", "standard", None), id="a hard request"),
    pytest.param(OPEN, HELLO, None, ("standard", "standard", None), id="nothing to score"),
    pytest.param(OPEN, replace(HELLO, has_tools=True), EASY, ("mini", "mini", "mini"), id="tools, when open"),
    pytest.param(
        replace(OPEN, strata=frozenset(("en",))),
        replace(HELLO, has_tools=True),
        EASY,
        ("standard", "mini", None),
        id="tools, when closed",
    ),
    pytest.param(
        replace(OPEN, strata=frozenset(("en",))),
        HELLO,
        replace(EASY, languages=("en", "zh")),
        ("standard", "mini", None),
        id="Chinese, when closed",
    ),
    pytest.param(
        replace(OPEN, strata=frozenset(("en",))),
        replace(HELLO, size=60_000),
        EASY,
        ("standard", "mini", None),
        id="long",
    ),
    pytest.param(OPEN, replace(HELLO, size=300_000), EASY, ("standard", "mini", None), id="close to mini's window"),
    pytest.param(
        OPEN,
        replace(
            HELLO,
            conversation=Conversation(("<system-reminder>Plan mode is active.</system-reminder>go", "yes, do it")),
        ),
        EASY,
        ("standard", "mini", None),
        id="plan mode",
    ),
    pytest.param(
        OPEN,
        replace(HELLO, conversation=Conversation(("what is it",), has_attachment=True)),
        EASY,
        ("standard", "mini", None),
        id="an image",
    ),
    pytest.param(
        OPEN,
        HELLO,
        replace(EASY, languages=("other",)),
        ("standard", "mini", None),
        id="a language without evidence",
    ),
    pytest.param(OPEN, replace(HELLO, may_use_mini=False), EASY, ("standard", "mini", None), id="a denied mini"),
    pytest.param(
        OPEN, replace(HELLO, may_use_standard=False), HARD, ("mini", "standard", None), id="a denied standard"
    ),
    pytest.param(OPEN, replace(HELLO, preference="mini"), None, ("mini", None, None), id="mini on demand"),
    pytest.param(
        OPEN,
        replace(HELLO, preference="mini", may_use_mini=False),
        None,
        ("standard", None, None),
        id="but not a denied one",
    ),
    pytest.param(OPEN, replace(HELLO, preference="standard"), None, ("standard", None, None), id="standard on demand"),
    pytest.param(
        OPEN,
        replace(HELLO, preference="complexity", bucket=0.99),
        EASY,
        ("mini", "mini", None),
        id="complexity on demand",
    ),
    pytest.param(replace(OPEN, mode="shadow"), HELLO, EASY, ("standard", "mini", None), id="shadow"),
    pytest.param(replace(OPEN, mode="manual"), HELLO, None, ("standard", None, None), id="manual"),
]


@pytest.mark.parametrize(("rollout", "request_", "score", "expected"), CASES)
def test_the_choice_is(rollout: Rollout, request_: Request, score: Score | None, expected: tuple[Any, ...]) -> None:
    found = chosen(rollout, request_, score)
    assert (found.choice, found.would, found.arm) == expected


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("hello", None),
        ("", None),
        ("你好", "zh"),
        ("请 review 这段代码", "zh"),
        ("Please explain what the following function does", "en"),
        ("こんにちは、元気ですか", "other"),
        ("안녕하세요 오늘 날씨 어때요", "other"),
        ("Привет, как дела сегодня?", "other"),
        ("quel temps fait il aujourd hui dans votre ville", "other"),
        ("wie ist das Wetter heute in Hamburg und Bremen", "other"),
        ("naïve question: what is the difference between these two words", "en"),
    ],
)
def test_a_language_is_detected_by_its_words(text: str, language: str | None) -> None:
    assert language_of(text) == language


@pytest.mark.parametrize(
    ("turns", "languages"),
    [
        (("hello",), ("en",)),
        (("你好", "ok"), ("zh",)),
        (("你好", "what is the weather like in the city today"), ("zh", "en")),
        (
            ("<system-reminder>Answer in a few short words of English, please.</system-reminder>今天天气怎么样",),
            ("zh",),
        ),
    ],
)
def test_a_conversation_is_of_the_languages_of_all_its_turns(
    turns: tuple[str, ...], languages: tuple[str, ...]
) -> None:
    score = Scorer(seed()).score(turns)
    assert score
    assert score.languages == languages


@given(st.binary(max_size=16), st.floats(0, 100), st.floats(0, 100))
def test_shares_are_nested(conversation: bytes, first: float, second: float) -> None:
    request = replace(HELLO, bucket=bucket_of("key", conversation))
    low, high = sorted((first, second))
    arms = [chosen(replace(OPEN, share=share), request).arm for share in (low, high, 100)]
    assert arms[2] == "mini"
    assert arms[0] == "standard" or arms[1] == "mini"


def test_a_share_takes_its_part_of_the_conversations() -> None:
    buckets = [bucket_of("key", str(number).encode()) for number in range(4000)]
    assert 0.08 < sum(bucket < 0.1 for bucket in buckets) / 4000 < 0.12


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (None, ("complexity", 50, 0)),
        ({"mode": "shadow", "share": 0, "strata": ["en"], "number": 4}, ("shadow", 0, 4)),
        ({"mode": "everything", "share": 0, "strata": [], "number": 4}, ("complexity", 50, 0)),
        ({"mode": "shadow", "share": "x", "strata": [], "number": 4}, ("complexity", 50, 0)),
        ({"mode": "shadow", "share": 1, "strata": "en", "number": 4}, ("complexity", 50, 0)),
    ],
)
def test_the_stored_rollout_wins_unless_it_is_malformed(item: Any, expected: tuple[Any, ...]) -> None:
    found = rollout_of(RULE, item)
    assert (found.mode, found.share, found.number) == expected


def test_the_header_gives_the_reason() -> None:
    assert chosen().header() == (
        'mini; score=0.0500; threshold=0.1000; mode=complexity; stage=3/50; arm=mini; reasons="length"'
    )
    assert chosen(request=replace(HELLO, preference="mini")).header().startswith("mini; mode=manual_selection;")
