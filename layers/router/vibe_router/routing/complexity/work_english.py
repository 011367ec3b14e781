"""Recognise demanding work by English words: an imperative, or a verb together with what it is about."""

import re
from collections.abc import Collection

from vibe_router.routing.complexity.words import split_words

__all__ = ["asks_in_english"]

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
    curriculum architecture specification crawler scraper codebase sql automata automaton calculus allocator
    debugger middleware daemon cuda mutex semaphore grpc graphql multithreaded classifier vulnerabilities
    dockerfile
    """
)
_OBJECT_PHRASES = re.compile(
    r"\b(?:data structure|operating system|(?:database|game|chess|search|rules?|storage|inference"
    r"|template|regex) engine"
    r"|query planner|research (?:paper|proposal|plan)|white ?paper|literature review|grant proposal|business plan"
    r"|full[- ]stack|rest(?:ful)? api|web (?:app|application|server)|neural network"
    r"|machine learning model|type (?:system"
    r"|checker)|state machine|thread-safe|safe to use from|test suite|property[- ]based|smart contract"
    r"|encryption scheme"
    r"|recommendation system|trading (?:bot|system)|load balancer|rate limiter|message queue|cache invalidation"
    r"|(?:mathematical|economic|threat) model|linear program|legal (?:brief|memo|memorandum|opinion)"
    r"|policy (?:brief|paper)"
    r"|security (?:problem|issue|hole|flaw|risk|review)s?|pull request|plan to (?:split|migrate|move"
    r"|replace|decompose)"
    r"|(?:training|treatment|migration|rollout|test|recovery|response|marketing|intervention) plan"
    r"|\d+[- ](?:week|month|quarter|year)\b[^.?!]{0,40}\bplan)\b"
)
_OBJECT_PHRASE_WORDS = split_words(  # without one of them there is no such phrase
    """
    structure system engine planner paper whitepaper proposal plan review stack api app application server
    network model machine safe suite property contract scheme bot balancer limiter queue invalidation brief memo
    memorandum opinion checker program security pull
    """
)
_DEPTH_WORDS = split_words(
    """
    tradeoff tradeoffs rigorous rigorously scalable scalability deadlock deadlocks comprehensive comprehensively
    critically implications counterarguments counterexample counterexamples invariant invariants asymptotic
    asymptotically latency throughput linearizable numerically empirical empirically ambiguities assumptions
    uncertainty caveats limitations pitfalls idempotent idempotency concurrency methodology
    """
)
_DEPTH_PHRASES = re.compile(
    r"\b(?:trade-offs?|in[- ]depth|in detail|zero[- ]downtime|root cause|from scratch|end[- ]to[- ]end"
    r"|production[- ](?:ready|grade|quality)|fault[- ]toleran|high(?:ly)?[- ]availab|race conditions?|memory leak"
    r"|(?:time|space) complexity|o\(n|o\(log|o\(1\)|backwards?[- ]compatible|edge cases?|failure modes?|threat model"
    r"|step[- ]by[- ]step|(?:each|every) step|strengths and weaknesses|at least (?:two|three|four|five|[2-9])"
    r"|necessary and sufficient|(?:lower|upper) bound|closed form|across (?:multiple|three|several|two) "
    r"|without (?:using|downtime|losing|changing|window)|network partition)"
)
_DEPTH_PHRASE_WORDS = split_words(
    """
    trade depth detail downtime cause scratch end production fault high highly race memory complexity o backward
    backwards edge failure threat step strengths least necessary bound form across without partition
    """
)
# Questions whose answer has to be worked out.
_QUESTION = re.compile(
    r"\bfind (?:all|the (?:sum|number|product|smallest|largest|minimum|maximum|least|greatest|value"
    r"|set) of|a closed)\b"
    r"[^.?!]{0,90}\b(?:such that|for which|satisfying|that satisfy|where|if and only if)\b"
    r"|\bfind all (?:functions|integers|reals?|positive|solutions|pairs|triples|primes|values|polynomials|\w =)"
    r"|\bdetermine (?:all|whether)\b|\bin how many (?:different |distinct )?ways (?:can|could|may|is|are)\b"
    r"|\b(?:show|demonstrate|verify|deduce) that\b|\bsolve (?:the|this) (?:differential|partial|integral|system)\b"
    r"|\b(?:evaluate|compute|calculate) the (?:\w+ )?integral\b|\bwhat (?:are the implications|can be concluded)\b"
    r"|\bhow (?:would|should|do|can) (?:you|we|i|one) (?:fix|detect|validate|scale|debug|prove|guarantee"
    r"|prevent|approach)\b"
    r"|\bhow (?:do|can|should|would) (?:we|i|you) [^.?!]{1,60}\bwithout \w+ing\b|\bwhy does (?:this|the|our|my) \w* ?"
    r"(?:deadlock|crash|leak|hang|fail|race)"
)
_QUESTION_WORDS = split_words(
    """
    find determine show demonstrate verify deduce solve ways integral implications concluded fix detect validate
    scale debug prove guarantee prevent approach without deadlock crash leak hang fail race
    """
)
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
    if not _QUESTION_WORDS.isdisjoint(words) and _QUESTION.search(lower):
        return True
    makes, thinks = not _MAKE.isdisjoint(words), not _THINK.isdisjoint(words)
    if thinks and len(lower) >= _LONG and _has_imperative(lower, words, _THINK):
        return True
    if (makes or thinks) and _has(_DEPTH_WORDS, _DEPTH_PHRASES, _DEPTH_PHRASE_WORDS, lower, words):
        return True
    return makes and _has(_OBJECT_WORDS, _OBJECT_PHRASES, _OBJECT_PHRASE_WORDS, lower, words)


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


def _has(
    single: frozenset[str], phrases: re.Pattern[str], needed: frozenset[str], lower: str, words: Collection[str]
) -> bool:
    """Return whether a text has one of the `single` words or `phrases`, which contain one of the words `needed`."""
    if not single.isdisjoint(words):
        return True
    return not needed.isdisjoint(words) and phrases.search(lower) is not None
