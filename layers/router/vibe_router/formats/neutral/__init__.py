"""The neutral form that formats are translated through."""
