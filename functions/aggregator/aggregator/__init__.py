"""The aggregator: adds the rows of the usage table to its totals, from the table's stream."""
