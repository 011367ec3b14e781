"""A reader of Prometheus' text format that is as strict as the specification."""

import re

__all__ = ["read_metrics"]

_NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
_SAMPLE = re.compile(rf"({_NAME})(?:\{{(.*)\}})? (\S+)")
_UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}
_SUFFIXES = ("_bucket", "_sum", "_count")

Sample = tuple[str, frozenset[tuple[str, str]]]


def read_metrics(text: str) -> dict[Sample, float]:
    """Return every sample by its name and labels.

    Fails unless each metric has one HELP and one TYPE before its samples, which are together, and none comes twice.
    """
    assert text.endswith("\n")
    found: dict[Sample, float] = {}
    kinds: dict[str, str] = {}
    current = ""
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            current = line.split(" ", 3)[2]
            assert current not in kinds, f"{current} comes twice"
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == current
            assert kind in ("counter", "gauge", "histogram")
            kinds[name] = kind
        else:
            sample, value = _read(line)
            suffix = next(
                (each for each in _SUFFIXES if kinds[current] == "histogram" and sample[0].endswith(each)), ""
            )
            assert sample[0] == current + suffix, f"{sample[0]} among those of {current}"
            assert sample not in found, f"{sample} comes twice"
            found[sample] = value
    return found


def _read(line: str) -> tuple[Sample, float]:
    matched = _SAMPLE.fullmatch(line)
    assert matched, line
    name, inside, value = matched.groups()
    labels, end = set[tuple[str, str]](), 0
    while end < len(inside or ""):
        label = _LABEL.match(inside, end)
        assert label, line
        unescaped = re.sub(r'\\[\\"n]', lambda each: _UNESCAPED[each[0]], label[2])
        labels.add((label[1], unescaped))
        end = label.end()
    return (name, frozenset(labels)), float(value)
