"""The words that features count, in the same groups in English and in Chinese."""

from enum import IntEnum

__all__ = ["CHINESE", "COMMON", "TERMS", "Group", "split_chinese", "split_words"]


def split_words(words: str) -> frozenset[str]:
    """Return the English words of a list, which is easier to read as one text."""
    return frozenset(words.split())


def split_chinese(terms: str) -> tuple[str, ...]:
    """Return the Chinese words of a list, which are separated by bars."""
    return tuple(terms.split("|"))


class Group(IntEnum):
    """A group of words that is counted as one feature."""

    HARD_WORK = 0
    EASY_WORK = 1
    EXPLANATION = 2
    QUESTION = 3
    QUANTITY = 4
    CONDITION = 5
    CONSTRAINT = 6
    NEGATION = 7
    QUANTIFIER = 8
    COMPARISON = 9
    SEQUENCE = 10
    CAUSE = 11
    CHAT = 12
    EVERYDAY = 13
    SELF = 14
    MATHEMATICS = 15
    COMPUTING = 16
    SCIENCE = 17
    MEDICINE = 18
    LAW = 19
    ECONOMICS = 20
    HUMANITIES = 21
    WRITING = 22
    PUZZLE = 23
    CHOICE = 24
    OUTPUT = 25

    @property
    def label(self) -> str:
        """Its name for people: 'hard work'."""
        return f"words: {self.name.lower().replace('_', ' ')}"


_ENGLISH = {
    Group.HARD_WORK: """prove proof derive derivation design architect analyze analyse analysis refactor optimize
        optimise implement debug evaluate assess critique rigorous rigorously justify formulate
        synthesize comprehensive migrate reconcile verify diagnose devise construct determine
        tradeoff tradeoffs""",
    Group.EASY_WORK: """list name translate define spell rewrite rephrase summarize summarise paraphrase correct fix
        convert suggest recommend tell show say find give call meaning mean synonym""",
    Group.EXPLANATION: """explain why discuss compare contrast argue reason reasons describe
        argument arguments step steps""",
    Group.QUESTION: "what which who whom whose when where how",
    Group.QUANTITY: """many much total sum difference altogether average remaining left cost costs price pay paid earn
        spend""",
    Group.CONDITION: """if suppose assume assuming given let unless whether provided otherwise when whenever consider
        hypothetical""",
    Group.CONSTRAINT: """must should cannot exactly only least most maximum minimum without within never always ensure
        satisfies satisfy satisfying such require required requirement constraint limit exceed
        tolerate guarantee""",
    Group.NEGATION: """not no none nor except neither false incorrect isn't doesn't don't can't cannot incorrectly
        unlike""",
    Group.QUANTIFIER: "all every each some any both either several few none many",
    Group.COMPARISON: """than more less greater fewer larger smaller higher lower faster slower
        twice half times double
        triple older younger same different similar ratio""",
    Group.SEQUENCE: """first second third then after before next finally last later until during
        while simultaneously""",
    Group.CAUSE: """because therefore thus hence since cause causes caused effect result results due consequently
        implies""",
    Group.CHAT: """hello hi hey thanks thank please bye goodbye morning night sorry okay ok yes
        sure cool great lol""",
    Group.EVERYDAY: """weather timer alarm remind reminder play song music recipe cook dinner lunch breakfast
        restaurant flight hotel book bank balance account card credit bill pay order calendar
        schedule meeting phone text email car tire oil gas traffic shopping movie joke vacation
        travel visa insurance appointment spelling""",
    Group.SELF: "i me my mine myself i'm i've i'd we our us",
    Group.MATHEMATICS: """integral derivative polynomial matrix prime theorem lemma equation function integer integers
        real complex vector triangle circle angle angles radius probability modulo remainder
        divisible factor factorial root roots sequence series perimeter area volume logarithm
        sine cosine tangent graph parallel perpendicular polynomial coefficient digits
        permutation combination group ring field subset bijective continuous recurrence square
        cube hexagon polygon inequality expression solve compute calculate simplify evaluate""",
    Group.COMPUTING: """algorithm complexity array string list dictionary database server cache distributed thread
        threads concurrency compiler recursion pointer memory tree graph hash sort sorted binary
        regex query sql python java javascript rust code program script api http latency
        throughput kubernetes docker deadlock kernel protocol encryption tests input output
        boolean element elements tuple index class method microservice microservices""",
    Group.SCIENCE: """force mass velocity acceleration energy momentum pressure temperature gas liquid solid electron
        proton atom molecule ion acid base reaction equilibrium enthalpy entropy wavelength
        frequency voltage current resistance capacitor circuit magnetic field cell dna gene
        protein enzyme species evolution planet orbit heat thermal refractive lens wave quantum
        isotope oxidation solution concentration density spectrum membrane allele""",
    Group.MEDICINE: """patient disease symptoms diagnosis treatment therapy infection blood artery nerve muscle drug
        dose clinical cancer tumor chronic acute syndrome renal hepatic cardiac liver kidney
        lung brain disorder vaccine hormone insulin lesion pain surgery nurse physician
        psychologist anxiety depression cognitive""",
    Group.LAW: """court contract plaintiff defendant statute law legal liable liability jurisdiction tort
        negligence damages trial jury judge constitutional amendment evidence criminal convicted
        murder robbery burglary felony property deed buyer seller offer acceptance breach lease
        tenant landlord arbitration treaty""",
    Group.ECONOMICS: """demand supply elasticity inflation monetary fiscal interest bond stock market firm profit
        revenue marginal equilibrium price cost gdp unemployment investment portfolio dividend
        tax capital asset liability depreciation accounting monopoly trade tariff currency
        exchange consumer marketing management""",
    Group.HUMANITIES: """moral ethics ethical philosophy argument premise premises conclusion valid virtue utilitarian
        kant aristotle plato hume mill century war revolution empire dynasty colonial treaty
        political government democracy religion culture society historian passage author novel
        poem theory according""",
    Group.WRITING: """essay article poem story letter email blog report paragraph draft write
        compose edit proofread""",
    Group.PUZZLE: """clue clues puzzle house houses neighbor immediately somewhere adjacent seated liar truth riddle
        bloops logically deduce inferred infer implies entail""",
    Group.CHOICE: """following choose option options above below correct best statement statements
        true answer likely""",
    Group.OUTPUT: """json table csv format markdown bullet words sentences characters schema yaml xml""",
}

_CHINESE = {
    Group.HARD_WORK: (
        "证明|推导|设计|分析|重构|优化|实现|调试|评估|评价|论证|严格|权衡|取舍|求解|诊断|构造|架构|论述|推断|计算"
    ),
    Group.EASY_WORK: "列出|翻译|改写|概括|改正|总结|推荐|告诉|怎么说|是什么|什么意思|说一|近义词|反义词|润色",
    Group.EXPLANATION: "解释|说明|为什么|讨论|比较|对比|论据|理由|步骤|每一步",
    Group.QUESTION: "什么|哪|谁|何时|怎么|怎样|如何",
    Group.QUANTITY: "多少|几个|总共|一共|平均|剩下|之和|合计",
    Group.CONDITION: "如果|假设|假如|给定|若|当且仅当|条件|已知|除非",
    Group.CONSTRAINT: ("必须|不得|至少|至多|最多|最少|恰好|只能|满足|使得|不超过|限制|保证|能容忍|能够容忍|最小|最大"),
    Group.NEGATION: "不是|没有|不能|除了|错误的",
    Group.QUANTIFIER: "所有|每个|每种|任意|有些|全部|各",
    Group.COMPARISON: "大于|小于|更|超过|倍|相同|不同|差异|比率|之间",
    Group.SEQUENCE: "首先|然后|之后|之前|最后|同时|接着",
    Group.CAUSE: "因为|所以|因此|由于|导致",
    Group.CHAT: "你好|谢谢|感谢|请|早上好|晚安|再见|好的|对不起",
    Group.EVERYDAY: "天气|闹钟|计时器|提醒|播放|歌|菜谱|餐厅|机票|酒店|会议|电话|电影|笑话|快递|地铁",
    Group.SELF: "我|我们",
    Group.MATHEMATICS: "素数|整数|方程|函数|矩阵|概率|定理|积分|导数|多项式|平方|向量|三角形|闭式|递归|数列|余数",
    Group.COMPUTING: ("算法|复杂度|数据库|服务器|分布式|线程|缓存|代码|程序|接口|并发|数组|字符串|微服务|集群|限流"),
    Group.SCIENCE: "质量|速度|能量|压力|温度|电子|原子|分子|反应|浓度|电压|电流|基因|蛋白质|细胞",
    Group.MEDICINE: "患者|病人|疾病|症状|治疗|药|血压|剂量|休克|感染|输注",
    Group.LAW: "法院|合同|原告|被告|法律|要约|承诺|公约|判决|侵权|违约",
    Group.ECONOMICS: "通货膨胀|需求|供给|市场|利率|货币|财政|利润|成本|投资|凯恩斯",
    Group.HUMANITIES: "哲学|伦理|历史|革命|战争|政治|文化|社会|宗教",
    Group.WRITING: "文章|作文|诗|故事|邮件|报告|段落|写一",
    Group.PUZZLE: "线索|谜|相邻|推理|必然",
    Group.CHOICE: "下列|以下|选项|正确的",
    Group.OUTPUT: "格式|表格|字以内|句话",
}

TERMS: dict[str, tuple[Group, ...]] = {}
"""The groups of each English word."""
for _group, _words in _ENGLISH.items():
    for _word in _words.split():
        TERMS[_word] = (*TERMS.get(_word, ()), _group)

CHINESE: dict[str, list[tuple[str, Group]]] = {}
"""The Chinese words by their first character, the longest first, with their groups."""
for _group, _terms in _CHINESE.items():
    for _term in _terms.split("|"):
        CHINESE.setdefault(_term[0], []).append((_term, _group))
for _found in CHINESE.values():
    _found.sort(key=lambda found: -len(found[0]))

COMMON = (
    split_words(
        """a an the and or but of to in on at by for from with as is are was were be been being am do does did
        have has had will would can could may might this that these those it its it's he she they
        him her them his their there here you your yours one two three four five six seven eight
        nine ten so very too also just about into over out up down off new old good bad long short
        big small little time day days week year years people person man woman boy girl child
        children thing things way part use used using make made makes get got go going went come
        came take took put see look know think want need like work works place home water food world
        life hand eye room another other others own well back even still again between under through
        around against per because own who's what's"""
    )
    - TERMS.keys()
)
"""Words that say nothing of a text."""
