"""Wire formats: how callers and providers write requests and answers. Pure: no clock, no socket, no table.

Each format is a package with the same modules:

    format           the format as one object for the registry (`ClientFormat`, `ProviderFormat` of `interfaces`)
    request          parses and checks a caller's request
    stream           reads a provider's stream or whole answer
    assembly         joins a stream into a whole answer
    neutral_*        translates requests and answers from and to the neutral form; imported when first needed

and around them:

    core.wire_formats  the table of all formats: a new format is one folder and one entry there
    registry           looks a format up by its name
    interfaces         the protocols that formats implement, and the values they exchange
    passthrough        formats without translation: embeddings, images, speech and others
    neutral            the neutral form of requests and answers
    common             shared helpers: JSON, server-sent events, fields, token estimates, seals

A translation never changes a request silently. A field or part that the target format cannot carry is rejected by the
caller's name for it (`unsupported`), and failover goes on with the next deployment. Each translating module documents
in its docstring what it leaves out and what it rewrites.
"""
