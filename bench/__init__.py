"""Measure the cost of the router: `make bench` compares it with a direct call to the same provider, in the same run.

Measured are `targets` (a URL), the `function` alone, and the local `stack`; the `rig` starts and ends them all, with
the fast `provider` and the counting `aws` as processes of their own. `payload` is what is asked and answered, `wire`
reads it off the socket with its times. `sections` say what is measured, `figures` are what comes of it, `show` prints.
"""
