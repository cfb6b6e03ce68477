"""Streams with an interval: of what happens meanwhile, the latest is told; of measurements, the figures of all."""

from datetime import UTC, datetime
from decimal import Decimal

from app.services.metrics import Measurement, record_metrics
from tests.services.makers import ADMIN, a_running_task, a_task, an_agent, run
from tests.streams.conftest import Live
from tests.streams.listening import listen

METRICS = """subscription ($after: Cursor) { resourceMetricsRecorded(minInterval: 1500, after: $after) {
    cursor resourceMetrics { agentId cpuUsage }
    merged { count cpuUsage { min max avg p50: percentile(p: 0.5) } memoryUsage { max } key { agentId } } } }"""


async def test_intervals_merge_to_the_latest(live: Live) -> None:
    query = """subscription { taskChanged(minInterval: 1500) { eventType version task { title } } }"""
    listener = await listen(live.streams, query)
    await an_agent(live.database)
    await a_task(live.database, "First")
    assert [each["eventType"] for each in await listener.take(1)] == ["created"]
    await a_running_task(live.database, title="Held")
    await a_task(live.database, "Second")
    told = await listener.take(2)
    assert [(each["eventType"], each["version"], each["task"]["title"]) for each in told] == [
        ("started", 3, "Held"),
        ("created", 1, "Second"),
    ]
    assert listener.payloads == []


async def measure(live: Live, *usages: int, agent: str | None = "james-dev") -> None:
    now = datetime.now(UTC)
    measurements = [Measurement(now, agent_id=agent, cpu_usage=Decimal(usage)) for usage in usages]
    await run(live.database, record_metrics, ADMIN, measurements)


async def test_measurements_are_merged_by_agent_with_their_figures(live: Live) -> None:
    await an_agent(live.database)
    listener = await listen(live.streams, METRICS)
    await measure(live, 10)
    (first,) = await listener.take(1)
    assert first["resourceMetrics"] == {"agentId": "james-dev", "cpuUsage": "10"}
    assert first["merged"]["count"] == 1
    await measure(live, 20, 40)
    await measure(live, 90)
    await measure(live, 7, agent=None)
    told = await listener.take(2)
    assert [each["resourceMetrics"] for each in told] == [
        {"agentId": "james-dev", "cpuUsage": "90"},
        {"agentId": None, "cpuUsage": "7"},
    ]
    assert told[0]["merged"] == {
        "count": 3,
        "cpuUsage": {"min": "20", "max": "90", "avg": "50", "p50": 40.0},
        "memoryUsage": {"max": None},
        "key": {"agentId": None},
    }
    # one who resumes gets what it missed merged the same way
    late = await listen(live.streams, METRICS, after=first["cursor"])
    assert [each["merged"]["count"] for each in await late.take(2)] == [3, 1]


async def test_a_backlog_waits_in_the_transport_as_the_latest(live: Live) -> None:
    """Transports may replace what waits: the payloads say what they are the latest of."""
    listener = await listen(live.streams, METRICS)
    await measure(live, 5, agent=None)
    await listener.take(0)
    task = await listen(live.streams, "subscription { taskChanged { cursor } }")
    merged = await listen(live.streams, "subscription { taskChanged(minInterval: 1) { cursor } }")
    row = await a_task(live.database)
    await task.take(0)
    while not (task.payloads and merged.payloads and listener.payloads):
        await live.settled()
    assert [payload.latest_of for payload in task.payloads] == [None]
    assert [payload.latest_of for payload in merged.payloads] == [str(row.task_id)]
    assert [payload.latest_of for payload in listener.payloads] == ["None"]
