"""Gemini: the format of Google's Generative Language API, for callers."""
