import json
import math
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vibe_router.routing.backtracking import reasons
from vibe_router.routing.complexity.features import FEATURES, decode, encode, features_of
from vibe_router.routing.complexity.reading import read_conversation
from vibe_router.routing.complexity.scorer import MAX_TURNS, Scorer, seed
from vibe_router.routing.complexity.tokens import find_options, last_sentence, words_of
from vibe_router.routing.complexity.trees import MAX_BYTES, Model, load
from vibe_router.routing.complexity.turns import MAX_CHARACTERS, without_inserted_blocks, written_text
from vibe_router.routing.complexity.work import asks_for_work
from vibe_router.routing.complexity.work_english import PHRASES

MODEL = seed()


def read_lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()]


PAIRS = read_lines("bilingual.jsonl")

EVERYDAY = """hi there|what's up|how do you spell necessary|what's 15% of 80|tell me a joke|commit it
who is the president of France|is it going to rain tomorrow|what is a deadlock?|What is Docker?|ok
write a birthday message for my mom|suggest a name for my cat|list five European capitals|is a tomato a fruit
fix the grammar: he go to school yesterday|recommend a good movie for tonight|how do I list files in linux
你是谁|讲个笑话|明天会下雨吗|把"我爱你"翻译成英文|怎么煮鸡蛋|推荐一部电影|写一个简短的请假条|好的，继续
室内设计是什么|收入证明怎么开|什么是人工智能？|帮我写一句生日祝福""".replace("\n", "|").split("|")

WORK = """Prove that the square root of 2 is irrational.|Design a distributed cache with consistent hashing.
Please refactor our authentication code into a clean architecture.|Implement a lock-free queue in C++.
How would you architect a multi-tenant SaaS platform?|Derive Bayes' theorem from the axioms of probability.
Plan a zero-downtime migration from MySQL to PostgreSQL.|Write a compiler for a small functional language.
Compare Raft and Paxos in depth, including failure modes.|Show that every finite integral domain is a field.
Explain the trade-offs between microservices and a monolith.|Debug this: the service leaks memory under load.
Can you optimize this query? It joins seven tables.|Develop a trading strategy that is market neutral.
设计一个高可用的消息队列系统|证明根号2是无理数|请重构这段代码，使其支持依赖注入|帮我写一个编译器
如何设计一个秒杀系统？|推导贝叶斯公式并给出应用|求函数 f(x)=x^3-3x+1 在区间 [-2,2] 上的最大值和最小值|優化這段程式碼
制定一个从单体迁移到微服务的方案|比较 Raft 和 Paxos 的优劣|请详细分析2008年金融危机的原因""".replace("\n", "|").split(
    "|"
)


def is_hard(*turns: str) -> bool:
    found = Scorer(MODEL).score(turns)
    assert found is not None
    return found.value >= MODEL.threshold


@pytest.mark.parametrize("text", EVERYDAY)
def test_everyday_requests_are_for_mini(text: str) -> None:
    assert not is_hard(text)


@pytest.mark.parametrize("text", WORK)
def test_requests_for_demanding_work_are_for_standard(text: str) -> None:
    assert is_hard(text)


def test_both_languages_get_the_same_decision() -> None:
    decided = [(pair["difficulty"] == "hard", is_hard(pair["en"]), is_hard(pair["zh"])) for pair in PAIRS]
    assert not any(english or chinese for hard, english, chinese in decided if not hard)
    for language in (1, 2):
        assert sum(each[language] for each in decided if each[0]) >= 0.8 * sum(each[0] for each in decided)
    assert sum(english == chinese for _, english, chinese in decided) >= 0.9 * len(decided)


def test_no_decision_on_the_pairs_is_close() -> None:
    scorer = Scorer(MODEL)
    values = [scored.value for pair in PAIRS for name in ("en", "zh") if (scored := scorer.score([pair[name]]))]
    assert min(abs(value - MODEL.threshold) for value in values) >= 0.005


def test_other_prompts_are_decided_as_people_would() -> None:
    """Prompts of many kinds, in English and Chinese: orders to agents, code, mixed languages, one word."""
    wrong = [each for each in read_lines("prompts.jsonl") if is_hard(each["text"]) != (each["difficulty"] == "hard")]
    assert sum(each["difficulty"] == "easy" for each in wrong) <= 1, wrong
    assert sum(each["difficulty"] == "hard" for each in wrong) <= 18, wrong  # of 188


def test_the_shipped_model_states_its_quality() -> None:
    assert MODEL.facts["auc"] >= 0.67
    assert MODEL.facts["curve"] >= 0.64
    assert MODEL.facts["precision"] >= 0.90
    assert MODEL.facts["everyday"] >= 0.97
    assert len(MODEL.as_json()) <= MAX_BYTES


def test_a_conversation_never_becomes_easier() -> None:
    scorer = Scorer(MODEL)
    turns = [*EVERYDAY[:10], "word " * 2_000, *WORK[:3], *EVERYDAY[10:20]]
    values = []
    for end in range(1, len(turns) + 1):
        found = scorer.score(turns[:end])
        assert found is not None
        values.append(found.value)
    assert values == sorted(values)
    assert is_hard("Design a distributed cache with consistent hashing.", "yes, do it", "commit it")


def test_what_is_scored_of_a_conversation_is_bounded() -> None:
    scorer = Scorer(MODEL)
    found = [scored for number in range(1, 12) if (scored := scorer.score(["word " * 1_000] * number))]
    complete = [each.is_complete for each in found]
    assert complete == sorted(complete, reverse=True)
    assert {*complete} == {True, False}
    late = scorer.score(["tell me about cats"] * 60 + ["Prove that pi is irrational."])
    assert late
    assert late.value >= MODEL.threshold


def test_nothing_to_score_has_no_score() -> None:
    assert Scorer(MODEL).score([]) is None
    assert Scorer(MODEL).score(["", "  ", "<system-reminder>Prove it.</system-reminder>"]) is None


def test_a_score_has_its_strongest_reasons() -> None:
    found = Scorer(MODEL).score(["hello", "Prove that there are infinitely many primes."])
    assert found is not None
    assert found.reasons[0] == ("asks for demanding work", 1.0)
    assert {name for name, _ in found.reasons[1:]} <= set(FEATURES)
    assert found.turn == 1


@pytest.mark.parametrize(
    ("turn", "left"),
    [
        ("<system-reminder>Design a plan.</system-reminder>hello", "hello"),
        ("hello\n<environment_details>\n# files\n</environment_details >", "hello\n"),
        ("<command-name>/init</command-name><command-args>x</command-args>go", "go"),
        ("<System-Reminder>a</System-Reminder>b", "b"),
        ("<user_instructions priority='1'>a</user_instructions>b", "b"),
        ("<system-reminder>never closed", "<system-reminder>never closed"),
        ("is 3 < 4 and <b>bold</b>?", "is 3 < 4 and <b>bold</b>?"),
        ("a<system-reminder>" + "x" * 300_000 + "</system-reminder>b", "ab"),
        ("x" * 300_000 + "<system-reminder>a</system-reminder>b", "x" * 300_000 + "b"),
    ],
)
def test_blocks_that_agents_insert_are_left_out(turn: str, left: str) -> None:
    assert without_inserted_blocks(turn) == left


BODIES: list[tuple[dict[str, Any], tuple[str, ...], bool]] = [
    (
        {
            "messages": [
                {"role": "system", "content": "Prove everything."},
                {"role": "user", "content": "hello"},
                {"role": "assistant", "content": "Shall I prove it?"},
                {"role": "tool", "tool_call_id": "1", "content": "design"},
                {"role": "user", "content": [{"type": "text", "text": "go"}, {"type": "image_url", "image_url": {}}]},
            ]
        },
        ("hello", "go"),
        True,
    ),
    (
        {
            "system": "Prove it.",
            "messages": [
                {
                    "role": "user",
                    "content": [{"type": "tool_result", "content": "design"}, {"type": "text", "text": "a"}],
                }
            ],
        },
        ("a",),
        False,
    ),
    (
        {
            "instructions": "Prove it.",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
                {"type": "function_call_output", "call_id": "1", "output": "design"},
                {"type": "message", "role": "user", "content": "b"},
            ],
        },
        ("a", "b"),
        False,
    ),
    (
        {"contents": [{"role": "user", "parts": [{"text": "a"}, {"inlineData": {}}, {"functionResponse": {}}]}]},
        ("a",),
        True,
    ),
    ({"input": "a"}, ("a",), False),
    ({"prompt": "a"}, ("a",), False),
    ({"prompt": ["a", "b"]}, ("a", "b"), False),
    ({"prompt": [1, 2, 3]}, (), False),
    ({"messages": [None, 1, {"role": "user"}, {"role": "user", "content": [{"type": 3, "text": "x"}, 5]}]}, (), False),
    ({}, (), False),
]


@pytest.mark.parametrize(("body", "turns", "attached"), BODIES)
def test_only_what_the_user_wrote_is_read(body: dict[str, Any], turns: tuple[str, ...], attached: bool) -> None:
    found = read_conversation(body)
    assert found.turns == turns
    assert found.has_attachment is attached


def test_a_long_conversation_is_known_to_be_one() -> None:
    found = read_conversation({"messages": [{"role": "user", "content": "a"}] * (MAX_TURNS + 1)})
    assert len(found.turns) == MAX_TURNS
    assert not found.is_complete


@given(st.text(max_size=400))
@settings(max_examples=60, deadline=None)
def test_any_text_has_a_bounded_score(text: str) -> None:
    features = features_of(text)
    assert len(features) == len(FEATURES)
    assert decode(encode(features)) == features
    found = Scorer(MODEL).score([text])
    assert found is None or 0 <= found.value <= 1


@pytest.mark.parametrize(
    "text",
    [
        "prove " * 200_000, "<" * 1_000_000, "<system-reminder>" * 60_000, "求" * 1_000_000, "分布式" * 300_000,
        "find the sum of " * 60_000, "A. b " * 200_000, "1 " * 500_000, "\n" * 1_000_000, "比较" * 500_000,
        "</system-reminder><system-reminder>" * 28_000, "𝔞" * 1_000_000,
    ],
    ids=lambda text: text[:12],
)  # fmt: skip
def test_a_megabyte_takes_no_longer_than_a_page(text: str) -> None:
    """Compare with the longest text that is scored in full; the bound is loose, since machines are busy."""
    assert len(written_text(text)) <= MAX_CHARACTERS
    scorer = Scorer(MODEL)
    scorer.score(["x"])
    best = min(_seconds(Scorer(MODEL), text) for _ in range(3))
    assert best < 0.02


def _seconds(scorer: Scorer, text: str) -> float:
    started = time.process_time()
    scorer.score([text])
    return time.process_time() - started


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The design is nice.", False),
        ("Who designed the Eiffel Tower?", False),
        ("Please design a bridge.", True),
        ("在职证明怎么写", False),
        ("设计师是谁", False),
        ("帮我 debug 一下", True),
        ("What port does PostgreSQL use by default?", False),
        ("Our Redis and our Postgres disagree after a failover; which one is right, and why?", True),
        ("Explain it.", False),
        ("求推荐一部电影", False),
        ("设随机变量服从正态分布，求它大于零的概率。", True),
    ],
)
def test_words_for_work_are_read_in_their_place(text: str, expected: bool) -> None:
    lower = text.lower()
    assert asks_for_work(text, lower, words_of(lower)) is expected


def test_phrases_are_matched_in_linear_time() -> None:
    patterns = [pattern for phrases in PHRASES for pattern in phrases.values()]
    assert len(patterns) > 60
    assert [each.pattern for each in patterns if list(reasons(each.pattern, 0, searches=False))] == []


def test_a_multiple_choice_is_left_to_the_trees() -> None:
    options = "Which is it? A. a kernel B. a compiler C. a scheduler D. none of these programs at all"
    assert len(find_options(options)) == 4
    assert not asks_for_work(options, options.lower(), words_of(options.lower()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("it's 'quoted' and don’t", {"it's": 1, "quoted": 1, "and": 1, "don't": 1}),
        ("x1y 中文 abc", {"x": 1, "y": 1, "abc": 1}),
        ("''  ' a", {"a": 1}),
        ("", {}),
    ],
)
def test_words_are_letters_with_apostrophes_inside(text: str, words: dict[str, int]) -> None:
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("One. Two? Three!", "Three"),
        ("only one", "only one"),
        ("一句。两句？三句", "三句"),
        ("v1.5 is out", "v1.5 is out"),
        ("", ""),
    ],
)
def test_the_last_sentence_is_found(text: str, last: str) -> None:
    assert last_sentence(text) == last


def walk(model: Model, features: list[int]) -> tuple[int, dict[int, int]]:
    """Follow each tree from split to split: the sum of the leaves, and what each feature added."""
    total, added = model.intercept, dict[int, int]()
    for tree in model.trees:
        node = 0
        for _ in range(3):
            child = 2 * node + (1 if features[tree[2 * node]] <= tree[2 * node + 1] else 2)
            added[tree[2 * node]] = added.get(tree[2 * node], 0) + tree[14 + child] - tree[14 + node]
            node = child
        total += tree[14 + node]
    return total, added


@given(st.lists(st.integers(0, 35), min_size=len(FEATURES), max_size=len(FEATURES)))
@settings(max_examples=40)
def test_all_trees_at_once_give_what_each_gives(buckets: list[int]) -> None:
    total, added = walk(MODEL, buckets)
    assert MODEL.value(buckets) == pytest.approx(1 / (1 + math.exp(-total / 10_000)), abs=6e-5)
    largest = sorted((abs(each) for each in added.values()), reverse=True)[:3]
    shares = [abs(share) for _, share in MODEL.reasons(buckets)]
    assert shares == pytest.approx([each / 10_000 for each in largest[: len(shares)]], abs=6e-4)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"features": 3}, "of 3 features"),
        ({"trees": []}, "no trees"),
        ({"trees": [[1, 2]]}, "29 whole numbers"),
        ({"trees": [[len(FEATURES), *[0] * 28]]}, "does not exist"),
        ({"threshold": 0.7}, "threshold"),
        ({"intercept": "0"}, "intercept"),
    ],
)
def test_a_malformed_model_is_rejected(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load(json.dumps({**json.loads(MODEL.as_json()), **change}))
