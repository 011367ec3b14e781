"""Usage over time as CSV, one line for each step of each name. Pure.

A spreadsheet runs a cell that begins with one of a few characters as a formula, and names come from callers (tags) and
administrators. Such a name gets an apostrophe in front, which spreadsheets show as the sign of a text.

https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
from collections.abc import Mapping
from typing import Any

__all__ = ["COLUMNS", "safe_cell", "to_csv"]

_NUMBERS = (
    *("requests", "errors", "failovers", "prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens"),
    *("cost", "unpriced", "ttft_ms", "ttft_p50_ms", "ttft_p95_ms", "total_p50_ms", "total_p95_ms", "cache_share"),
    "cache_hits",
)
COLUMNS = ("at", "name", "label", *_NUMBERS)
_FORMULA = tuple("=+-@＝＋－＠")  # full-width signs begin a formula in some spreadsheets
_CONTROL = ("\t", "\r", "\n")


def to_csv(answer: Mapping[str, Any]) -> str:
    """Return an answer of `series_of`; of all requests, if it is not by name. Costs are in dollars."""
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    series = [{"name": "all", "points": answer["points"]}] if answer["by"] == "all" else answer["series"]
    rows = [(point["at"], order, each, point) for order, each in enumerate(series) for point in each["points"]]
    for at, _, each, point in sorted(rows, key=lambda row: row[:2]):
        name = f"({each['names']} others)" if each["name"] is None else each["name"]
        label = each.get("key_alias") or each.get("team_alias") or name
        lines.writerow([at, safe_cell(name), safe_cell(label), *(_number(point[column]) for column in _NUMBERS)])
    return text.getvalue()


def safe_cell(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(_CONTROL) or text.lstrip().startswith(_FORMULA) else text


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return str(value) if isinstance(value, int) else f"{value:.9f}".rstrip("0").rstrip(".")
