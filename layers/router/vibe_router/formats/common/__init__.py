"""Helpers shared by several wire formats."""
