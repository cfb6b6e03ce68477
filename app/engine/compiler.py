"""Templates as LangGraph graphs: one node a phase, which waits by an interrupt and is decided by rows.

The state is two small values: the number of the last step, which names the row of the next one, and where to go. It
never grows, and holds nothing that a row should hold.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import interrupt

from app.domain.errors import NotFound
from app.domain.flow_phases import LoopPhase
from app.domain.gate_phase import GatePhase
from app.domain.template_parts import END as THE_END
from app.domain.templates import AnyPhase, WorkflowTemplate, parse_template
from db.queries.catalogue import read_spec
from db.session import Database

CACHED = 200
"""Compiled templates that are kept; a running execution keeps its version, so old ones are needed too."""


class State(TypedDict):
    """The state of a graph. Its keys have underscores, which names of phases have not: LangGraph keeps them apart."""

    step_number: int
    next_phase: str


@dataclass(frozen=True)
class Engine:
    """What a node calls: phase and step number → the next phase, empty at the end, None while others must act first."""

    advance: Callable[[str, int], Awaitable[str | None]]


Graph = CompiledStateGraph[State, Engine, State, State]

START_STATE = State(step_number=0, next_phase="")
"""The state of an execution that has no step yet. A graph may begin with any other, and goes on from there."""


def compile_template(template: WorkflowTemplate) -> Graph:
    """The graph of a template. Phases lead to the next one, to where they say, back to themselves for another try, and
    any to the end, where it failed.
    """
    graph: StateGraph[State, Engine, State, State] = StateGraph(State, context_schema=Engine)
    names = [phase.name for phase in template.phases]
    for phase, following in zip(template.phases, [*names[1:], END], strict=True):
        graph.add_node(phase.name, _node(phase.name))
        graph.add_conditional_edges(phase.name, _next_phase, _ways(phase, following))
    graph.add_conditional_edges(START, _entry(names[0]), {name: name for name in [*names, END]})
    return graph.compile()


class Compiled:
    """Templates of one database and their graphs, by name and version, each read and compiled once."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, int], tuple[WorkflowTemplate, Graph]] = {}

    async def get(self, name: str, version: int) -> tuple[WorkflowTemplate, Graph]:
        """The template and its graph. Raises `NotFound`, or `InvalidInput` for one that this hub cannot read."""
        known = self._known.get((name, version))
        if known is None:
            spec = await self._database.transact(lambda session: read_spec(session, name, version))
            if spec is None:
                raise NotFound("workflow template", f"{name} of version {version}")
            template = parse_template(spec, f"{name} of version {version}")
            known = (template, compile_template(template))
            if len(self._known) >= CACHED:
                del self._known[next(iter(self._known))]
            self._known[name, version] = known
        return known


def _node(phase: str) -> Callable[..., Awaitable[State]]:
    async def visit(state: State, runtime: Runtime[Engine]) -> State:
        step_number = state["step_number"] + 1
        next_phase = await runtime.context.advance(phase, step_number)
        while next_phase is None:
            # only parks: nobody resumes it with a value, the node is run again when the rows have changed
            interrupt({"phase": phase, "step_number": step_number})
        return State(step_number=step_number, next_phase=next_phase)

    return visit


def _entry(first: str) -> Callable[[State], Awaitable[str]]:
    async def entry(state: State) -> str:
        return await _next_phase(state) if state["step_number"] else first

    return entry


async def _next_phase(state: State) -> str:
    # a plain function would be called in a thread
    return state["next_phase"] or END


def _ways(phase: AnyPhase, following: str) -> dict[Any, str]:
    ways = [following, phase.name, *(name for _, name in phase.jumps() if name != THE_END), END]
    if isinstance(phase, GatePhase) and phase.on_revision is not None:
        ways.append(phase.on_revision)
    if isinstance(phase, LoopPhase):
        ways.append(phase.back_to)
    return {way: way for way in ways}
