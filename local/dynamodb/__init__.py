"""A small DynamoDB on SQLite, for the development stack: the operations and expressions that the router uses.

expressions   parse and evaluate condition, update and projection expressions
values        attribute values: validation, comparison, keys in order
database      tables and items in one SQLite file
operations    the API: parameters in, result or error out
"""
