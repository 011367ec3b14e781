"""What every part of the router shares: errors, models, prices, records, clock."""
