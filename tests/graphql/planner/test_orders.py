"""Orders and pages from either end: every row once, in the order that was asked for, against plain Python."""

from typing import Any

import pytest

from tests.graphql.planner.conftest import Reader
from tests.graphql.planner.meaning import all_tasks, ordered

PAGE = """query ($o: [TaskOrder!], $first: Int, $after: Cursor, $last: Int, $before: Cursor) {
    tasks(orderBy: $o, first: $first, after: $after, last: $last, before: $before) {
        nodes { taskId } edges { cursor node { taskId } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }"""

ORDERS: dict[str, list[dict[str, str]]] = {
    "a text": [{"field": "TITLE"}],
    "a text, falling": [{"field": "TITLE", "direction": "DESC"}],
    "equal numbers": [{"field": "COMPLEXITY"}],
    "a key": [{"field": "TASK_ID"}],
    "a status, then a time": [{"field": "STATUS"}, {"field": "COMPLETED_AT", "direction": "DESC"}],
    "nulls last": [{"field": "COMPLETED_AT"}],
    "nulls first": [{"field": "COMPLETED_AT", "nulls": "FIRST"}],
    "falling, nulls last": [{"field": "COMPLETED_AT", "direction": "DESC"}],
    "falling, nulls first": [{"field": "COMPLETED_AT", "direction": "DESC", "nulls": "FIRST"}],
    "mostly null": [{"field": "REQUIRED_ROLE", "nulls": "FIRST"}, {"field": "COMPLEXITY", "direction": "DESC"}],
    "three ways": [
        {"field": "ASSIGNED_AGENT_ID", "direction": "DESC"},
        {"field": "FAILURES"},
        {"field": "CREATED_AT", "direction": "DESC"},
    ],
}


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("size", [1, 5, 48])
async def test_pages_from_the_start_hold_every_row_once(admin: Reader, name: str, size: int) -> None:
    wanted = [row["taskId"] for row in ordered(await all_tasks(admin), ORDERS[name])]
    seen: list[str] = []
    after = None
    while True:
        page = (await admin.data(PAGE, o=ORDERS[name], first=size, after=after))["tasks"]
        info = page["pageInfo"]
        assert info["hasPreviousPage"] is bool(seen)
        seen += [node["taskId"] for node in page["nodes"]]
        assert [edge["node"] for edge in page["edges"]] == page["nodes"]
        assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
        if not info["hasNextPage"]:
            break
        after = info["endCursor"]
    assert seen == wanted


@pytest.mark.parametrize("name", ORDERS)
@pytest.mark.parametrize("size", [1, 7, 50])
async def test_pages_from_the_end_hold_every_row_once(admin: Reader, name: str, size: int) -> None:
    wanted = [row["taskId"] for row in ordered(await all_tasks(admin), ORDERS[name])]
    seen: list[str] = []
    before = None
    while True:
        page = (await admin.data(PAGE, o=ORDERS[name], last=size, before=before))["tasks"]
        info = page["pageInfo"]
        assert info["hasNextPage"] is bool(seen)
        seen = [node["taskId"] for node in page["nodes"]] + seen
        assert (info["startCursor"], info["endCursor"]) == (page["edges"][0]["cursor"], page["edges"][-1]["cursor"])
        if not info["hasPreviousPage"]:
            break
        before = info["startCursor"]
    assert seen == wanted


async def test_a_window_between_two_places(admin: Reader) -> None:
    order = ORDERS["nulls first"]
    whole = (await admin.data(PAGE, o=order, first=100))["tasks"]["edges"]
    after, before = whole[9]["cursor"], whole[20]["cursor"]
    inside = [edge["node"] for edge in whole[10:20]]
    for argument, size, wanted in (("first", 50, inside), ("first", 4, inside[:4]), ("last", 4, inside[-4:])):
        page = (await admin.data(PAGE, o=order, after=after, before=before, **{argument: size}))["tasks"]
        assert page["nodes"] == wanted
        assert (page["pageInfo"]["hasPreviousPage"], page["pageInfo"]["hasNextPage"]) == (True, True)


async def test_both_ways_of_answering_agree(admin: Reader, plain: Reader) -> None:
    for order in ORDERS.values():
        assert await admin.data(PAGE, o=order, last=9) == await plain.data(PAGE, o=order, last=9)


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"first": 0}, "first"),
        ({"first": -1}, "first"),
        ({"first": 101}, "first"),
        ({"last": 0}, "last"),
        ({"last": 101}, "last"),
        ({"first": 3, "last": 3}, "last"),
        ({"after": "x"}, "after"),
        ({"before": "!"}, "before"),
        ({"o": [{"field": "TITLE"}, {"field": "TITLE"}]}, "orderBy"),
        (
            {"o": [{"field": name} for name in ("TITLE", "STATUS", "PHASE", "ATTEMPTS", "FAILURES", "VERSION")]},
            "orderBy",
        ),
    ],
)
async def test_wrong_pages_are_typed_errors(admin: Reader, arguments: dict[str, Any], place: str) -> None:
    answer = await admin.ask(PAGE, **arguments)
    assert answer.data == {"tasks": None}
    assert answer.codes == ["INVALID_INPUT"]
    assert answer.errors[0]["extensions"]["field"] == f"tasks.{place}"


async def test_a_cursor_of_another_order_is_refused(admin: Reader) -> None:
    page = (await admin.data(PAGE, o=ORDERS["a text"], first=1))["tasks"]
    for other in ("a text, falling", "equal numbers"):
        answer = await admin.ask(PAGE, o=ORDERS[other], after=page["pageInfo"]["endCursor"])
        assert answer.codes == ["INVALID_INPUT"]
        assert "of another order" in answer.errors[0]["message"]
    answer = await admin.ask(PAGE, o=[{"field": "NOTHING"}])
    assert answer.data is None
    assert answer.statements == []
