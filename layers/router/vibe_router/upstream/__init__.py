"""Calling providers over HTTP: one attempt at a time, every wait bounded."""
