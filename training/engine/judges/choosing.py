"""Which judge judges: a choice of the configuration, which never falls on the model that it would judge."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from training.engine.judges.contract import Comparer, Judge, JudgeError
from training.engine.judges.language import LanguageJudge
from training.engine.judges.local import LocalModel
from training.engine.judges.pairs import Apart
from training.engine.judges.pattern import PatternJudge
from training.engine.judges.served import Server, is_among
from training.engine.model import LanguageModel, load, local_folder, weights_digest

PROBE, PATTERN, LOGPROB, SERVED = KINDS = ("probe", "pattern", "logprob", "served")


@dataclass(frozen=True)
class Choice:
    """What the configuration says of the judge. `model` is a folder or a hub id for `logprob`, a name for `served`."""

    kind: str = PROBE
    model: str = ""
    url: str = ""
    timeout: float = 30.0
    tries: int = 3

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise JudgeError(f"JUDGE is {self.kind!r}; it must be one of {', '.join(KINDS)}.")
        if self.kind == LOGPROB and not self.model:
            raise JudgeError("Set JUDGE_MODEL to the folder or hub id of the judge's own model.")
        if self.kind == SERVED:
            self.server()

    def server(self, *, key: str = "", others: frozenset[str] = frozenset()) -> Server:
        return Server(self.url, self.model, key, self.timeout, self.tries, others=others)


def choose(choice: Choice, *, reference: LanguageModel, name: str, fit: Callable[[], Judge], key: str = "") -> Judge:
    """The chosen judge, which is never the model that is trained and that proposes: `reference`, known by `name`.

    The probe is allowed to read the frozen reference: `fit` gives it. Raises JudgeError, with a sentence, where the
    choice falls on those weights or that name.
    """
    check_is_another(choice, reference=reference, name=name, key=key)
    if choice.kind == LOGPROB:
        return LanguageJudge(LocalModel(_loaded(choice.model, reference.device.type)))
    if choice.kind == SERVED:
        return LanguageJudge(choice.server(key=key, others=frozenset({name})))
    return PatternJudge() if choice.kind == PATTERN else fit()


def check_is_another(choice: Choice, *, reference: LanguageModel, name: str, key: str = "") -> None:
    """Refuse a judge that would judge itself. Before anything is loaded, or asked for a verdict."""
    if choice.kind == LOGPROB:
        weights = weights_digest(local_folder(choice.model))
        if weights == reference.digest.partition("+")[0]:
            raise JudgeError("JUDGE_MODEL has the weights of the model that is trained and proposes: choose another.")
    if choice.kind == SERVED:
        others = frozenset({name})
        names = choice.server(key=key).known_as() | {choice.model}
        if any(is_among(one, others) for one in names):
            raise JudgeError(
                f"The served model {choice.model!r} is the model that is trained and proposes: choose another."
            )


def to_be_carded(choice: Choice, *, reference: LanguageModel, fit: Callable[[], Judge], key: str = "") -> Judge:
    """The judge for a measurement, in which it judges nothing but answers of others: here it may be any model."""
    if choice.kind == LOGPROB and weights_digest(local_folder(choice.model)) == reference.digest:
        return LanguageJudge(LocalModel(reference))
    return choose(choice, reference=reference, name="", fit=fit, key=key)


def comparer(judge: Judge) -> Comparer:
    """How a judge compares two responses: those that ask a model are shown both, the others read each alone."""
    return judge if isinstance(judge, LanguageJudge) else Apart(judge)


@lru_cache(maxsize=1)
def _loaded(model: str, device: str) -> LanguageModel:
    return load(model, device=device)
