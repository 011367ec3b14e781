from tests.unit.gateway.conftest import environment

__all__ = ["environment"]
