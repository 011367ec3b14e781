"""Recognise demanding work by English words: an imperative, or a verb together with what it is about."""

import re
from collections.abc import Collection

from vibe_router.routing.complexity.phrases import compile_phrases, has_phrase
from vibe_router.routing.complexity.words import split_words

__all__ = ["PHRASES", "asks_in_english"]

# Verbs that ask for demanding work wherever they are an imperative.
_STRONG = split_words(
    """
    prove disprove derive design redesign architect rearchitect refactor optimize optimise implement reimplement
    analyze analyse debug critique diagnose troubleshoot migrate formalize formalise axiomatize parallelize
    parallelise vectorize synthesize synthesise assess devise construct reconcile integrate formulate
    investigate simulate audit rebut falsify generalize generalise decompose modularize modularise containerize
    containerise benchmark redraft
    """
)
_BEFORE_IMPERATIVE = re.compile(
    # The start of a sentence or of an item, or the words that introduce an imperative.
    r"(?:^|[.!?:;,)\n*\-–—>，。：；！？、]|\b(?:please|kindly|and|then|also|you|me|us|i|we|should|must|now|first|next|finally"
    r"|let's|can|help|would|could|just|carefully|rigorously|formally|mathematically|fully|completely"
    r"|critically|thoroughly"
    r"|by|how to|(?:want|need|like|have|trying|try|going|asked|how|you|us|me|is|task|goal|required|tasked) to)"
    r"|请|請|帮我|幫我|帮忙|需要|想|要|如何|怎么|怎样)"
    r" ?[\s\d.)]{0,4}$"
)
_BEFORE_REACH = 24  # characters: the longest introduction
_AFTER_IMPERATIVE = re.compile(
    r"(?![\w'’-])(?!\s+(?:is|was|are|of|patterns?|means?|vs|versus|[?.!]|$))|(?=[\u3400-\u9fff])"
)

# Verbs that say little by themselves: what is made, or how deep the answer has to go, decides.
_MAKE = split_words(
    """
    write build create develop make plan draft code program generate propose produce outline model simulate give
    set port convert extend scale improve train invent describe sketch specify find rewrite review identify
    estimate check
    """
)
_THINK = split_words(
    """
    compare contrast evaluate discuss explain argue investigate examine explore justify weigh interpret
    """
)
_OBJECT_WORDS = split_words(
    """
    compiler parser interpreter lexer tokenizer algorithm scheduler simulator simulation kernel proof theorem
    thesis dissertation strategy roadmap framework pipeline protocol microservice microservices backend
    distributed consensus transformer concurrent lock migration schema infrastructure terraform kubernetes
    curriculum architecture specification crawler scraper codebase automata automaton calculus allocator
    debugger middleware daemon cuda mutex semaphore grpc graphql multithreaded classifier vulnerabilities
    dockerfile
    """
)
_OBJECT_PHRASES = compile_phrases(
    (
        "data structures?",
        "operating system",
        *(
            f"{kind} engine"
            for kind in [
                "database",
                "game",
                "chess",
                "search",
                "rule",
                "rules",
                "storage",
                "inference",
                "template",
                "regex",
            ]
        ),
        "query planner",
        "research (?:paper|proposal|plan)",
        "white ?paper",
        "literature review",
        "grant proposal",
        "business plan",
        "full[- ]stack",
        "rest(?:ful)? api",
        "web (?:app|application|server)",
        "neural network",
        "machine learning model",
        "type (?:system|checker)",
        "state machine",
        "thread-safe",
        "safe to use from",
        "test (?:suite|plan)",
        "property[- ]based",
        "smart contract",
        "encryption scheme",
        "recommendation system",
        "trading (?:bot|system)",
        "load balancer",
        "rate limiter",
        "message queue",
        "cache invalidation",
        *(f"{kind} model" for kind in ("mathematical", "economic", "threat")),
        "linear program",
        "legal (?:brief|memo|memorandum|opinion)",
        "policy (?:brief|paper)",
        "security (?:problem|issue|hole|flaw|risk|review)s?",
        "pull request",
        "plan to (?:split|migrate|move|replace|decompose)",
        *(
            f"{kind} plan"
            for kind in [
                "training",
                "treatment",
                "migration",
                "rollout",
                "recovery",
                "response",
                "marketing",
                "intervention",
            ]
        ),
        *(rf"{span}\b[^.?!]{{0,40}}\bplan" for span in ("week", "month", "quarter")),
    )
)
_DEPTH_WORDS = split_words(
    """
    tradeoff tradeoffs rigorous rigorously scalable scalability deadlock deadlocks comprehensive comprehensively
    critically implications counterarguments counterexample counterexamples invariant invariants asymptotic
    asymptotically latency throughput linearizable numerically empirical empirically ambiguities assumptions
    uncertainty claim caveats limitations pitfalls idempotent idempotency concurrency methodology
    """
)
_DEPTH_PHRASES = compile_phrases(
    (
        "trade-offs?",
        "in[- ]depth",
        "in detail",
        "zero[- ]downtime",
        "root causes?",
        "from scratch",
        "end[- ]to[- ]end",
        "production[- ](?:ready|grade|quality)",
        r"fault[- ]toleran\w+",
        r"high(?:ly)?[- ]availab\w+",
        "race conditions?",
        "memory leaks?",
        "time complexity",
        "space complexity",
        r"o\((?:n|log|1)[^)]*\)?",
        "backwards?[- ]compatible",
        "edge cases?",
        "failure modes?",
        "threat model",
        "step[- ]by[- ]step",
        "each step",
        "every step",
        "strengths and weaknesses",
        "at least (?:two|three|four|five|[2-9])",
        "necessary and sufficient",
        "lower bounds?",
        "upper bounds?",
        "closed form",
        "across (?:multiple|three|several|two)",
        "without (?:using|downtime|losing|changing|window)",
        "network partition",
    )
)
_QUESTIONS = compile_phrases(
    (
        "find (?:all|the (?:sum|number|product|smallest|largest|minimum|maximum|least|greatest|value|set) of|a closed)"
        r"\b[^.?!]{0,90}\b(?:such that|for which|satisfying|that satisfy|where|if and only if)",
        r"find all (?:functions|integers|reals?|positive|solutions|pairs|triples|primes|values|polynomials|\w =)",
        "determine (?:all|whether)",
        "in how many (?:different |distinct )?ways (?:can|could|may|is|are)",
        *(f"{verb} that" for verb in ("show", "demonstrate", "verify", "deduce")),
        "solve (?:the|this) (?:differential|partial|integral|system)",
        *(rf"{verb} the (?:\w+ )?integral" for verb in ("evaluate", "compute", "calculate")),
        "what (?:are the implications|can be concluded)",
        "how (?:would|should|do|can) (?:you|we|i|one) "
        "(?:fix|detect|validate|scale|debug|prove|guarantee|prevent|approach)",
        r"how (?:do|can|should|would) (?:we|i|you) [^.?!]{1,60}\bwithout \w+ing",
        r"why does (?:this|the|our|my) \w* ?(?:deadlock|crash|leak|hang|fail|race)",
        *(
            f"{most} possible (?:volume|area|value|number|length|sum|product)"
            for most in ("largest", "smallest", "greatest", "maximum", "minimum")
        ),
        "always lies?",
        "lies on",
        "tells? the truth",
        "knaves?",
    )
)
PHRASES = (_OBJECT_PHRASES, _DEPTH_PHRASES, _QUESTIONS)
"""All phrases, each of which has to be matched in linear time."""

_WORD_QUESTION = re.compile(r"\s*(?:what(?:'s| is| are| does)|who|when|where|define|meaning of|translate|spell)\b")
_SHORT = 90  # characters, up to which a question for a definition stays one
_LONG = 120  # characters, from which an explanation has a setting of its own
_MAX_PLACES = 24


def asks_in_english(lower: str, words: Collection[str]) -> bool:
    """Return whether a text of small letters asks for demanding work."""
    if not _STRONG.isdisjoint(words) and _has_imperative(lower, words, _STRONG):
        return True
    if len(lower) <= _SHORT and _WORD_QUESTION.match(lower):
        return False
    if has_phrase(_QUESTIONS, lower, words):
        return True
    makes, thinks = not _MAKE.isdisjoint(words), not _THINK.isdisjoint(words)
    if thinks and len(lower) >= _LONG and _has_imperative(lower, words, _THINK):
        return True
    if (makes or thinks) and (not _DEPTH_WORDS.isdisjoint(words) or has_phrase(_DEPTH_PHRASES, lower, words)):
        return True
    return makes and (not _OBJECT_WORDS.isdisjoint(words) or has_phrase(_OBJECT_PHRASES, lower, words))


def _has_imperative(lower: str, words: Collection[str], verbs: frozenset[str]) -> bool:
    """Return whether one of `verbs` stands where an imperative does."""
    for verb in verbs.intersection(words):
        position = lower.find(verb)
        for _ in range(_MAX_PLACES):
            if position < 0:
                break
            end = position + len(verb)
            before = lower[max(position - _BEFORE_REACH, 0) : position]
            if _AFTER_IMPERATIVE.match(lower, end) and _BEFORE_IMPERATIVE.search(before):
                return True
            position = lower.find(verb, end)
    return False
