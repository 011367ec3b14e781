"""The router's metrics: one line a request in CloudWatch's embedded metric format, which needs no call to AWS.

CloudWatch charges for each metric, so there are nine, by service alone; what is counted by verdict, provider, model or
key is in the log and on the admin page. A count of zero is left out: an alarm takes missing data for none.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
from collections.abc import Mapping

__all__ = ["METRICS", "metrics_line"]

SERVICE = "VIBE-ROUTER"

METRICS = {
    "Requests": None,
    "Errors": None,
    "Failovers": None,
    "AllDeploymentsFailed": None,
    "Cooldowns": None,
    "AuthFailures": None,
    "TtftMs": "Milliseconds",
    "TotalMs": "Milliseconds",
    "Cost": None,
}
"""The metrics and their units; None for a plain number. `Cost` is in dollars."""


def metrics_line(values: Mapping[str, float | None], namespace: str, now: float) -> str:
    """Return the line for one request's metrics at `now` (epoch seconds), without those that are None or 0."""
    present = {name: value for name, value in values.items() if value}
    described = [{"Name": name, "Unit": unit} if (unit := METRICS.get(name)) else {"Name": name} for name in present]
    metadata = {"Namespace": namespace, "Dimensions": [["service"]], "Metrics": described}
    line = {"_aws": {"Timestamp": int(now * 1000), "CloudWatchMetrics": [metadata]}, "service": SERVICE, **present}
    return json.dumps(line, separators=(",", ":"))
