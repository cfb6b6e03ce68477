"""Plans operations and fields, and keeps the plans."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    is_non_null_type,
)

from app.domain.errors import HubError, TooExpensive
from app.domain.principals import Principal
from app.security.policy import PERMISSIONS, Permission
from graphql_schema.planner.builder import Builder, Pair, Rights, as_object
from graphql_schema.planner.costs import MAX_COST, cost_of
from graphql_schema.planner.decisions import Decisions, DecisionTree, Variables
from graphql_schema.planner.entities import entities_by_name
from graphql_schema.planner.fills import Path
from graphql_schema.planner.lru import Lru
from graphql_schema.planner.plan import Failure, Plan, compile_plan
from graphql_schema.planner.selection import Fragments, Selected, Selection
from graphql_schema.planner.sql import Expression, json_null, object_json

INTROSPECTION = frozenset({"__schema", "__type"})
RIGHTS_THAT_MATTER = frozenset({Permission.READ_SEALED, Permission.MANAGE_TOKENS})
"""The permissions that change what a read shows."""
PLANS_PER_SELECTION = 64
"""How many plans one selection may have, by its variables, before they are forgotten."""
SELECTIONS_KEPT = 512

_RIGHTS = {role: permissions & RIGHTS_THAT_MATTER for role, permissions in PERMISSIONS.items()}


class Unplanned(Enum):
    """Why an operation has no plan."""

    INTROSPECTION = "it asks for the schema"


Planned = Plan | Unplanned
Express = Callable[[Builder, Selected, Path], Expression]
"""Makes the expression of a field; the path leads to it."""


@dataclass
class Plans:
    """The plans of one selection, by rights and by the answers to the questions about its variables.

    It keeps the nodes that its key in the cache is made of: their addresses are not used again meanwhile.
    """

    nodes: Sequence[FieldNode] = ()
    trees: dict[Rights, DecisionTree[Planned]] = field(default_factory=dict)

    def tree(self, rights: Rights) -> DecisionTree[Planned]:
        tree = self.trees.get(rights)
        if tree is None:
            tree = self.trees[rights] = DecisionTree(PLANS_PER_SELECTION)
        return tree


@dataclass
class Operation:
    """One operation of a validated document, with its plans."""

    node: OperationDefinitionNode
    fragments: Fragments
    plans: Plans = field(default_factory=Plans)


def operations_of(document: DocumentNode) -> dict[str | None, Operation]:
    """The operations of a document by name."""
    fragments = fragments_of(document)
    return {
        node.name.value if node.name else None: Operation(node, fragments)
        for node in document.definitions
        if isinstance(node, OperationDefinitionNode)
    }


def fragments_of(document: DocumentNode) -> dict[str, FragmentDefinitionNode]:
    """The fragments of a document by name."""
    return {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}


def rights_of(principal: Principal) -> Rights:
    """The rights that change what a read shows: equal rights see equal answers to all that names no principal."""
    return _RIGHTS[principal.role]


class QueryPlanner:
    """Plans what is selected, once for each selection, set of rights, and shape of the variables."""

    def __init__(self, schema: GraphQLSchema, max_cost: int = MAX_COST) -> None:
        self._schema = schema
        self.max_cost = max_cost
        self._entities = entities_by_name(schema.type_map)
        self._fields: Lru[tuple[object, ...], Plans] = Lru(SELECTIONS_KEPT)
        self.plans_made = 0
        self.fallbacks = 0
        """How many query operations were left to graphql-core."""

    def plan_operation(self, operation: Operation, variables: Variables, principal: Principal) -> Planned:
        """The plan of a query operation.

        Raises `TooExpensive`, and `GraphQLError` where graphql-core would refuse the operation as a whole.
        """
        rights = rights_of(principal)

        def make(build: Builder) -> Planned:
            return self._operation(operation, build)

        return self._find(operation.plans, operation.fragments, rights, variables, make)

    def cost(self, operation: Operation, variables: Variables) -> int:
        """What an operation of any kind costs. Raises `TooExpensive`, and `GraphQLError` as `plan_operation`."""
        return self._affordable(operation, Selection(self._schema, operation.fragments, Decisions(variables)))

    def plan_field(
        self, info: GraphQLResolveInfo[Any], variables: Variables, principal: Principal, express: Express
    ) -> Plan:
        """The plan of one field that graphql-core resolves, with all that is selected under it. Raises `HubError`."""
        nodes = info.field_nodes
        key = (info.parent_type.name, *map(id, nodes))
        plans = self._fields.get(key)
        if plans is None:
            plans = Plans(nodes)
            self._fields.put(key, plans)
        selected = Selected(
            str(info.path.key), tuple(nodes), info.parent_type, info.parent_type.fields[info.field_name]
        )

        def make(build: Builder) -> Planned:
            expression = express(build, selected, (selected.key,))
            # graphql-core puts the value under the key itself
            build.fills = [replace(fill, path=fill.path[1:]) for fill in build.fills]
            return compile_plan(expression, build)

        planned = self._find(plans, info.fragments, rights_of(principal), variables, make)
        if not isinstance(planned, Plan):
            raise TypeError("a field of the data is no introspection")
        return planned

    def _find(
        self,
        plans: Plans,
        fragments: Fragments,
        rights: Rights,
        variables: Variables,
        make: Callable[[Builder], Planned],
    ) -> Planned:
        tree = plans.tree(rights)
        planned = tree.find(variables)
        if planned is None:
            decisions = Decisions(variables)
            planned = make(Builder(Selection(self._schema, fragments, decisions), rights, self._entities))
            tree.add(decisions.trail, planned)
            self.plans_made += 1
        return planned

    def _operation(self, operation: Operation, build: Builder) -> Planned:
        cost = self._affordable(operation, build.selection)
        root = as_object(self._schema.query_type)
        pairs: list[Pair] = []
        failures: list[Failure] = []
        is_void = False
        for selected in build.selection.of_sets(root, [operation.node.selection_set]):
            if selected.name in INTROSPECTION:
                return Unplanned.INTROSPECTION
            try:
                pairs.append((selected.key, build.field(None, selected, (selected.key,))))
            except (HubError, GraphQLError) as error:
                # without its traceback, which would keep this builder as long as the plan
                failures.append(Failure(selected.key, selected.nodes, error.with_traceback(None)))
                pairs.append((selected.key, json_null()))
                is_void = is_void or is_non_null_type(selected.field.type)
        return compile_plan(object_json(pairs), build, failures, is_void, cost)

    def _affordable(self, operation: Operation, selection: Selection) -> int:
        cost = cost_of(selection, operation.node)
        if cost > self.max_cost:
            raise TooExpensive(cost, self.max_cost)
        return cost
