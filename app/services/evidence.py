"""What a decision rests on: figures of an agent or execution over an interval, kept with it.

Metrics live shorter than decisions. Figures that are not given are computed here from the metrics as they are now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.agents import check_agent_id
from app.domain.decisions import EVIDENCE_MAX, MEASUREMENTS_MAX, computed_interval
from app.domain.errors import InvalidInput
from app.domain.ids import new_id
from app.domain.json_schemas import ANYTHING, check_json
from app.domain.rules import bounded_list
from db.queries.figures import Window, figures_of
from db.queries.metrics import now


@dataclass(frozen=True)
class Evidence:
    """Figures of an agent, of an execution, or of an agent within an execution, over an interval.

    None as snapshot has them computed.
    """

    interval_start: datetime
    interval_end: datetime
    snapshot: Any = None
    agent_id: str | None = None
    execution_id: UUID | None = None


def check_evidence(evidence: Sequence[Evidence]) -> None:
    """Raise `InvalidInput` for what is wrong with it whatever the database holds."""
    bounded_list("evidence", evidence, EVIDENCE_MAX)
    for index, item in enumerate(evidence):
        place = f"evidence.{index}"
        if item.agent_id is None and item.execution_id is None:
            raise InvalidInput(
                f"{place} must name an agent or an execution, or both. Nothing was written.", f"input.{place}"
            )
        if item.agent_id is not None:
            check_agent_id(item.agent_id, f"{place}.agentId")
        if item.interval_start > item.interval_end:
            raise InvalidInput(f"{place} ends before it starts. Nothing was written.", f"input.{place}.intervalEnd")
        check_json(f"{place}.snapshot", item.snapshot, ANYTHING)


async def evidence_rows(
    session: AsyncConnection, decision_id: UUID, evidence: Sequence[Evidence]
) -> list[dict[str, Any]]:
    """The rows of a decision's evidence, in order; all that is to be computed is, in one statement.

    Raises `InvalidInput` for an interval of which there can be no metrics, or are too many.
    """
    rows = [_row(decision_id, item) for item in evidence]
    missing = {f"evidence.{index}": row for index, row in enumerate(rows) if row["snapshot"] is None}
    if not missing:
        return rows
    clock = await now(session)
    for place, row in missing.items():
        bounds = computed_interval(place, row["interval_start"], row["interval_end"], clock)
        row["interval_start"], row["interval_end"] = bounds
    windows = [
        Window(row["agent_id"], row["execution_id"], row["interval_start"], row["interval_end"])
        for row in missing.values()
    ]
    most = MEASUREMENTS_MAX // len(windows)
    for (place, row), found in zip(missing.items(), await figures_of(session, windows, most + 1), strict=True):
        if found.measurements > most:
            raise InvalidInput(
                f"{place} rests on more than {most:,} measurements, which are too many to compute figures from; give a "
                "shorter interval, or the figures as snapshot. Nothing was written.",
                f"input.{place}",
            )
        row["snapshot"] = found.figures
    return rows


def _row(decision_id: UUID, item: Evidence) -> dict[str, Any]:
    return {
        "evidence_id": new_id(),
        "decision_id": decision_id,
        "agent_id": item.agent_id,
        "execution_id": item.execution_id,
        "interval_start": item.interval_start,
        "interval_end": item.interval_end,
        "snapshot": item.snapshot,
    }
