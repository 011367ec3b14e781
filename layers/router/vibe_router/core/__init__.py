"""Definitions that every part of the router shares: errors, models, prices, records, clock."""
