"""Figures of which less is better."""

from tests.benchmarks.report import Figure


class AtMost(Figure):
    """A measured value that should stay below the peer's, or below a limit: the ratio says how many times it fits."""

    @property
    def ratio(self) -> float:
        """Peer's value over value."""
        return self.peer_value / self.value
