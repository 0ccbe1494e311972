"""The measured effect of what is proposed, before anybody decides, and what a round then made of it: workers write both
down here, people read them.

PreviewItem and RealisedItem are immutable. Preview and Realised are mutable until they are finished, and never after.
"""

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from amendments.models.cases import Label
from amendments.models.proposals import Amendment
from constitution.models import User, Version, immutable


class Preview(models.Model):
    """The impact preview of one content on one base with one battery and one model: never measured twice. Mutable.

    Its figures are there from `finished_at` on and stay as they are; why there are none stands in `failure`.
    """

    amendment = models.ForeignKey(
        Amendment, on_delete=models.PROTECT, related_name="previews", help_text="For which it was first asked."
    )
    base = models.ForeignKey(Version, on_delete=models.PROTECT, related_name="+")
    base_digest = models.CharField(max_length=64)
    content = models.CharField(max_length=64, help_text="Digest of the content that is measured.")
    battery = models.CharField(max_length=40, help_text="Which requests, how many, and how they are read and counted.")
    model = models.CharField(max_length=200)
    model_digest = models.CharField(max_length=64)
    seed = models.PositiveIntegerField()
    asked_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField(auto_now_add=True)
    total = models.PositiveIntegerField(default=0, help_text="Requests to read; 0 until they are drawn.")
    done = models.PositiveIntegerField(default=0)
    seconds = models.FloatField(default=0, help_text="Spent on reading them.")
    failure = models.TextField(blank=True)
    result = models.JSONField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(F("finished_at").desc(), name="preview_finished", condition=Q(finished_at__isnull=False))
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["base_digest", "content", "battery", "model_digest"], name="preview_measured_once"
            ),
            models.CheckConstraint(condition=Q(done__lte=F("total")), name="preview_done_within_total"),
            models.CheckConstraint(
                condition=Q(finished_at=None, result=None)
                | Q(finished_at__isnull=False, result__isnull=False, failure="", total__gt=0, done=F("total")),
                name="preview_finished_has_a_result",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(
                name="asked_for",
                fields=[
                    "amendment",
                    "base",
                    "base_digest",
                    "content",
                    "battery",
                    "model",
                    "model_digest",
                    "seed",
                    "asked_by",
                ],
            ),
            pgtrigger.Protect(
                name="finished_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__finished_at__isnull=False),
            ),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"preview {self.pk} of proposal {self.amendment_id}"


class PreviewItem(models.Model):
    """What the model made of one request under each of the texts. Immutable; what was read is not read again."""

    preview = models.ForeignKey(Preview, on_delete=models.PROTECT, related_name="items")
    place = models.PositiveIntegerField()
    components = ArrayField(models.CharField(max_length=20))
    prompt = models.TextField()
    label = models.CharField(max_length=10, choices=Label.choices)
    principle = models.CharField(max_length=80, blank=True, help_text="The clause that it was read under before.")
    arms = models.JSONField(help_text="By arm: answer, verdict, probability, margin, reason.")

    class Meta:
        ordering = ["preview", "place"]
        constraints = [models.UniqueConstraint(fields=["preview", "place"], name="preview_item_once")]
        triggers = immutable(
            pgtrigger.Trigger(
                name="before_it_is_finished",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF (SELECT finished_at FROM amendments_preview WHERE id = NEW.preview_id) IS NOT NULL THEN
                        RAISE EXCEPTION 'preview % is finished', NEW.preview_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"request {self.place} of preview {self.preview_id}"


class Realised(models.Model):
    """What a trained model makes of the requests of a preview, beside what the preview foretold. Mutable.

    Its figures are there from `finished_at` on and stay as they are; why there are none stands in `failure`.
    """

    amendment = models.ForeignKey(Amendment, on_delete=models.PROTECT, related_name="realised")
    preview = models.ForeignKey(Preview, on_delete=models.PROTECT, related_name="realised")
    version = models.ForeignKey(
        Version, on_delete=models.PROTECT, related_name="+", help_text="That the model was trained on."
    )
    checkpoint = models.CharField(max_length=64, help_text="Digest of the trained weights.")
    asked_at = models.DateTimeField(auto_now_add=True)
    total = models.PositiveIntegerField(default=0, help_text="Answers to read; 0 until it begins.")
    done = models.PositiveIntegerField(default=0)
    failure = models.TextField(blank=True)
    result = models.JSONField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-pk"]
        indexes = [
            models.Index(F("finished_at").desc(), name="realised_finished", condition=Q(finished_at__isnull=False))
        ]
        constraints = [
            models.UniqueConstraint(fields=["amendment", "checkpoint"], name="realised_measured_once"),
            models.CheckConstraint(condition=Q(done__lte=F("total")), name="realised_done_within_total"),
            models.CheckConstraint(
                condition=Q(finished_at=None, result=None)
                | Q(finished_at__isnull=False, result__isnull=False, failure="", total__gt=0, done=F("total")),
                name="realised_finished_has_a_result",
            ),
        ]
        triggers = [
            pgtrigger.ReadOnly(name="asked_for", fields=["amendment", "preview", "version", "checkpoint"]),
            pgtrigger.Protect(
                name="finished_stays",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__finished_at__isnull=False),
            ),
            pgtrigger.Protect(name="never_deleted", operation=pgtrigger.Delete),
        ]

    def __str__(self) -> str:
        return f"realised effect {self.pk} of proposal {self.amendment_id}"


class RealisedItem(models.Model):
    """What one model answered to one request of the preview. Immutable; what was read is not read again."""

    realised = models.ForeignKey(Realised, on_delete=models.PROTECT, related_name="items")
    item = models.ForeignKey(PreviewItem, on_delete=models.PROTECT, related_name="+")
    arm = models.CharField(max_length=10, help_text="Whose answer: base, trained or previous.")
    heard = models.JSONField(help_text="Answer, verdict, probability, margin, reason.")

    class Meta:
        ordering = ["realised", "arm", "item"]
        constraints = [models.UniqueConstraint(fields=["realised", "arm", "item"], name="realised_item_once")]
        triggers = immutable(
            pgtrigger.Trigger(
                name="before_it_is_finished",
                operation=pgtrigger.Insert,
                when=pgtrigger.Before,
                func="""
                    IF (SELECT finished_at FROM amendments_realised WHERE id = NEW.realised_id) IS NOT NULL THEN
                        RAISE EXCEPTION 'realised effect % is finished', NEW.realised_id;
                    END IF;
                    RETURN NEW;
                """,
            )
        )

    def __str__(self) -> str:
        return f"{self.arm} answer to request {self.item_id} of realised effect {self.realised_id}"
