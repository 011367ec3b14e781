"""Pages of docs/ that are generated from the code: `python -m scripts.reference` writes them.

Each module has a function that returns the text of one page.
"""
