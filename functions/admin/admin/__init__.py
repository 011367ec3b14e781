"""The control plane: keys, teams, routes, usage, cooldowns, and the admin page.

    app          the handler: reads the event, asks who calls, has the resolver find the route, words every error
    auth         who is calling: the master key or a session
    environment  what one Lambda environment holds for all its requests
    page         the files under /ui/
    session      signing in and out

Each module below `app` has a router of its own. A handler reads what was sent, asks one thing and answers.
"""
