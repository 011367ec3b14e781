"""What `./deploy.sh` does. Read `flow` for the order of things.

__main__  the command line
flow      deploying, going back, deleting: the steps, and what people read
stack     what CloudFormation knows of the stack
target    which stack, by samconfig.toml
seam      AWS and the programs that are run: all of the outside goes through it
secret    .env into the one secret, without showing it
adoption  tables that outlived a stack, into the next one
versions  which published versions are kept
"""
