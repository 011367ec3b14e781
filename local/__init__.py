"""The development stack: API Gateway and Lambda on this machine, an embedded AWS, stand-in providers.

It uses the product from outside, as a deployment does: functions run in processes of their own under the real
runtime layer, and everything it knows of them it reads in template.yaml.
"""
