"""Ledgers and changes of every sort, for Hypothesis."""

from hypothesis import strategies as st

from vibe_router.access.keys import Limits
from vibe_router.access.ledger import COUNTERS, TIMES, Hold, Ledger, LedgerUpdate

amounts = st.integers(0, 20)
instants = st.integers(0, 40) | st.floats(0, 40).map(lambda value: round(value, 3))
ids = st.sampled_from("abcd")
holds = st.builds(Hold, amounts, amounts, instants)


@st.composite
def _ledgers(draw: st.DrawFn) -> Ledger:
    held = draw(st.dictionaries(ids, holds, max_size=3))
    swept = draw(st.dictionaries(ids, st.integers(0, 40), max_size=2))
    spent = draw(amounts)
    return Ledger(
        committed=spent + sum(hold.cost for hold in held.values()),
        spent=spent,
        total=spent + draw(amounts),
        period_ends=draw(instants),
        window_ends=draw(instants),
        requests_used=draw(amounts),
        tokens_used=draw(amounts),
        holds=held,
        swept={each: at for each, at in swept.items() if each not in held},
    )


ledgers = _ledgers() | st.just(Ledger(exists=False))
limits = st.builds(
    Limits,
    max_budget=st.none() | amounts,
    budget_duration=st.none() | st.sampled_from(["5s", "15s"]),
    rpm=st.none() | st.integers(0, 4),
    tpm=st.none() | amounts,
    parallel=st.none() | st.integers(0, 3),
)


@st.composite
def _changes(draw: st.DrawFn) -> LedgerUpdate:
    """Draw what `admit` and `settle` may put together: no counter is named twice, and no hold."""
    names = draw(st.permutations([*COUNTERS]))
    added = draw(st.integers(0, len(names)))
    put = draw(st.integers(added, len(names)))
    fill = draw(st.booleans())
    new = not fill and draw(st.booleans())
    take = None if fill else draw(st.none() | st.tuples(ids, holds))
    claim = None if fill or new or take else draw(st.none() | ids)
    sweep = draw(st.dictionaries(ids, instants, max_size=2)) if take else {}
    forget = tuple(sorted(draw(st.sets(ids, max_size=2)) - {claim, *sweep})) if take or claim else ()
    drop = () if fill or new else tuple(sorted(draw(st.sets(ids, max_size=2)) - ({take[0]} if take else set())))
    return LedgerUpdate(
        add={} if new else {name: draw(st.integers(-5, 5)) for name in names[:added]},
        put={name: draw(amounts) for name in ([*COUNTERS, *TIMES] if new else names[added:put])},
        take=take,
        drop=drop,
        sweep=sweep,
        forget=forget,
        claim=claim,
        unrenewed={each: draw(instants) for each in drop if draw(st.booleans())},
        fill=fill,
        new=new,
        same={} if fill or new else draw(st.dictionaries(st.sampled_from([*COUNTERS, *TIMES]), amounts, max_size=1)),
        most={} if fill or new else draw(st.dictionaries(st.sampled_from(COUNTERS), amounts, max_size=2)),
        slots=None if fill or new else draw(st.none() | st.integers(0, 3)),
    )


changes = _changes()
