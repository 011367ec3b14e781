"""Recognise requests for demanding work by their words: prove, design, refactor, 证明, 设计.

Public outcomes say little about open-ended work, so trees trained on them would call it easy. The guard knows nothing
of difficulty beyond its words; it only keeps such requests on the standard chain. It reads a text in linear time.
"""

import re
from collections.abc import Collection

__all__ = ["find_work"]

_STRONG = [
    "prove",
    "disprove",
    "derive",
    "design",
    "redesign",
    "architect",
    "rearchitect",
    "refactor",
    "optimize",
    "optimise",
    "implement",
    "reimplement",
    "analyze",
    "analyse",
    "debug",
    "critique",
    "diagnose",
    "troubleshoot",
    "migrate",
    "formalize",
    "formalise",
    "axiomatize",
    "parallelize",
    "parallelise",
    "vectorize",
    "synthesize",
    "synthesise",
    "assess",
    "devise",
    "construct",
    "reconcile",
    "integrate",
]
_IMPERATIVE = re.compile(
    # An imperative: at the start of a sentence, of an item, or after the words that introduce one.
    r"(?:^|[.!?:;,)\n*\-–—>]|\b(?:please|kindly|and|then|also|you|me|us|i|we|should|must|now|first|next|finally|let's"
    r"|can|help|would|could|just|carefully|rigorously|formally|mathematically|fully|completely|critically|thoroughly|by"
    r"|how to|(?:want|need|like|have|trying|try|going|asked|how|you|us|me|is|task|goal|required|tasked) to))"
    r" ?[\s\d.)]{0,4}"
    rf"({'|'.join(_STRONG)})\b(?!['’])"
    r"(?!\s+(?:is|was|are|of|patterns?|means?|vs|versus|[?.!]|$))"  # "and design is"
)
# Work whose verb alone says little: what is written, built, planned or compared decides.
_MAKE = frozenset(
    [
        "write",
        "build",
        "create",
        "develop",
        "make",
        "plan",
        "draft",
        "code",
        "program",
        "generate",
        "propose",
        "produce",
        "outline",
        "model",
        "simulate",
        "give",
        "set",
        "port",
        "convert",
        "extend",
        "scale",
        "improve",
        "train",
        "invent",
        "describe",
        "sketch",
        "specify",
        "find",
        "rewrite",
    ]
)
_THINK = frozenset(
    [
        "compare",
        "contrast",
        "evaluate",
        "discuss",
        "explain",
        "argue",
        "investigate",
        "examine",
        "explore",
        "justify",
        "weigh",
    ]
)
_OBJECT_WORDS = frozenset(
    [
        "compiler",
        "parser",
        "interpreter",
        "lexer",
        "algorithm",
        "scheduler",
        "simulator",
        "simulation",
        "kernel",
        "proof",
        "theorem",
        "thesis",
        "dissertation",
        "strategy",
        "roadmap",
        "framework",
        "pipeline",
        "protocol",
        "microservice",
        "microservices",
        "backend",
        "distributed",
        "consensus",
        "transformer",
        "concurrent",
        "lock",
        "migration",
        "schema",
        "infrastructure",
        "terraform",
        "kubernetes",
        "curriculum",
        "architecture",
        "specification",
        "crawler",
        "scraper",
        "codebase",
    ]
)
_OBJECT_PHRASES = re.compile(
    r"\b(?:data structure|operating system|database engine|query planner|research (?:paper|proposal|plan)|white ?paper"
    r"|literature review|grant proposal|business plan|game engine|full[- ]stack|rest(?:ful)? api|web (?:app|application"
    r"|server)|neural network|machine learning model|type system|state machine|thread-safe|test suite|smart contract"
    r"|encryption scheme|chess engine|recommendation system|trading (?:bot|system)|load balancer|rate limiter"
    r"|message queue|cache invalidation|(?:mathematical|economic) model|legal (?:brief|memo|memorandum|opinion)"
    r"|policy (?:brief|paper))\b"
)
_DEPTH_WORDS = frozenset(
    [
        "tradeoff",
        "tradeoffs",
        "rigorous",
        "rigorously",
        "scalable",
        "scalability",
        "deadlock",
        "deadlocks",
        "comprehensive",
        "comprehensively",
        "critically",
        "implications",
        "counterarguments",
        "counterexample",
        "counterexamples",
        "invariant",
        "invariants",
        "asymptotic",
        "asymptotically",
        "latency",
        "throughput",
    ]
)
_DEPTH_PHRASES = re.compile(
    r"\b(?:trade-offs?|in[- ]depth|in detail|zero[- ]downtime|root cause|from scratch|end[- ]to[- ]end"
    r"|production[- ](?:ready|grade|quality)|fault[- ]toleran|high(?:ly)?[- ]availab|race conditions?|memory leak"
    r"|(?:time|space) complexity|o\(n|o\(log|o\(1\)|backwards?[- ]compatible|edge cases?|failure modes?|threat model"
    r"|step[- ]by[- ]step|strengths and weaknesses|at least (?:two|three|four|five|[2-9])|necessary and sufficient"
    r"|(?:lower|upper) bound|closed form|across (?:multiple|three|several|two) |without (?:using|downtime|losing))"
)
_SEARCH = re.compile(
    r"\bfind (?:all|the (?:sum|number|product|smallest|largest|minimum|maximum|least|greatest|value|set) of|a closed)\b"
    r"[^.?!]{0,90}\b(?:such that|for which|satisfying|that satisfy|where|if and only if)\b"
    r"|\bdetermine (?:all|whether)\b"
    r"|\b(?:show|demonstrate|verify|deduce) that\b|\bsolve (?:the|this) (?:differential|partial|integral|system)\b"
)
_SEARCH_WORDS = frozenset(["find", "determine", "show", "demonstrate", "verify", "deduce", "solve"])
_DEFINITION = re.compile(r"\s*(?:what(?:'s| is| are| does)|who|when|where|define|meaning of|translate|spell)\b")
_SHORT = 90  # characters, up to which a question for a definition stays one

_ZH_ALWAYS = [
    "推导",
    "推導",
    "重构",
    "重構",
    "论证",
    "論證",
    "求证",
    "求證",
    "证明",
    "證明",
    "证伪",
    "权衡",
    "權衡",
    "取舍",
    "取捨",
]
_ZH_STARTED = [
    "设计",
    "設計",
    "分析",
    "优化",
    "優化",
    "实现",
    "實現",
    "调试",
    "調試",
    "评估",
    "評估",
    "评价",
    "評價",
    "剖析",
    "诊断",
    "診斷",
    "排查",
    "论述",
    "論述",
    "开发",
    "開發",
    "搭建",
    "构建",
    "構建",
    "迁移",
    "遷移",
    "实施",
    "求解",
    "编写",
    "編寫",
]
_ZH_VERB = re.compile("|".join((*_ZH_ALWAYS, *_ZH_STARTED)))
_ZH_NO_VERB_AFTER = "师師费費院稿感图圖公书書信件材吗嗎开"  # 设计师, 证明书
_ZH_NO_VERB_BEFORE = [
    "收入",
    "在职",
    "身份",
    "健康",
    "存款",
    "居住",
    "离职",
    "结婚",
    "工作",
    "学历",
    "一份",
    "一张",
    "开个",
    "室内",
    "服装",
    "平面",
    "产品",
    "心理",
    "数据",
]
_ZH_BEFORE = re.compile(
    r"(?:^|[，。；：！？、,.;:!?\s)）“\"]|请|請|帮我|幫我|帮忙|帮|如何|怎么|怎樣|怎样|需要|想要?|来|并且?|並|再|然后|分别|深入|详细|全面|严格"
    r"|要求|尝试|试|我们|您|你|我|地|去)$"
)
_ZH_ORDER = re.compile("请|請|帮我|幫我")
_ZH_ORDER_REACH = 40  # characters between 请 and the verb
_ZH_ONE = "一出个個并並"  # 设计一个
_ZH_COMPARISON = re.compile(
    "(?:比较|比較|对比|對比|讨论|討論).{0,60}?(?:并|並|优劣|差异|差異|利弊|异同|異同|论据|論據)"
)
_ZH_SEARCH = re.compile("求(?:所有|使|解|出所有|最|[^，。！？\n]{0,30}?(?:之和|的值|最小|最大|个数|通项))")
_ZH_SYSTEM = re.compile("(?:分布式|高并发|高可用|容错|架构|複雜度|复杂度).{0,60}?(?:方案|系统|如何|怎么|算法)")
_ZH_MAKE = re.compile(
    "(?:写|寫|编写|制定|制訂|撰写|做|给出|提出).{0,24}?(?:编译器|編譯器|解析器|解释器|爬虫|架构|框架|引擎|协议|论文|論文|商业计划|策略|研究计划|微服务"
    "|分布式|并发|调度器|数据库|算法|模拟器|方案|后端|机器人)"
)
_ZH_DEFINITION = re.compile(r"^\s*什么(?:是|叫)|(?:是什么|什么意思|是谁|在哪里?|怎么说|怎么读)[？?。\s]*$")
_ZH_SHORT = 30
_ZH_LONG = 800  # characters, the beginning and the end of which are read
_ZH_LONG = 800  # characters, the beginning and the end of which are read
_MAX_MATCHES = 40


def find_work(text: str, lower: str, words: Collection[str]) -> str | None:
    """Return the words by which `text` asks for demanding work, None if it does not.

    `lower` is the text in small letters and `words` are its English words.
    """
    found = _find_english(lower, words) if words else None
    if found or text.isascii():
        return found
    return _find_chinese(text if len(text) <= _ZH_LONG else f"{text[: _ZH_LONG - 200]}\n{text[-199:]}")


def _find_english(lower: str, words: Collection[str]) -> str | None:
    if not _STRONG_SET.isdisjoint(words) and (match := _IMPERATIVE.search(lower)):
        return match[1]
    if len(lower) <= _SHORT and _DEFINITION.match(lower):
        return None
    if not _SEARCH_WORDS.isdisjoint(words) and (match := _SEARCH.search(lower)):
        return match[0][:40]
    made = _first(_MAKE, words)
    verb = _first(_THINK, words) or made
    if verb and (depth := _first(_DEPTH_WORDS, words) or _phrase(_DEPTH_PHRASES, lower)):
        return f"{verb} … {depth}"
    if made and (aim := _first(_OBJECT_WORDS, words) or _phrase(_OBJECT_PHRASES, lower)):
        return f"{made} … {aim}"
    return None


_STRONG_SET = frozenset(_STRONG)


def _first(wanted: frozenset[str], words: Collection[str]) -> str | None:
    return None if wanted.isdisjoint(words) else next(word for word in words if word in wanted)


def _phrase(pattern: re.Pattern[str], lower: str) -> str | None:
    match = pattern.search(lower)
    return match[0] if match else None


def _find_chinese(text: str) -> str | None:
    if len(text) <= _ZH_SHORT and _ZH_DEFINITION.search(text):
        return None
    for count, match in enumerate(_ZH_VERB.finditer(text)):
        if count >= _MAX_MATCHES:
            break
        start, end = match.span()
        after, before = text[end : end + 1], text[max(start - _ZH_ORDER_REACH, 0) : start]
        if after and after in _ZH_NO_VERB_AFTER:
            continue
        if any(before.endswith(each) for each in _ZH_NO_VERB_BEFORE):
            continue
        if match[0] in _ZH_ALWAYS or (after and after in _ZH_ONE):
            return match[0]
        if _ZH_BEFORE.search(before[-3:]) or _ZH_ORDER.search(before):
            return match[0]
    for pattern in (_ZH_COMPARISON, _ZH_SEARCH, _ZH_SYSTEM, _ZH_MAKE):
        if any(sign in text for sign in _ZH_SIGNS[pattern]) and (match_any := pattern.search(text)):
            return match_any[0][:20]
    return None


_ZH_SIGNS = {
    _ZH_COMPARISON: ("比较", "比較", "对比", "對比", "讨论", "討論"),
    _ZH_SEARCH: ("求",),
    _ZH_MAKE: ("写", "寫", "制", "撰", "做", "给出", "提出"),
    _ZH_SYSTEM: ("分布式", "高并发", "高可用", "容错", "架构", "複雜度", "复杂度"),
}
