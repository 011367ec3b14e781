"""The gateway function: every model route."""
