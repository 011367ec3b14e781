"""Recognise demanding work by Chinese words: a verb in the place of a request, or a phrase."""

import re

from vibe_router.routing.complexity.words import split_chinese

__all__ = ["asks_in_chinese"]

_ALWAYS = split_chinese(
    "推导|推導|重构|重構|论证|論證|求证|求證|证明|證明|证伪|权衡|權衡|取舍|取捨|威胁模型|逐步推理|一步一步|推理过程|推导过程"
    "|求和过程|证明过程|时间复杂度|空间复杂度"
)
_STARTED = split_chinese(
    "设计|設計|分析|优化|優化|实现|實現|调试|調試|评估|評估|评价|評價|剖析|诊断|診斷|排查|论述|論述|开发|開發|搭建|构建|構建"
    "|迁移|遷移|实施|求解|编写|編寫|移植|建模|审计|模拟"
)
_VERB = re.compile("|".join((*_ALWAYS, *_STARTED)))
_NO_VERB_AFTER = "师師费費院稿感图圖公书書信件材吗嗎开器考"  # 设计师, 证明书, 模拟器
_NO_VERB_BEFORE = split_chinese(
    "收入|在职|身份|健康|存款|居住|离职|结婚|工作|学历|一份|一张|开个|室内|服装|平面|产品|心理|数据"
)
_BEFORE = re.compile(
    r"(?:^|[，。；：！？、,.;:!?\s)）“\"]|请|請|帮我|幫我|帮忙|帮|如何|怎么|怎樣|怎样|需要|想要?|来|并且?|並|再|然后|分别|深入|详细|全面|严格"
    r"|要求|尝试|试|我们|您|你|我|地|去)$"
)
_ORDER = re.compile("请|請|帮我|幫我")
_ORDER_REACH = 40  # characters between 请 and the verb
_ONE = "一出个個并並"  # 设计一个

_PHRASES = {
    re.compile("(?:比较|比較|对比|對比|讨论|討論).{0,60}?(?:并|並|优劣|差异|差異|利弊|异同|異同|论据|論據|区别)"): (
        "比较|比較|对比|對比|讨论|討論"
    ),
    re.compile(
        "求(?:所有|使|解|出所有|最|[^，。！？\n]{0,30}?(?:之和|的值|最小|最大|个数|通项|概率|期望|方差|密度|体积|极限|积分))"
    ): "求",
    re.compile("(?<![^，。；,;\\s])求(?!助|职|婚|推荐|问|购|租|帮|大神|一|个|救|你|求|教|安慰|解释|和|签|带|份)"): "求",
    re.compile("计算[^，。！？\n]{0,30}?(?:积分|极限|行列式|概率|期望|级数)"): "计算",
    re.compile("(?:分布式|高并发|高可用|容错|架构|複雜度|复杂度).{0,60}?(?:方案|系统|如何|怎么|算法)"): (
        "分布式|高并发|高可用|容错|架构|複雜度|复杂度"
    ),
    re.compile(
        "(?:写|寫|制定|制訂|撰写|做|给出|提出|建立).{0,30}?(?:编译器|編譯器|解析器|解释器|爬虫|架构|框架|引擎|协议|论文|論文|商业计划|策略"
        "|微服务|分布式|并发|调度器|数据库|算法|模拟器|方案|后端|机器人|SQL|类型检查|议论文|缓存|测试用例|单元测试|模型|实验|方法"
        "|(?:研究|拆分|迁移|干预|训练|治疗|实施|上线|回滚|应急|推广)的?计划)"
    ): "写|寫|制定|制訂|撰写|做|给出|提出|建立",
    re.compile(
        "(?:为|给).{2,30}?(?:设计|制定|建立|搭建|开发|实现).{0,30}?(?:系统|算法|模型|方案|计划|架构|流程|机制|策略|器|接口|模式|实验|协议)"
    ): ("为|给"),
    re.compile("(?:review|审查|检查).{0,20}?(?:代码|漏洞|安全)"): "review|审查|检查",
    re.compile("(?:改写|重写|改造).{0,20}?(?:解析器|函数|异步|并发|组件|模块|代码)"): "改写|重写|改造",
    re.compile("(?:解析器|组件|函数|模块|代码).{0,12}?(?:改写|重写|迁移|改造)"): "解析器|组件|函数|模块|代码",
    re.compile("(?:把|将).{1,40}?移植到"): "把|将",
    re.compile("用.{1,30}?(?:模拟|评价|分析|推导|论证)"): "用",
    re.compile("概率.{0,6}?(?:是多少|为多少|多大)"): "概率",
    re.compile("最[大小](?:可能)?(?:体积|面积|值)"): "最大|最小",
    re.compile("(?:体积|面积|周长|距离)最[大小]"): "体积|面积|周长|距离",
    re.compile("(?:说谎|说假话).{0,80}?(?:谁|哪|几|什么)"): "说谎|说假话",
    re.compile("判断.{0,40}?(?:收敛|可逆|可导|连续|线性相关|是否正确并)"): "判断",
    re.compile("(?:根据|由)(?:以下|下列|这些)线索"): "根据|由",
}
_BEGINNINGS = {pattern: split_chinese(beginnings) for pattern, beginnings in _PHRASES.items()}
# An explanation with a setting of its own.
_THINK = re.compile("(?:解释|解釋|讨论|討論|指出|提出|说明|說明|预测|給出|给出|检测|判断)")
_LONG = 34  # characters

_MEANING = re.compile(r"^\s*什么(?:是|叫)|(?:是什么|什么意思|是谁|在哪里?|怎么说|怎么读)[？?。\s]*$")
_SHORT = 30
_MOST = 800  # characters, the beginning and the end of which are read
_MAX_VERBS = 24
_MAX_PLACES = 8


def asks_in_chinese(text: str) -> bool:
    """Return whether a text asks for demanding work; of a long one the beginning and the end are read."""
    if len(text) > _MOST:
        text = f"{text[: _MOST - 200]}\n{text[-199:]}"
    if len(text) <= _SHORT and _MEANING.search(text):
        return False
    if _has_verb(text) or any(_matches(pattern, beginnings, text) for pattern, beginnings in _BEGINNINGS.items()):
        return True
    return len(text) >= _LONG and _has_explanation(text)


def _has_verb(text: str) -> bool:
    for count, match in enumerate(_VERB.finditer(text)):
        if count >= _MAX_VERBS:
            break
        start, end = match.span()
        after, before = text[end : end + 1], text[max(start - _ORDER_REACH, 0) : start]
        if (after and after in _NO_VERB_AFTER) or before.endswith(_NO_VERB_BEFORE):
            continue
        if match[0] in _ALWAYS or (after and after in _ONE):
            return True
        if _BEFORE.search(before[-3:]) or _ORDER.search(before):
            return True
    return False


def _has_explanation(text: str) -> bool:
    places = (match.start() for _, match in zip(range(_MAX_PLACES), _THINK.finditer(text), strict=False))
    return any(_BEFORE.search(text[max(place - 3, 0) : place]) for place in places)


def _matches(pattern: re.Pattern[str], beginnings: tuple[str, ...], text: str) -> bool:
    """Return whether `pattern` matches from one of its beginnings on; of each, the first places are tried."""
    for beginning in beginnings:
        position = text.find(beginning)
        for _ in range(_MAX_PLACES):
            if position < 0:
                break
            if pattern.match(text, position):
                return True
            position = text.find(beginning, position + 1)
    return False
