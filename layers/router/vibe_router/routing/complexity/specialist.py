"""Recognise a longer request as specialist work by words that hardly anybody uses outside a profession.

One term of a profession is enough, or two names of technologies, since everyday questions name those as well.
"""

from collections.abc import Collection

from vibe_router.routing.complexity.tokens import count_han
from vibe_router.routing.complexity.words import split_chinese, split_words

__all__ = ["is_specialist"]

_TECHNOLOGIES = split_words(
    """
    tcp udp quic tls dns kubernetes docker dockerfile terraform helm ansible nginx kafka pulsar redis postgres
    postgresql mysql mongodb cassandra dynamodb elasticsearch sql orm graphql grpc websocket oauth jwt react
    redux webpack django fastapi hibernate haskell cuda jvm numpy pytorch tensorflow wasm llvm asyncio pytest
    linux ci
    """
)
_COMPUTING = """
    coroutine mutex deadlock goroutine goroutines sharding replication raft paxos mvcc serializable linearizable
    idempotent idempotency backpressure csrf xss rerender rerenders simd compiler parser bytecode segfault syscall
    ebpf scheduler throughput softmax backpropagation overfitting tokenizer memoization dijkstra cliques subarray
    microservice microservices monolith refactoring flaky concurrency multithreading multithreaded subquery
    subqueries intrinsics kernel embeddings denormalise denormalize middleware observability epoll semaphore
    allocator asymptotic heapsort quicksort distributed
"""
_MATHEMATICS = """
    theorem lemma corollary polynomial polynomials eigenvalue eigenvalues eigenvector eigenvectors matrices topology
    topological manifold homomorphism isomorphism isomorphic galois abelian congruence bijection injective
    surjective converges convergence diverges bayesian covariance martingale markov stochastic asymptotically axiom
    axioms gödel hilbert banach lebesgue fourier laplace hermitian tensor eigenspace subgroup integrable
    differentiable coprime irrational combinatorial contrapositive
"""
_SCIENCE = """
    enthalpy entropy thermodynamic thermodynamics hamiltonian lagrangian relativistic wavefunction inductance
    capacitor stoichiometric isomer isomers chromatography kinetics polymerase mitochondrial phylogenetic
    fibrillation anticoagulation anticoagulant renal hepatic prognosis contraindication contraindications
    pharmacokinetics sepsis septic norepinephrine lymphadenopathy biopsy metastasis carcinoma comorbidity
    comorbidities epidemiology eigenstate
"""
_SOCIETY = """
    plaintiff defendant tort indemnify indemnity jurisdiction arbitration statutory fiduciary appellate estoppel
    ebitda covenant amortization wacc arbitrage solvency receivables payables gaap ifrs monetary epistemology
    epistemic ontology kant kantian hume utilitarianism deontology compatibilism metaphysics transcendental
    historiography macroeconomic econometric heteroskedasticity endogeneity
"""

_TERMS = split_words(f"{_COMPUTING} {_MATHEMATICS} {_SCIENCE} {_SOCIETY}")
_CHINESE_TERMS = split_chinese(
    "线程|协程|死锁|并发|分布式|微服务|重渲染|重新渲染|依赖注入|子查询|事务|分片|主从|一致性|幂等|熔断|背压|编译器|解析器|内存泄漏|垃圾回收"
    "|单元测试|时间复杂度|动态规划|哈希|二叉树|神经网络|梯度|过拟合|损失函数|内核|事件溯源|数据变更|复杂度|吞吐|限流|数组"
    "|定理|引理|多项式|特征值|特征向量|矩阵|同构|同态|伽罗瓦|群论|同余|双射|收敛|级数|积分|导数|微分|概率密度|随机变量|方差|期望值|马尔可夫|贝叶斯"
    "|傅里叶|拉普拉斯|有理数|无理数|素数|递推|归纳法|线性规划|对偶"
    "|摩擦系数|劲度系数|动量|熵|焓|热力学|量子|速率常数|活化能|摩尔|电场|磁场|电容|波函数"
    "|抗凝|房颤|鉴别诊断|淋巴结|肾病|禁忌症|剂量|感染性|肿瘤|并发症|药代"
    "|原告|被告|侵权|善意第三人|善意的|物权|债权|要约|抗辩|管辖|仲裁|违约|合同法|公约"
    "|资产负债表|现金流|应收|应付|契约上限|估值|对冲|套利|货币政策|通货膨胀|弹性|可转债|定价轮|计量经济"
    "|先验|认识论|本体论|康德|休谟|功利主义|怀疑论"
)
_LEAST = 55  # letters of English, or as many as say the same
_LEAST_OF_TWO = 45  # with two terms
_LETTERS_PER_CHARACTER = 3.2


def is_specialist(text: str, words: Collection[str]) -> bool:
    """Return whether a longer text has terms of a profession. `words` are its English words in lower case."""
    length = len(text)
    if not text.isascii():
        length += int(count_han(text) * (_LETTERS_PER_CHARACTER - 1))
    if length < _LEAST_OF_TWO:
        return False
    terms = len(_TERMS.intersection(words)) + len(_TECHNOLOGIES.intersection(words)) / 2
    if not text.isascii() and terms < 2:
        characters = set(text)
        terms += sum(characters.issuperset(term) and term in text for term in _CHINESE_TERMS)
    return terms >= (1 if length >= _LEAST else 2)
