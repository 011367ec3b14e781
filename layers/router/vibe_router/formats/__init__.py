"""Wire formats: what callers and providers write, and what the router reads of it. Pure; one module a format."""
