"""The model as variants of scenarios need it: lent by whoever has loaded it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from training.coordinator import MODEL_NAME_OF_DEFAULT
from training.variants import Asked, Writer

if TYPE_CHECKING:
    from training.engine.model import LanguageModel


def writer_for(lm: "LanguageModel", *, samples: int, temperature: float, seed: int) -> Writer:
    """A writer that samples `lm` so often for each request."""
    from training.engine.rewrite import Wanted, reword

    def reworded(asked: Sequence[Asked]) -> Iterator[Sequence[tuple[str, str]]]:
        wanted = [Wanted(text, keeps) for text, keeps in asked]
        for found in reword(lm, wanted, samples=samples, temperature=temperature, seed=seed):
            yield [(sample.text, sample.why_not) for sample in found]

    return Writer(model=Path(settings.MODEL or MODEL_NAME_OF_DEFAULT).name, temperature=temperature, reword=reworded)
