"""Usage over time: the steps of a range, and CSV that no spreadsheet runs."""

import csv
import io
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin.series import Range, Step
from admin.series_csv import COLUMNS, safe_cell, to_csv

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12)
DAYS = st.dates(date(2026, 1, 1), date(2027, 12, 31))
POINT: dict[str, Any] = dict.fromkeys(COLUMNS, 0) | {"at": "2026-11-24", "cost": 1.5e-8, "ttft_ms": None}


@given(DAYS, st.integers(0, 40), st.sampled_from(["hour", "day", "week"]))
def test_every_hour_of_a_range_is_in_one_of_its_steps(first: date, days: int, step: Step) -> None:
    wanted = Range(first, first + timedelta(days=days), step)
    times, step_of = wanted.times, wanted.step_of()
    assert times == sorted(set(times))
    found = {step_of(f"{day.isoformat()}T{hour:02}") for day in wanted.days for hour in range(24)}
    assert found == set(times)
    for outside in (first - timedelta(days=1), first + timedelta(days=days + 1)):
        assert step_of(f"{outside.isoformat()}T12") is None
    if step == "week":
        assert all(date.fromisoformat(at).weekday() == 0 for at in times)
    assert step_of("2026-13-45T99") is None, "a total that was edited by hand"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "\n-1"])
def test_a_formula_becomes_text(text: str) -> None:
    assert safe_cell(text) == f"'{text}"


@given(TEXT, TEXT)
def test_names_read_back_from_csv_and_are_no_formulas(name: str, alias: str) -> None:
    series = [{"name": name, "key_alias": alias, "points": [POINT]}, {"name": None, "names": 2, "points": [POINT]}]
    text = to_csv({"by": "key", "series": series, "points": []})
    head, first, second = csv.reader(io.StringIO(text, newline=""))
    assert tuple(head) == COLUMNS
    assert first[1:3] == [safe_cell(name), safe_cell(alias)]
    assert second[1] == "(2 others)"
    assert first[COLUMNS.index("cost")] == "0.000000015"
    assert first[COLUMNS.index("ttft_ms")] == ""
    for cell in (*first, *second):
        assert not cell.lstrip().startswith(("=", "+", "-", "@"))
