"""Training and evaluation of complexity models, in plain Python: off the path of requests, without a library."""
