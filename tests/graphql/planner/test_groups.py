"""Groups: aggregates beside a connection, against plain Python over the same rows."""

from collections import defaultdict
from decimal import Decimal
from statistics import fmean, quantiles
from typing import Any

import pytest

from tests.graphql.planner.conftest import Reader
from tests.graphql.planner.meaning import all_tasks


async def test_without_a_key_all_are_one_group(admin: Reader, plain: Reader) -> None:
    query = """{ tasks { groups { count key { status } complexity { min max sum avg half: percentile(p: 0.5) }
        completedAt { min max } } } }"""
    rows = await all_tasks(admin)
    numbers, times = [row["complexity"] for row in rows], [row["completedAt"] for row in rows if row["completedAt"]]
    found = await admin.data(query)
    assert found == {
        "tasks": {
            "groups": [
                {
                    "count": len(rows),
                    "key": {"status": None},
                    "complexity": {
                        "min": min(numbers),
                        "max": max(numbers),
                        "sum": str(sum(numbers)),
                        "avg": str(fmean(numbers)),
                        "half": quantiles(numbers, n=2, method="inclusive")[0],
                    },
                    "completedAt": {"min": min(times), "max": max(times)},
                }
            ]
        }
    }
    assert await plain.data(query) == found


async def test_groups_by_several_things_and_by_time(admin: Reader, plain: Reader) -> None:
    query = """{ tasks(filter: {complexity: {gt: 2}}) { groups(by: [{field: STATUS}, {field: ASSIGNED_AGENT_ID},
        {field: COMPLETED_AT, bucket: MINUTE}]) { key { status assignedAgentId completedAt } count
        complexity { sum } } } }"""
    wanted: dict[Any, list[int]] = defaultdict(list)
    for row in await all_tasks(admin):
        if row["complexity"] > 2:
            minute = row["completedAt"][:17] + "00+00:00" if row["completedAt"] else None
            wanted[row["status"], row["assignedAgentId"], minute].append(row["complexity"])
    groups = (await admin.data(query))["tasks"]["groups"]
    found = {tuple(group["key"].values()): (group["count"], group["complexity"]["sum"]) for group in groups}
    assert found == {key: (len(numbers), str(sum(numbers))) for key, numbers in wanted.items()}
    assert len(groups) == len(found) > 4
    assert (await plain.data(query))["tasks"]["groups"] == groups


async def test_groups_of_each_object_are_its_own(admin: Reader) -> None:
    query = "{ agents { nodes { agentId tasks { groups(by: {field: STATUS}) { key { status } count __typename } } } } }"
    wanted: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in await all_tasks(admin):
        wanted[row["assignedAgentId"]][row["status"]] += 1
    for node in (await admin.data(query))["agents"]["nodes"]:
        groups = node["tasks"]["groups"]
        assert {group["key"]["status"]: group["count"] for group in groups} == dict(wanted[node["agentId"]])
        assert {group["__typename"] for group in groups} <= {"TaskGroup"}


async def test_amounts_are_exact_and_nulls_do_not_count(admin: Reader) -> None:
    query = """{ modelAssignments { nodes { actualCost estimatedCost } groups { count actualCost { sum avg min }
        estimatedCost { sum } } } }"""
    found = (await admin.data(query))["modelAssignments"]
    costs = [Decimal(node["actualCost"]) for node in found["nodes"] if node["actualCost"] is not None]
    (group,) = found["groups"]
    assert group["count"] == len(found["nodes"]) > len(costs)
    assert Decimal(group["actualCost"]["sum"]) == sum(costs)
    assert group["actualCost"]["min"] == str(min(costs))
    empty = "{ modelAssignments(filter: {or: []}) { groups { count actualCost { sum avg percentile(p: 1) } } } }"
    (none,) = (await admin.data(empty))["modelAssignments"]["groups"]
    assert none == {"count": 0, "actualCost": {"sum": None, "avg": None, "percentile": None}}


@pytest.mark.parametrize(
    ("groups", "place"),
    [
        ("groups(first: 0) { count }", "groups.first"),
        ("groups(first: 1001) { count }", "groups.first"),
        ("groups(by: [{field: CREATED_AT}]) { count }", "groups.by"),
        ("groups(by: [{field: STATUS, bucket: DAY}]) { count }", "groups.by"),
        ("groups(by: [{field: STATUS}, {field: STATUS}]) { count }", "groups.by"),
        ("groups { complexity { percentile(p: 1.1) } }", "groups.complexity.percentile.p"),
        ("groups { complexity { percentile(p: -0.1) } }", "groups.complexity.percentile.p"),
    ],
)
async def test_wrong_groups_are_typed_errors(admin: Reader, groups: str, place: str) -> None:
    answer = await admin.ask(f"{{ tasks {{ {groups} }} }}")
    assert answer.data == {"tasks": None}
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.errors[0]["extensions"]["field"] == f"tasks.{place}"
