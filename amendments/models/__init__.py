"""How people change the law: what was found, what is proposed, who said what, and what was decided."""

from amendments.models.board import BoardVerdict, BoardVote
from amendments.models.calibration import KnownItem
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
    PromptSet,
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
    HiddenMention,
    Notice,
    NoticeKind,
    Phase,
    ProducerStanding,
    SavedView,
)
from amendments.models.evaluation import EvaluationPrompt, EvaluationSet
from amendments.models.previews import Preview, PreviewItem, Realised, RealisedItem
from amendments.models.proposals import AcceptanceRule, Amendment, AmendmentQuerySet, Review, Revision, Verdict

__all__ = [
    "AcceptanceRule",
    "Amendment",
    "AmendmentQuerySet",
    "Audience",
    "BoardVerdict",
    "BoardVote",
    "CaseMark",
    "Claim",
    "Clearance",
    "Cluster",
    "ClusterMove",
    "Comment",
    "DeskSettings",
    "Digest",
    "EdgeCase",
    "EdgeCaseQuerySet",
    "EvaluationPrompt",
    "EvaluationSet",
    "HiddenMention",
    "KnownItem",
    "Label",
    "MarkKind",
    "MoveKind",
    "Notice",
    "NoticeKind",
    "Phase",
    "Preview",
    "PreviewItem",
    "Producer",
    "ProducerStanding",
    "PromptSet",
    "Realised",
    "RealisedItem",
    "Review",
    "Revision",
    "SavedView",
    "Scenario",
    "Signal",
    "Verdict",
]
