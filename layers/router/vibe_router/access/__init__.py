"""Access: keys and teams, their limits and budgets, and the admin page's sessions."""
