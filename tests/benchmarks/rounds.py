"""Contenders measured in turn, A B C A B C …, so that whatever else the machine does falls on all of them alike."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from statistics import median

Measure = Callable[[], "Sample"]
Notice = Callable[[str, "Sample"], None]


@dataclass(frozen=True)
class Sample:
    """One measurement of a contender.

    `rate` is in requests a second; `p50` and `p99` are the latencies in ms that half and 99 % of the requests stayed
    within. Processor time is in ms a request, of the server, of PostgreSQL and of the client: it tells what the rate is
    made of. `others` is the share of the machine, in per cent, that went to whatever has no part in the benchmark. None
    is what was not measured.
    """

    rate: float
    p50: float | None = None
    p99: float | None = None
    server_cpu: float | None = None
    database_cpu: float | None = None
    client_cpu: float | None = None
    others: float | None = None


def alternate(contenders: Mapping[str, Measure], rounds: int, notice: Notice) -> dict[str, Sample]:
    """Measure each contender once a round, and tell `notice` of each sample; the medians of all rounds."""
    samples: dict[str, list[Sample]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, measure in contenders.items():
            sample = measure()
            samples[name].append(sample)
            notice(name, sample)
    return {name: medians(found) for name, found in samples.items()}


def medians(samples: Sequence[Sample]) -> Sample:
    """The median of each figure of its own."""
    found = {field.name: _median([getattr(sample, field.name) for sample in samples]) for field in fields(Sample)}
    return Sample(**found)  # type: ignore[arg-type]


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None
