"""The ledger of everything that was done. Immutable."""

import pgtrigger
from django.db import models

from constitution.models.immutable import immutable
from constitution.models.people import User


class LedgerEntry(models.Model):
    """One thing that was done. Immutable, append-only; each entry's digest covers the one before it."""

    number = models.PositiveBigIntegerField(primary_key=True)
    at = models.DateTimeField()
    actor = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    actor_name = models.CharField(max_length=200)
    action = models.CharField(max_length=60)
    subject = models.CharField(max_length=100)
    detail = models.JSONField(default=dict)
    previous = models.CharField(max_length=64, unique=True)
    digest = models.CharField(max_length=64, unique=True)

    class Meta:
        ordering = ["number"]
        verbose_name_plural = "ledger entries"
        indexes = [models.Index(fields=["subject", "number"], name="ledger_subject")]
        triggers = immutable(
            pgtrigger.Trigger(
                name="chained",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                declare=[("last", "RECORD")],
                func="""
                    SELECT number, digest INTO last FROM constitution_ledgerentry ORDER BY number DESC LIMIT 1;
                    IF NEW.number <> COALESCE(last.number, 0) + 1
                       OR NEW.previous <> COALESCE(last.digest, repeat('0', 64)) THEN
                        RAISE EXCEPTION 'ledger entry % does not follow the last one', NEW.number;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"{self.number} {self.action} {self.subject}"
