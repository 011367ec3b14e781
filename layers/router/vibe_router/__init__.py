"""Vibe Router: virtual models over chains of real deployments.

One request goes one way: read, admit, resolve, plan, attempt, commit, relay, settle.
`routing` and `formats` decide (pure), `upstream` and `store` talk to the world, `access` guards the door.
"""
