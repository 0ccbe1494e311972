"""What the law is, who the people are, and the ledger of everything that was done."""

from constitution.models.immutable import immutable
from constitution.models.law import Clause, Constitution, Principle, Tier, Version, VersionClause, VersionQuerySet
from constitution.models.organisations import ApiScope, ApiToken, ApiWindow, Profile, ProfileRevision
from constitution.models.people import Role, User
from constitution.models.records import LedgerEntry

__all__ = [
    "ApiScope",
    "ApiToken",
    "ApiWindow",
    "Clause",
    "Constitution",
    "LedgerEntry",
    "Principle",
    "Profile",
    "ProfileRevision",
    "Role",
    "Tier",
    "User",
    "Version",
    "VersionClause",
    "VersionQuerySet",
    "immutable",
]
