"""What outlives a request: routes and cooldowns in DynamoDB, keys in Secrets Manager.

    routes   the catalogue of virtual models, as the RoutesTable has it
    state    cooldowns and leases, as the whole fleet sees them
    secrets  the one secret that holds every key

Each answers from memory while that is fresh, asks once when it is not, and goes on from memory when AWS can't be asked.
They are safe to use from several threads, and nothing here is called from `routing`.
"""
