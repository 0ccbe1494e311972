"""How people change the law: what was found, what is proposed, who said what, and what was decided."""

from amendments.models.cases import Cluster, EdgeCase, Label, Producer, Scenario, Signal
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
    "Cluster",
    "Comment",
    "DeskSettings",
    "Digest",
    "EdgeCase",
    "Label",
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
