"""Who may call: keys, and later their limits and budgets."""
