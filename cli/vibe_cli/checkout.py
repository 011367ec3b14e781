"""The path of the checkout that this command was installed from."""

from pathlib import Path

__all__ = ["CHECKOUT"]

CHECKOUT = Path(__file__).resolve().parents[2]
