"""Measure the cost of the router: `make bench` compares it with a direct call to the same provider, in the same run.

It measures `targets` (a URL), the `function` alone, and the local `stack`. The `harness` starts and ends them all, with
the fast `provider` and the counting `aws` as processes of their own. `payload` holds requests and answers, and `wire`
reads answers off the socket with their times. `sections` define the measurements, `figures` the results, `show` prints.
"""
