"""What a plan depends on: the questions that planning asked about the variables, and the tree of their answers.

Most variables are only bound. Those that change the statement (`@include(if: $x)`, `first: $n`, whether `after` was
given, the type in a node id) are asked about while planning; the same answers lead to the same statement. So a plan is
found again by walking down a tree of questions, which costs a look into the variables for each question.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Generic, Protocol, TypeVar

Variables = Mapping[str, Any]
Answer = Hashable
Classify = Callable[[Any], Answer]
Leaf = TypeVar("Leaf")


class Readable(Protocol):
    """An argument that depends on variables; one that was not given counts as null."""

    def read(self, variables: Variables) -> Any: ...


@dataclass(frozen=True)
class Question:
    """What kind of value an argument has."""

    source: Readable
    classify: Classify

    def answer(self, variables: Variables) -> Answer:
        return self.classify(self.source.read(variables))


@dataclass
class Decisions:
    """The questions asked while one plan is made, each once, with their answers for the variables at hand."""

    variables: Variables
    answers: dict[Question, Answer] = field(default_factory=dict)

    def ask(self, question: Question) -> Answer:
        if question not in self.answers:
            self.answers[question] = question.answer(self.variables)
        return self.answers[question]

    @property
    def trail(self) -> Sequence[tuple[Question, Answer]]:
        """All questions and answers in the order in which they were first asked."""
        return list(self.answers.items())


@dataclass
class _Branch(Generic[Leaf]):
    question: Question
    ways: dict[Answer, "_Branch[Leaf] | Leaf"] = field(default_factory=dict)


class DecisionTree(Generic[Leaf]):
    """Plans of one selection, each at the end of its questions and answers.

    Planning is deterministic, so two trails differ first in an answer, never in a question.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._root: _Branch[Leaf] | Leaf | None = None
        self.size = 0

    def find(self, variables: Variables) -> Leaf | None:
        """The plan for these variables, or None when it was not made yet."""
        at = self._root
        while isinstance(at, _Branch):
            at = at.ways.get(at.question.answer(variables))
        return at

    def add(self, trail: Sequence[tuple[Question, Answer]], leaf: Leaf) -> None:
        """Keep a plan; all are forgotten when there are too many."""
        if self.size >= self._most:
            self._root, self.size = None, 0
        self.size += 1
        if not trail:
            self._root = leaf
            return
        if not isinstance(self._root, _Branch):
            self._root = _Branch(trail[0][0])
        branch = self._root
        for (_, answer), (question, _) in pairwise(trail):
            following = branch.ways.get(answer)
            if not isinstance(following, _Branch):
                following = branch.ways[answer] = _Branch(question)
            branch = following
        branch.ways[trail[-1][1]] = leaf
