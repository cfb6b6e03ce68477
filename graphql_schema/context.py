"""What every resolver is given: who asks, and the parts of the hub that answer."""

from dataclasses import dataclass

import strawberry

from app.domain.principals import Principal
from app.live.tail import EventTail
from app.security.sealing import Sealer
from app.services.reports import ReportWriter
from db.session import Database


@dataclass(frozen=True)
class HubContext:
    """The context of one operation."""

    principal: Principal
    database: Database
    tail: EventTail
    sealer: Sealer
    reports: ReportWriter


Info = strawberry.Info[HubContext, None]
