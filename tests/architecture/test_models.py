"""Every model says whether its rows change, and PostgreSQL holds those to it that say they do not."""

import re

import pgtrigger
import pytest
from django.apps import apps
from django.db import models

from tests.architecture.source import APPS

OURS = [model for model in apps.get_models() if model._meta.app_label in APPS]
WORD = re.compile(r"\b(Mutable|Immutable)\b")


def says_immutable(model: type[models.Model]) -> bool | None:
    """What the docstring says; None where it says neither, or both."""
    words = set(WORD.findall(model.__doc__ or ""))
    return words == {"Immutable"} if len(words) == 1 else None


def refuses(triggers: list[pgtrigger.Trigger], operation: pgtrigger.Operation) -> bool:
    """Whether one of the triggers stops the operation for every row."""
    return any(str(operation) in str(trigger.operation) for trigger in triggers if _always_raises(trigger))


def _always_raises(trigger: pgtrigger.Trigger) -> bool:
    protects = type(trigger) is pgtrigger.Protect or str(trigger.func).startswith("RAISE EXCEPTION")
    return protects and not trigger.condition


def test_models_are_found() -> None:
    assert {"Version", "Amendment", "Round"} <= {model.__name__ for model in OURS}


@pytest.mark.parametrize("model", OURS, ids=lambda model: model.__name__)
def test_model_says_whether_it_changes(model: type[models.Model]) -> None:
    assert says_immutable(model) is not None, f"{model.__name__}: the docstring says neither Mutable nor Immutable"


@pytest.mark.parametrize("model", [model for model in OURS if says_immutable(model)], ids=lambda model: model.__name__)
@pytest.mark.parametrize("operation", [pgtrigger.Update, pgtrigger.Delete, pgtrigger.Truncate], ids=str)
def test_immutable_model_refuses(model: type[models.Model], operation: pgtrigger.Operation) -> None:
    assert refuses(list(model._meta.triggers), operation)  # type: ignore[attr-defined]


def test_silent_docstring_is_found() -> None:
    class Bad:
        """Somebody's rows."""

    assert says_immutable(Bad) is None  # type: ignore[arg-type]


def test_missing_trigger_is_found() -> None:
    half = [pgtrigger.Protect(name="no_delete", operation=pgtrigger.Delete)]
    assert refuses(half, pgtrigger.Delete)
    assert not refuses(half, pgtrigger.Update)
    sometimes = pgtrigger.Protect(name="x", operation=pgtrigger.Update, condition=pgtrigger.Q(old__id=1))
    assert not refuses([sometimes], pgtrigger.Update)
