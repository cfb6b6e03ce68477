"""`python -m tests.benchmarks [--only NAME]`: every benchmark beside its peer, in one run; writes build/bench.json."""

import argparse
import sys
from collections.abc import Callable, Mapping

from rich.console import Console

from tests.benchmarks import live, reads, repeated, reports, workflows
from tests.benchmarks.load import ROOT
from tests.benchmarks.report import Figure, show, write

BENCHMARKS: Mapping[str, Callable[[Console], list[Figure]]] = {
    "reads": reads.run,
    "repeated": repeated.run,
    "reports": reports.run,
    "live": live.run,
    "workflows": workflows.run,
}
REPORT = ROOT / "build" / "bench.json"
INTERRUPTED = 130


def main() -> None:
    """Run the benchmarks that were asked for. A missed aim is a finding, not a failure: the exit status stays 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", choices=sorted(BENCHMARKS), help="run this benchmark alone")
    only = parser.parse_args().only
    console = Console(highlight=False)
    figures: list[Figure] = []
    try:
        for name in [only] if only else BENCHMARKS:
            figures += BENCHMARKS[name](console)
    except KeyboardInterrupt:
        console.print("Interrupted: the servers are stopped, nothing was written.")
        sys.exit(INTERRUPTED)
    for figure in figures:
        show(console, figure)
    write(REPORT, figures)
    console.print(f"Written to {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
