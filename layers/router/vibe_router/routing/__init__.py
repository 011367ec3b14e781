"""Pure decisions: which deployment, what an answer means, how long to keep away. No AWS, no HTTP, no own clock."""
