"""The verbs of amending. Each is one transaction and leaves its ledger entries."""

from amendments.actions.arranging import assign, bring_back, defer, mark_duplicate
from amendments.actions.board import recall, refer, vote
from amendments.actions.calibrating import close_known, plant
from amendments.actions.examples import edit_examples
from amendments.actions.proposing import edit, propose, withdraw
from amendments.actions.settling import settle, settle_due
from amendments.actions.voting import accept, edit_and_accept, reject, request_changes, take_back

__all__ = [
    "accept",
    "assign",
    "bring_back",
    "close_known",
    "defer",
    "edit",
    "edit_and_accept",
    "edit_examples",
    "mark_duplicate",
    "plant",
    "propose",
    "recall",
    "refer",
    "reject",
    "request_changes",
    "settle",
    "settle_due",
    "take_back",
    "vote",
    "withdraw",
]
