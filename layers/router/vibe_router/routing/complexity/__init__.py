"""Complexity routing: how hard a request is, and which of two chains serves it. Pure; imported when first used."""
