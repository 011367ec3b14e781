"""The development stack: a local API Gateway and Lambda, an embedded AWS, and stand-in providers.

It runs the product unchanged, as a deployment does: the functions run in their own processes under the real runtime
layer, configured from template.yaml.
"""
