"""The tree of questions and answers by which plans are found again."""

from typing import Any

from graphql_schema.planner.decisions import Answer, Decisions, DecisionTree, Question
from graphql_schema.planner.lru import Lru
from graphql_schema.planner.selection import FromVariable


def itself(value: Any) -> Answer:
    answer: Answer = value
    return answer


A, B, C = (Question(FromVariable(name), itself) for name in "abc")


def test_a_question_is_asked_once() -> None:
    decisions = Decisions({"a": 1})
    assert [decisions.ask(A), decisions.ask(A), decisions.ask(B), decisions.ask(A)] == [1, 1, None, 1]
    assert decisions.trail == [(A, 1), (B, None)]


def test_a_plan_is_found_by_the_same_answers_only() -> None:
    tree: DecisionTree[str] = DecisionTree(10)
    tree.add([(A, 1), (B, True)], "b")
    tree.add([(A, 1), (B, False), (C, "x")], "c")
    tree.add([(A, 2)], "a")
    assert tree.find({"a": 1, "b": True}) == "b"
    assert tree.find({"a": 1, "b": False, "c": "x"}) == "c"
    assert tree.find({"a": 1, "b": False, "c": "y"}) is None
    assert tree.find({"a": 1}) is None
    assert tree.find({"a": 2, "b": False}) == "a"
    assert tree.find({}) is None
    assert tree.size == 3


def test_a_plan_without_questions_holds_always() -> None:
    tree: DecisionTree[str] = DecisionTree(10)
    assert tree.find({"a": 1}) is None
    tree.add([], "plan")
    assert tree.find({"a": 1}) == "plan"


def test_too_many_plans_are_forgotten() -> None:
    tree: DecisionTree[int] = DecisionTree(3)
    for number in range(4):
        tree.add([(A, number)], number)
    assert [tree.find({"a": number}) for number in range(4)] == [None, None, None, 3]
    assert tree.size == 1


def test_what_was_not_asked_for_the_longest_makes_room() -> None:
    kept: Lru[str, int] = Lru(2)
    kept.put("a", 1)
    kept.put("b", 2)
    assert kept.get("a") == 1
    kept.put("c", 3)
    assert [kept.get(key) for key in ("a", "b", "c")] == [1, None, 3]
    assert len(kept) == 2


def test_what_is_pinned_takes_no_room_and_stays() -> None:
    kept: Lru[str, int] = Lru(1)
    kept.pin("a", 1)
    kept.put("b", 2)
    kept.put("c", 3)
    assert [kept.get(key) for key in ("a", "b", "c")] == [1, None, 3]
    assert len(kept) == 1
