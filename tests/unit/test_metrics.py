"""The metrics' line."""

import json

from vibe_router.core.metrics import METRICS, metrics_line


def test_a_line_describes_its_values_without_zero_and_none() -> None:
    values = {"Requests": 1, "Errors": 0, "TtftMs": None, "TotalMs": 12.5, "Cost": 3.7e-05}
    assert json.loads(metrics_line(values, "VibeRouter", 1_800_000_000.25)) == {
        "_aws": {
            "Timestamp": 1_800_000_000_250,
            "CloudWatchMetrics": [
                {
                    "Namespace": "VibeRouter",
                    "Dimensions": [["service"]],
                    "Metrics": [{"Name": "Requests"}, {"Name": "TotalMs", "Unit": "Milliseconds"}, {"Name": "Cost"}],
                }
            ],
        },
        "service": "VIBE-ROUTER",
        "Requests": 1,
        "TotalMs": 12.5,
        "Cost": 3.7e-05,
    }


def test_a_line_is_short() -> None:
    assert len(metrics_line(dict.fromkeys(METRICS, 1234.567), "VibeRouter", 1_800_000_000)) < 600
