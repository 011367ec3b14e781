"""Alerts: which events call for one, and the messages that report it. Pure."""
