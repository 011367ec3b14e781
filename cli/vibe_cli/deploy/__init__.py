"""Deploy the router to AWS. Start with `flow`, which has the steps.

flow      deploying, rolling back and deleting, step by step
stack     the state of the CloudFormation stack
target    the environments in samconfig.toml
services  AWS clients, and the programs that are run
secret    the router's secret, filled from .env
adoption  importing tables that an earlier stack left
versions  published versions of the functions
"""
