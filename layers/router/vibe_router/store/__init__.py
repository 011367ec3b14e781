"""The state that outlives a request, in DynamoDB and Secrets Manager.

    routes, history         the catalogue of virtual models, and its previous versions
    state                   cooldowns and leases, shared by all environments
    keys, key_admin         virtual keys and teams
    ledger, ledger_admin    budgets and rate limits
    usage                   a row for each request, and totals
    responses               stored responses
    sessions, sign_ins      the admin page's sessions and failed sign-ins
    secrets                 the secret with the master key and the providers' keys

Reads are served from memory while it is fresh, and while AWS is unreachable. Everything is safe to use from several
threads.
"""
