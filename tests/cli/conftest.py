"""The fixtures of this folder."""

from tests.agent.hubs import running_hub

__all__ = ["running_hub"]
