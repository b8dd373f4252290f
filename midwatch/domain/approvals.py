"""Approvals: what a person is asked, and what they answered."""

from datetime import datetime
from enum import StrEnum

import msgspec

from midwatch.domain.ids import ApprovalId, ClickId, PlanDigest


class Choice(StrEnum):
    APPROVE = "approve"
    CONFIRM = "confirm"
    REJECT = "reject"


class ApprovalOutcome(StrEnum):
    """How a request ended."""

    APPROVED = "approved"
    REJECTED = "rejected"
    EXPIRED = "expired"
    VOID = "void"


class Click(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One person's answer, stored before it is judged. ``user`` is ``channel:id``, as authenticated by the channel."""

    id: ClickId
    approval_id: ApprovalId
    choice: Choice
    user: str
    channel: str
    at: datetime
    digest: str = ""
    comment: str = ""


class Vote(msgspec.Struct, frozen=True, omit_defaults=True):
    """A click that was found valid."""

    user: str
    choice: Choice
    at: datetime


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A question to people about one exact plan.

    ``quorum`` distinct users must approve; with ``confirm`` each approves twice. An empty ``approvers`` means any user
    with the operator's right.
    """

    id: ApprovalId
    digest: PlanDigest
    requested_at: datetime
    expires_at: datetime
    quorum: int = 1
    confirm: bool = False
    approvers: tuple[str, ...] = ()
    votes: tuple[Vote, ...] = ()
    outcome: ApprovalOutcome | None = None
    decided_by: str = ""
    comment: str = ""
