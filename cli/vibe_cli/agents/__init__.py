"""The configuration of coding agents: what their files must contain, how they are edited, and how that is undone."""
