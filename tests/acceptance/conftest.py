"""The fixtures of this folder."""

from tests.contracts.conftest import node_client

__all__ = ["node_client"]
