"""The control plane: keys, teams, routes, usage, cooldowns, and the admin page.

    app          the handler: reads the event, authenticates the caller, dispatches to the route, formats every error
    auth         authentication by the master key, a virtual key or a session
    environment  the clients and stores that one Lambda environment keeps for all its requests
    page         the files under /ui/
    session      signing in and out

Each module of routes has its own router. A handler reads its input, makes one call, and returns the response.
"""
