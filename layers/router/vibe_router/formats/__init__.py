"""Wire formats: what callers and providers write, and what the router reads of it. Pure.

A format is one or two modules:

    <format>.py           parse (the caller's request, checked as far as the router relies on it), the reader that
                          watches a stream of this format, whole answers, errors; at its end an object with all of it,
                          such as chat.CHAT: the format as one of `wire`'s for callers, of those for providers, or both
    <format>_neutral.py   in and out of the neutral form: request → neutral, neutral → request, the decoder (chunks →
                          neutral events) and the writer (neutral events → stream); imported when a translation needs it

and around them:

    wire        the interfaces that formats offer, and the values that pass through them
    neutral     the neutral form of requests and answers; `refuse` for what a format can't carry
    known       every format by its name: where a new one is entered
    exchange    one request as one deployment is asked it: passed untouched, or translated there and back
    shape       typed fields of a caller's JSON, each absent or a 400 that names it
    reading     what reading a request into the neutral form is in every format
    repeated    what an answer repeats of its request, where the provider was not told
    sse, json_body, media, usage, errors      what they all write with

Never changed quietly: a field or part that a target can't carry is refused by the caller's own name for it
(`neutral.refuse`), and then the chain goes on with the next deployment; what may be left out without harm, and what is
said in other words, stands in the docstring of the module that does so.
"""
