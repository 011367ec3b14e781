"""The commands of `vibe`, one module each."""
