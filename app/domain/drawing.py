"""A template's graph in Mermaid's language: one node a phase, its shape by kind, and an edge for each way on."""

from app.domain.flow_phases import BranchPhase, LoopPhase
from app.domain.gate_phase import GatePhase
from app.domain.template_parts import END
from app.domain.templates import AnyPhase, WorkflowTemplate

SHOWN = 60
"""Characters of a condition on an edge."""
SHAPES = {
    "decision": ("{{", "}}"),
    "gate": ("{{", "}}"),
    "branch": ("{", "}"),
    "loop": ("{", "}"),
    "wait": ("([", "])"),
    "workflow": ("[[", "]]"),
    "parallel": ("[/", "/]"),
}
STYLES = {
    "running": "fill:#fff3cd,stroke:#b58105",
    "completed": "fill:#d1e7dd,stroke:#0f5132",
    "failed": "fill:#f8d7da,stroke:#842029",
}
"""How phases of an execution look by the status of their last pass."""
_START, _END = "start_", "end_"
_ESCAPES = {"#": "#35;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "&": "#amp;", "\n": " ", "\r": " ", "\t": " "}


def draw(template: WorkflowTemplate) -> str:
    """The text of a flow chart, from top to bottom."""
    names = [phase.name for phase in template.phases]
    lines = ["flowchart TD", f'  {_START}(("start"))', f'  {_END}(("end"))']
    lines += [f"  {_node(phase)}" for phase in template.phases]
    lines += [f"  {_START} --> {node_id(names[0])}"]
    for phase, following in zip(template.phases, [*names[1:], END], strict=True):
        lines += [f"  {edge}" for edge in _edges(phase, following)]
    lines += [f"  classDef {status} {style}" for status, style in STYLES.items()]
    return "\n".join(lines) + "\n"


def node_id(name: str) -> str:
    """A phase's name as the id of its node: some words mean something to Mermaid."""
    return _END if name == END else "p_" + name.replace("-", "_")


def _node(phase: AnyPhase) -> str:
    left, right = SHAPES.get(phase.kind, ("[", "]"))
    return f'{node_id(phase.name)}{left}"{_text(phase.name)}"{right}'


def _edges(phase: AnyPhase, following: str) -> list[str]:
    usual = phase.next or following
    edges = []
    if isinstance(phase, BranchPhase):
        edges += [_edge(phase, case.next, case.when) for case in phase.cases]
        usual = phase.otherwise or usual
        edges.append(_edge(phase, usual, "otherwise"))
    else:
        edges.append(_edge(phase, usual))
    if isinstance(phase, LoopPhase):
        condition = f"while {phase.while_}" if phase.while_ else f"until {phase.until}"
        edges.append(_edge(phase, phase.back_to, f"{condition}, at most {phase.max_rounds} rounds"))
    if isinstance(phase, GatePhase) and phase.on_revision is not None:
        edges.append(_edge(phase, phase.on_revision, "requires revision", dotted=True))
    for label, key in (("time-out", "on_timeout"), ("failure", "on_failure")):
        if (name := getattr(phase, key, None)) is not None:
            edges.append(_edge(phase, name, label, dotted=True))
    return edges


def _edge(phase: AnyPhase, to: str, label: str = "", *, dotted: bool = False) -> str:
    arrow = "-.->" if dotted else "-->"
    told = f'|"{_text(label)}"|' if label else ""
    return f"{node_id(phase.name)} {arrow}{told} {node_id(to)}"


def _text(text: str) -> str:
    shown = text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
    return "".join(_ESCAPES.get(char, char) for char in shown)
