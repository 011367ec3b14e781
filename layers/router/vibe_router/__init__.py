"""Vibe Router: virtual models over chains of real deployments.

One request goes one way: read, admit, resolve, plan, attempt, commit, relay, settle.
`routing`, `formats` and `access` are pure decisions. `upstream` calls providers, and `store` calls AWS.
"""
