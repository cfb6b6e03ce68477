"""Groups: keys, counts and figures are what Python makes of all rows; sums and means are exact."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest
from graphql import GraphQLEnumType, get_named_type
from sqlalchemy import insert

from app.domain.principals import Role
from db.session import Database
from db.tables.agents import agents
from db.tables.metrics import resource_metrics
from graphql_schema.schema import HubSchema
from tests.graphql.planner import world
from tests.graphql.planner.conftest import Reader, principal
from tests.graphql.planner.oracle import Facts, Row, camel, comparable

BUCKETS = ["MINUTE", "HOUR", "DAY", "WEEK", "MONTH"]
NUMBERS = frozenset({"Int", "BigInt", "Decimal", "Float"})
Terms = Sequence[Mapping[str, str]]


def bucket_of(bucket: str | None, shown: Any) -> Any:
    """Where the stretch of time begins that a point in time lies in."""
    if bucket is None or shown is None:
        return shown
    at = datetime.fromisoformat(shown).replace(microsecond=0, second=0)
    match bucket:
        case "HOUR":
            at = at.replace(minute=0)
        case "DAY":
            at = at.replace(minute=0, hour=0)
        case "WEEK":
            at = at.replace(minute=0, hour=0) - timedelta(days=at.weekday())
        case "MONTH":
            at = at.replace(minute=0, hour=0, day=1)
    return at.isoformat()


def figures(facts: Facts, type_name: str, name: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What a group shows of a number or of a point in time."""
    type_ = facts.object(type_name).fields[name].type
    shown = sorted((row[name] for row in rows if row[name] is not None), key=lambda each: comparable(type_, each))
    ends = {"min": shown[0], "max": shown[-1]} if shown else {"min": None, "max": None}
    if get_named_type(type_).name == "DateTime":
        return ends
    values = [Fraction(Decimal(str(each))) for each in shown]
    if not values:
        return {**ends, "sum": None, "avg": None, "low": None, "mid": None, "odd": None, "high": None}
    total = sum(values, start=Fraction(0))
    at = {share: float(_percentile(values, share)) for share in (0.0, 0.5, 0.95, 1.0)}
    return {
        **ends,
        "sum": _plain(Decimal(total.numerator) / total.denominator),
        "avg": _plain(_rounded(total / len(values))),
        "low": at[0.0],
        "mid": at[0.5],
        "odd": pytest.approx(at[0.95], rel=1e-12),
        "high": at[1.0],
    }


def _percentile(values: Sequence[Fraction], share: float) -> Fraction:
    place = Fraction(str(share)) * (len(values) - 1)
    below = int(place)
    above = min(below + 1, len(values) - 1)
    return values[below] + (values[above] - values[below]) * (place - below)


def _rounded(value: Fraction) -> Decimal:
    scaled = Decimal(value.numerator * 10**12) / value.denominator
    return (scaled / 10**12).quantize(Decimal("0.000001"), ROUND_HALF_UP)


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def expected(facts: Facts, type_name: str, rows: Sequence[Row], by: Terms) -> list[dict[str, Any]]:
    """The groups of rows, in the order of their keys, nulls last."""
    groups: dict[tuple[Any, ...], list[Row]] = {} if by else {(): []}
    for row in rows:
        groups.setdefault(tuple(bucket_of(term.get("bucket"), row[camel(term["field"])]) for term in by), []).append(
            row
        )
    fields = facts.object(type_name).fields
    types = [fields[camel(term["field"])].type for term in by]

    def place(key: tuple[Any, ...]) -> list[Any]:
        return [(each is None, comparable(at, each)) for each, at in zip(key, types, strict=True)]

    figured = figures_of(facts, type_name)
    return [
        {
            "key": {camel(term["field"]): part for term, part in zip(by, key, strict=True)},
            "count": len(groups[key]),
            **{name: figures(facts, type_name, name, groups[key]) for name in figured},
        }
        for key in sorted(groups, key=place)
    ]


def figures_of(facts: Facts, type_name: str) -> list[str]:
    return [name for name in facts.object(f"{type_name}Group").fields if name not in ("key", "count")]


def selection(facts: Facts, type_name: str, by: Terms) -> str:
    """All that a group can show; of its key what it is grouped by."""
    keys = " ".join(camel(term["field"]) for term in by) or "__typename"
    parts = [f"key {{ {keys} }} count"]
    for name in figures_of(facts, type_name):
        named = get_named_type(facts.object(type_name).fields[name].type)
        numbers = (
            "sum avg low: percentile(p: 0) mid: percentile(p: 0.5) odd: percentile(p: 0.95) high: percentile(p: 1)"
        )
        parts.append(f"{name} {{ min max {numbers if named.name in NUMBERS else ''} }}")
    return " ".join(parts)


async def groups_of(
    reader: Reader, facts: Facts, type_name: str, by: Terms, asked: Mapping[str, Any] | None = None
) -> Any:
    query = (
        f"query ($by: [{type_name}GroupBy!], $f: {type_name}Filter) {{ {facts.roots[type_name]}(filter: $f) {{ "
        f"groups(by: $by, first: 1000) {{ {selection(facts, type_name, by)} }} }} }}"
    )
    groups = (await reader.data(query, by=by, f=asked))[facts.roots[type_name]]["groups"]
    if not by:
        for group in groups:
            assert group["key"].pop("__typename") == f"{type_name}GroupKey"
    return groups


def terms_of(facts: Facts, type_name: str) -> list[dict[str, str]]:
    """Everything that a type can be grouped by, points in time in every bucket."""
    type_ = facts.schema.type_map[f"{type_name}GroupField"]
    assert isinstance(type_, GraphQLEnumType)
    found: list[dict[str, str]] = []
    for name in type_.values:
        is_time = get_named_type(facts.object(type_name).fields[camel(name)].type).name == "DateTime"
        found += [{"field": name, "bucket": bucket} for bucket in BUCKETS] if is_time else [{"field": name}]
    return found


TYPES = [
    "AgentMessage", "AgentState", "ApiToken", "GateReview", "ModelAssignment", "PMDecisionContext",
    "QualityGateExecution", "ResourceMetrics", "Task", "WorkflowError", "WorkflowExecution", "WorkflowSchedule",
    "WorkflowTemplate",
]  # fmt: skip


@pytest.mark.parametrize("type_name", TYPES)
async def test_by_everything_alone_and_by_nothing(admin: Reader, facts: Facts, type_name: str) -> None:
    assert set(facts.roots) == set(TYPES)
    for by in ([], *([term] for term in terms_of(facts, type_name))):
        groups = await groups_of(admin, facts, type_name, by)
        assert groups == expected(facts, type_name, facts.shown(type_name), by), by


@pytest.mark.parametrize("seed", range(3))
async def test_by_several_things_with_a_filter(admin: Reader, facts: Facts, seed: int) -> None:
    random = Random(seed)  # noqa: S311
    for type_name in TYPES:
        terms = terms_of(facts, type_name)
        for many in (2, 3, 4):
            by = random.sample(terms, many)
            if len({term["field"] for term in by}) < many:
                continue
            name = random.choice(
                sorted(facts.input(f"{type_name}Filter").fields.keys() & {"createdAt", "version", "assignedAt"})
            )
            asked = {name: {"isNull": random.random() < 0.2}}
            rows = [facts.rows[type_name][key] for key in facts.fitting(type_name, asked)]
            assert await groups_of(admin, facts, type_name, by, asked) == expected(facts, type_name, rows, by), by


async def test_nothing_is_one_group_of_nothing_unless_it_is_grouped(admin: Reader, facts: Facts) -> None:
    nothing = {"title": {"eq": "no such title"}}
    assert await groups_of(admin, facts, "Task", [{"field": "STATUS"}], nothing) == []
    (group,) = await groups_of(admin, facts, "Task", [], nothing)
    assert (group["count"], group["complexity"]) == (0, figures(facts, "Task", "complexity", []))


async def test_groups_of_nested_connections_have_the_rows_of_their_parent(admin: Reader, facts: Facts) -> None:
    query = """query ($f: TaskFilter) { agents { nodes { id tasks(first: 1, filter: $f) { totalCount nodes { title }
        pageInfo { hasNextPage } few: groups(by: [{field: REQUIRED_ROLE}, {field: STATUS}]) {
            key { requiredRole status phase } count complexity { sum } __typename } all: groups { count } } } } }"""
    asked = {"complexity": {"gt": 3}}
    for node in (await admin.data(query, f=asked))["agents"]["nodes"]:
        rows = [facts.rows["Task"][key] for key in facts.rows["AgentState"][node["id"]]["tasks"]]
        rows = [row for row in rows if row["complexity"] > 3]
        by = [{"field": "REQUIRED_ROLE"}, {"field": "STATUS"}]
        assert node["tasks"]["few"] == [
            {
                "key": {**group["key"], "phase": None},
                "count": group["count"],
                "complexity": {"sum": group["complexity"]["sum"]},
                "__typename": "TaskGroup",
            }
            for group in expected(facts, "Task", rows, by)
        ]
        assert node["tasks"]["all"] == [{"count": len(rows)}]
        assert node["tasks"]["totalCount"] == len(rows)


async def test_sums_and_means_are_exact_and_buckets_are_in_utc(database: Database, schema: HubSchema) -> None:
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=3)
    random = Random(5)  # noqa: S311
    rows: list[dict[str, Any]] = [
        {
            "metric_id": world.uid(world.METRIC, number),
            "measurement_time": start + timedelta(seconds=37 * number),
            "agent_id": random.choice(["a-b", None]),
            "memory_usage": Decimal(random.randrange(10**12)) / 1000,
            "active_sessions": random.randrange(2**31),
            "created_at": datetime.now(UTC),
        }
        for number in range(500)
    ]

    async def fill(session: Any) -> None:
        await session.execute(
            insert(agents), [{"agent_id": "a-b", "agent_name": "A", "agent_role": "qa", "status": "idle"}]
        )
        await session.execute(insert(resource_metrics), rows)

    await database.transact(fill)
    reader = Reader(schema, database, principal(Role.ADMIN))
    query = """{ resourceMetrics { groups(by: [{field: AGENT_ID}, {field: MEASUREMENT_TIME, bucket: HOUR}]) {
        key { agentId measurementTime } count memoryUsage { sum avg min max } activeSessions { sum avg } } } }"""
    answered = (await reader.data(query))["resourceMetrics"]["groups"]
    found: dict[tuple[Any, Any], list[dict[str, Any]]] = {}
    for row in rows:
        hour = row["measurement_time"].replace(minute=0, second=0).isoformat()
        found.setdefault((row["agent_id"], hour), []).append(row)
    assert [(group["key"]["agentId"], group["key"]["measurementTime"]) for group in answered] == sorted(
        found, key=lambda key: (key[0] is None, key)
    )
    for group in answered:
        members = found[group["key"]["agentId"], group["key"]["measurementTime"]]
        memory = [row["memory_usage"] for row in members]
        assert group["count"] == len(members)
        assert {name: Decimal(value) for name, value in group["memoryUsage"].items()} == {
            "sum": sum(memory),
            "avg": _rounded(sum(map(Fraction, memory), start=Fraction(0)) / len(memory)),
            "min": min(memory),
            "max": max(memory),
        }
        sessions = [row["active_sessions"] for row in members]
        assert Decimal(group["activeSessions"]["sum"]) == sum(sessions)
        assert Decimal(group["activeSessions"]["avg"]) == _rounded(Fraction(sum(sessions), len(sessions)))


async def test_first_takes_the_first_groups(admin: Reader) -> None:
    query = "query ($n: Int) { tasks { groups(by: {field: TITLE}, first: $n) { key { title } } } }"
    everything = (await admin.data(query))["tasks"]["groups"]
    assert len(everything) == 48
    for many in (1, 7, 1000, None):
        assert (await admin.data(query, n=many))["tasks"]["groups"] == everything[:many]


WRONG = {
    "groups(first: 0) { count }": ("first must be from 1 to 1000.", "g.first"),
    "groups(first: -1) { count }": ("first must be from 1 to 1000.", "g.first"),
    "groups(first: 1001) { count }": ("first must be from 1 to 1000.", "g.first"),
    "groups(by: [{field: STATUS}, {field: STATUS}]) { count }": ("by names status more than once.", "g.by"),
    "groups(by: [{field: CREATED_AT, bucket: DAY}, {field: CREATED_AT, bucket: HOUR}]) { count }": (
        "by names createdAt more than once.",
        "g.by",
    ),
    "groups(by: {field: CREATED_AT}) { count }": (
        "createdAt is a point in time: say by which `bucket` to group it.",
        "g.by",
    ),
    "groups(by: {field: STATUS, bucket: DAY}) { count }": ("status is no point in time and has no `bucket`.", "g.by"),
    "groups(by: [{field: STATUS}, {field: TITLE}, {field: PHASE}, {field: ATTEMPTS}, {field: VERSION}]) { count }": (
        "by takes at most 4 terms.",
        "g.by",
    ),
    "groups { c: complexity { q: percentile(p: 1.01) } }": ("p must be from 0 to 1.", "g.c.q.p"),
    "groups { c: complexity { q: percentile(p: -1) } }": ("p must be from 0 to 1.", "g.c.q.p"),
}


@pytest.mark.parametrize("groups", WRONG)
async def test_wrong_groups_are_typed_errors(admin: Reader, plain: Reader, groups: str) -> None:
    message, place = WRONG[groups]
    query = f"{{ a: agents {{ nodes {{ t: tasks {{ g: {groups} }} }} }} viewer {{ name }} }}"
    answer = await admin.ask(query)
    assert answer.data == {"a": None, "viewer": {"name": "some admin"}}
    assert [(error["message"], error["path"], error["extensions"]) for error in answer.errors] == [
        (message, ["a"], {"code": "INVALID_INPUT", "field": f"a.nodes.t.{place}"})
    ]
    assert (await plain.ask(query)).errors == answer.errors
