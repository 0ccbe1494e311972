"""What people decided of models and of what rounds left: which model is in use, and what was removed."""

import pgtrigger
from django.db import models
from django.db.models import Q

from constitution.models import User, immutable


class Promotion(models.Model):
    """A person put a model into use, or brought an earlier one back. Immutable; the newest row says what is in use.

    The rows are one chain: each replaces the one before, so that two people at once cannot both follow the same one.
    """

    checkpoint = models.ForeignKey("training.Checkpoint", on_delete=models.PROTECT, related_name="promotions")
    replaces = models.OneToOneField("self", null=True, on_delete=models.PROTECT, related_name="replaced_by")
    restores = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="restored_by")
    by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    note = models.TextField(blank=True)
    gates = models.JSONField(help_text="How each gate stood: name, state, sentence.")
    overridden = models.JSONField(default=list, help_text="Names of the gates that the person overrode.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["replaces"], nulls_distinct=False, name="promotion_one_chain"),
            models.CheckConstraint(
                condition=~Q(note="") | Q(overridden=[], restores=None), name="promotion_says_why_where_it_must"
            ),
            models.CheckConstraint(
                condition=Q(restores=None) | Q(replaces__isnull=False), name="promotion_restores_by_replacing"
            ),
        ]
        triggers = immutable(
            pgtrigger.Trigger(
                name="of_what_is_there",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF EXISTS (SELECT 1 FROM training_removal WHERE checkpoint_id = NEW.checkpoint_id) THEN
                        RAISE EXCEPTION 'the weights of checkpoint % were removed', NEW.checkpoint_id;
                    END IF;
                    IF NEW.restores_id IS NOT NULL AND NOT EXISTS (
                        SELECT 1 FROM training_promotion
                        WHERE id = NEW.restores_id AND checkpoint_id = NEW.checkpoint_id
                    ) THEN
                        RAISE EXCEPTION 'promotion % was not of checkpoint %', NEW.restores_id, NEW.checkpoint_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"promotion {self.pk}"


class Removal(models.Model):
    """The weights of a model that nobody promoted were removed to make room. Immutable; its record stays."""

    checkpoint = models.OneToOneField("training.Checkpoint", on_delete=models.PROTECT, related_name="removal")
    size = models.PositiveBigIntegerField(help_text="Bytes that this freed.")
    by = models.CharField(max_length=200, help_text="The person, or the name of the process.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = immutable(
            pgtrigger.Trigger(
                name="never_promoted",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF EXISTS (SELECT 1 FROM training_promotion WHERE checkpoint_id = NEW.checkpoint_id) THEN
                        RAISE EXCEPTION 'checkpoint % was promoted, so it is kept', NEW.checkpoint_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"removal of checkpoint {self.checkpoint_id}"


class Clearance(models.Model):
    """What an aborted round left that is large was removed to make room. Immutable; the round's record stays."""

    round = models.OneToOneField("training.Round", on_delete=models.PROTECT, related_name="clearance")
    size = models.PositiveBigIntegerField(help_text="Bytes that this freed.")
    by = models.CharField(max_length=200, help_text="The person, or the name of the process.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = immutable(
            pgtrigger.Trigger(
                name="of_what_was_aborted",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF NOT EXISTS (SELECT 1 FROM training_round WHERE id = NEW.round_id AND state = 'aborted') THEN
                        RAISE EXCEPTION 'round % was not aborted, so what it left is kept', NEW.round_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"clearance of round {self.round_id}"
