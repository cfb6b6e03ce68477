"""The PM's policy: which audits, which verdict, how sure."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.demo.policy import DISCLAIMER, answer, margin, quality_score


def check(measured: float | None, *, at_most: float | None = None, at_least: float | None = None) -> dict[str, Any]:
    passed = (
        measured is not None and (at_most is None or measured <= at_most) and (at_least is None or measured >= at_least)
    )
    return {"name": "n", "measured": measured, "at_most": at_most, "at_least": at_least, "passed": passed}


def judge(*checks: dict[str, Any], revision: int = 0, reviews: tuple[str, ...] = ()) -> dict[str, Any]:
    gate = {
        "checks": list(checks),
        "revision": revision,
        "reviews": [{"reviewer": "r", "verdict": verdict} for verdict in reviews],
    }
    return answer({"taskKind": "decision", "input": {"gate": gate}})


@pytest.mark.parametrize(
    ("given", "value"),
    [
        (check(0, at_most=10), 1),
        (check(10, at_most=10), 0),
        (check(20, at_most=10), -1),
        (check(5, at_most=10), 0.5),
        (check(1, at_least=1), 0),
        (check(3, at_least=2), 0.5),
        (check(2, at_most=0), -2),
        (check(6, at_most=10, at_least=5), 0.2),
        (check(None, at_most=10), None),
    ],
)
def test_the_margin_is_a_part_of_the_threshold(given: dict[str, Any], value: float | None) -> None:
    found = margin(given)
    assert (float(found) if found is not None else None) == value


@pytest.mark.parametrize(
    ("measured", "verdict", "confidence"),
    [
        (0, "approve", 10),
        (5, "approve", 8),
        (9, "approve", 6),
        (10, "approve", 5),
        (11, "reject", 6),
        (15, "reject", 8),
        (20, "reject", 10),
        (500, "reject", 10),
    ],
)
def test_the_verdict_and_its_confidence_follow_the_margin(measured: int, verdict: str, confidence: int) -> None:
    given = judge(check(measured, at_most=10))
    assert (given["verdict"], given["confidence"]) == (verdict, confidence)


def test_an_approval_is_as_sure_as_its_narrowest_check_and_a_rejection_as_its_worst() -> None:
    assert judge(check(0, at_most=10), check(10, at_most=10))["confidence"] == 5
    assert judge(check(11, at_most=10), check(0, at_most=10), check(20, at_most=10))["confidence"] == 10


def test_what_was_not_measured_is_measured_again_once() -> None:
    first = judge(check(None, at_most=10), check(99, at_most=10))
    assert (first["verdict"], first["confidence"]) == ("request_revision", 5)
    assert judge(check(None, at_most=10), revision=1)["verdict"] == "reject"


@pytest.mark.parametrize(
    ("reviews", "verdict"),
    [
        (("approve", "approve"), "approve"),
        (("approve", "REJECT"), "reject"),
        (("request_revision", "approve"), "request_revision"),
        (("request_revision", "reject"), "reject"),
    ],
)
def test_reviewers_are_heard(reviews: tuple[str, ...], verdict: str) -> None:
    assert judge(check(0, at_most=10), reviews=reviews)["verdict"] == verdict


def test_the_quality_score_is_the_mean_over_the_checks() -> None:
    assert float(quality_score([check(0, at_most=10)])) == 10
    assert float(quality_score([check(10, at_most=10)])) == 5
    assert float(quality_score([check(99, at_most=10), check(None, at_most=10)])) == 0
    assert float(quality_score([check(0, at_most=10), check(5, at_most=10), check(20, at_most=10)])) == 5.8


def test_a_verdict_says_what_it_rests_on_and_that_no_model_took_part() -> None:
    given = judge(check(12, at_most=10), check(0, at_most=10))
    assert given["outcome"] == (
        "1 of 2 checks passed. At least one check failed, so the work does not pass.; n 12 (at most 10) failed"
    )
    assert "Check: n 12 (at most 10) failed." in given["reasoning"]
    assert DISCLAIMER in given["reasoning"]


def test_a_review_uses_the_checks_alone() -> None:
    gate = {"checks": [check(0, at_most=10)], "reviews": [{"verdict": "reject"}]}
    given = answer({"taskKind": "review", "input": {"gate": gate}})
    assert (given["verdict"], given["score"]) == ("approve", 10.0)


@pytest.mark.parametrize(
    ("files", "confidence"),
    [({"a.py": "x = 1\n"}, 9), ({"a.py": "x = 1\n", "b.py": "def (\n"}, 6), ({"a.txt": "no Python"}, 2)],
)
def test_the_confidence_in_the_audits_follows_the_tree(tmp_path: Path, files: dict[str, str], confidence: int) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    question = {"question": "Audit?", "decision_type": "task_assignment", "context": {"path": str(tmp_path)}}
    given = answer({"taskKind": "decision", "input": question})
    assert given["confidence"] == confidence
    assert given["decision_type"] == "task_assignment"
    assert given["agent_assignments"].keys() == {"lint", "types", "size"}
    assert DISCLAIMER in given["reasoning"]


def test_it_is_a_program(tmp_path: Path) -> None:
    task = {"taskKind": "decision", "input": {"question": "?", "context": {"path": str(tmp_path)}}}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "app.demo.policy"], input=json.dumps(task), capture_output=True, text=True
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["confidence"] == 2
