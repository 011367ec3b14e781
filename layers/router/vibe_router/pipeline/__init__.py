"""The path of a request, from its first byte to its settlement."""
