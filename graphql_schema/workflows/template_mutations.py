"""Mutations of workflow templates."""

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import strawberry
from sqlalchemy.engine import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.domain.drawing import draw
from app.domain.templates import Fault
from app.domain.templates import WorkflowTemplate as Template
from app.security.policy import Permission
from app.services.templates import examine, register_template
from graphql_schema.context import Info
from graphql_schema.mutating import References, carry_out, run_mutation
from graphql_schema.payloads import Payload
from graphql_schema.planner.bridge import KEY_JOINT, entity_of
from graphql_schema.workflows.inputs import WorkflowTemplateInput
from graphql_schema.workflows.types import WorkflowTemplate

FAULTS_MAX = 200


@strawberry.type(description="The workflow template as it is after the mutation.")
class WorkflowTemplatePayload(Payload):
    entity_id: strawberry.Private[str | None] = None
    template: WorkflowTemplate | None = entity_of(
        "WorkflowTemplate", description="The latest version of the template; null when the request was refused."
    )


@strawberry.type(description="One thing that is wrong with a template.")
class TemplateFault:
    path: str = strawberry.field(
        description="Where it is: keys and indexes from the top, such as `phases.2.cases.0.when`; empty for the top."
    )
    line: int | None = strawberry.field(description="The line of the YAML text, from 1; null for JSON.")
    message: str = strawberry.field(description="What is wrong, in English.")
    hint: str = strawberry.field(description="What to do about it; may be empty.")


@strawberry.type(description="What was found out about a template. Nothing was written.")
class WorkflowTemplateValidation(Payload):
    found: strawberry.Private[Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def rehearsed(cls, references: References) -> dict[str, Any]:
        """All: nothing would be made."""
        return dict(references)

    @strawberry.field(description="Whether it can be registered; null when the request was refused.")
    def valid(self) -> bool | None:
        return None if not self.found else not self.found["faults"]

    @strawberry.field(description=f"What is wrong with it, the first {FAULTS_MAX} faults; empty when it is valid.")
    def faults(self) -> list[TemplateFault]:
        return [TemplateFault(**fault) for fault in self.found.get("faults", ())]

    @strawberry.field(description="Its graph in the language of Mermaid; null when it is not valid.")
    def mermaid(self) -> str | None:
        drawn: str | None = self.found.get("mermaid")
        return drawn


@strawberry.type
class WorkflowTemplateMutations:
    @strawberry.mutation(
        description="Store a workflow template: as a new version, if it differs from the latest one. Executions under "
        "way keep the version with which they began. A template that is not valid is refused with all its faults."
    )
    async def workflow_template_register(self, info: Info, input: WorkflowTemplateInput) -> WorkflowTemplatePayload:
        return await carry_out(
            info,
            WorkflowTemplatePayload,
            input,
            Permission.REGISTER_TEMPLATE,
            lambda session: register_template(session, info.context.principal, input.command()),
            _version,
        )

    @strawberry.mutation(
        description="Find out what is wrong with a workflow template, and how it looks. Nothing is written."
    )
    async def workflow_template_validate(self, info: Info, input: WorkflowTemplateInput) -> WorkflowTemplateValidation:
        async def work(session: AsyncConnection) -> References:
            return {"found": _told(await examine(input.command()))}

        return await run_mutation(info, WorkflowTemplateValidation, input, Permission.REGISTER_TEMPLATE, work)


def _version(row: Row[Any]) -> References:
    return {"entity_id": f"{row.template_name}{KEY_JOINT}{row.template_version}"}


def _told(found: Template | list[Fault]) -> Mapping[str, Any]:
    if isinstance(found, Template):
        return {"faults": [], "mermaid": draw(found)}
    return {
        "faults": [
            {
                "path": ".".join(map(str, fault.path)),
                "line": fault.line,
                "message": fault.message,
                "hint": fault.hint,
            }
            for fault in found[:FAULTS_MAX]
        ]
    }
