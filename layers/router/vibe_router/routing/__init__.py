"""Pure decisions: which deployments to try, what a failure means, how long to cool. No AWS, no HTTP, no own clock."""
