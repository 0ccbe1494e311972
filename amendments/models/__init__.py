"""How people change the law: what was found, what is proposed, who said what, and what was decided."""

from amendments.models.cases import (
    CaseMark,
    Cluster,
    ClusterMove,
    EdgeCase,
    EdgeCaseQuerySet,
    Label,
    MarkKind,
    MoveKind,
    Producer,
    Scenario,
    Signal,
)
from amendments.models.clearing import Clearance
from amendments.models.desk import (
    Audience,
    Claim,
    Comment,
    DeskSettings,
    Digest,
    Notice,
    NoticeKind,
    Phase,
    ProducerStanding,
    SavedView,
)
from amendments.models.proposals import AcceptanceRule, Amendment, AmendmentQuerySet, Review, Revision, Verdict

__all__ = [
    "AcceptanceRule",
    "Amendment",
    "AmendmentQuerySet",
    "Audience",
    "Claim",
    "Clearance",
    "Cluster",
    "Comment",
    "DeskSettings",
    "Digest",
    "EdgeCase",
    "EdgeCaseQuerySet",
    "Label",
    "MarkKind",
    "MoveKind",
    "Notice",
    "NoticeKind",
    "Phase",
    "Producer",
    "ProducerStanding",
    "Review",
    "Revision",
    "SavedView",
    "Scenario",
    "Signal",
    "Verdict",
]
