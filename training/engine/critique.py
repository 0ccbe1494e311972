"""Whether revising helps: a response, a critique of it, its revision, and the critique of that.

A critique is not written but read: how probable it is that it finds a breach rather than none. Small models find what
they find by the look of it; whether that is worth anything, the measure of the signal says.
"""

from collections.abc import Sequence

from training.engine import prompts, signals
from training.engine.clauses import Clause, clean
from training.engine.generate import generate
from training.engine.model import LanguageModel
from training.engine.score import continuation_logprobs
from training.engine.signals import Probability

MOST_TOKENS = 28
REPETITION_PENALTY = 1.2
BREAKS, FOLLOWS = " It breaks the rule.", " It follows the rule."
NO_RESPONSE = "the model gave no response"
TOO_LONG = "the prompt is longer than the model's context"

Asked = tuple[str, Sequence[Clause]]


def flips(lm: LanguageModel, asked: Sequence[Asked]) -> list[float | str]:
    """For each request and its clauses the strength of the signal, or why there is none; empty without a clause."""
    found: list[float | str] = [""] * len(asked)
    places = [place for place, (_, clauses) in enumerate(asked) if clauses]
    said = _write(lm, [prompts.follow(asked[place][1][0], asked[place][0]) for place in places])
    heard = {place: text for place, text in zip(places, said, strict=True) if text}
    found = [NO_RESPONSE if place in set(places) - heard.keys() else "" for place in range(len(asked))]
    revised = dict(zip(heard, _revise(lm, asked, heard), strict=True))
    wanted = [(place, text, 0) for place, text in heard.items()]
    wanted += [(place, text, rank) for place, text in revised.items() for rank in range(len(asked[place][1][:2]))]
    found_of = breaches(lm, [(asked[place][1][rank], asked[place][0], text) for place, text, rank in wanted])
    by_place: dict[int, list[Probability]] = {place: [] for place in heard}
    for (place, _, _), breach in zip(wanted, found_of, strict=True):
        by_place[place].append(breach)
    for place, (before, after, *others) in by_place.items():
        is_same = clean(revised[place]).casefold() == clean(heard[place]).casefold()
        flip = signals.flip(before, after, others, is_same=is_same)
        found[place] = TOO_LONG if flip is None else flip
    return found


def _revise(lm: LanguageModel, asked: Sequence[Asked], heard: dict[int, str]) -> list[str]:
    """The revisions; where none was written, the response stands."""
    written = _write(lm, [prompts.revise(asked[place][1][0], asked[place][0], text) for place, text in heard.items()])
    return [text or old for text, old in zip(written, heard.values(), strict=True)]


def _write(lm: LanguageModel, asked: Sequence[str]) -> list[str]:
    """What the model writes at each prompt, greedily; nothing where it does not fit."""
    fitting = [place for place, prompt in enumerate(asked) if _fits(lm, prompt)]
    written = generate(
        lm,
        [asked[place] for place in fitting],
        max_new_tokens=MOST_TOKENS,
        batch_size=max(1, len(fitting)),
        stop=prompts.STOP,
        repetition_penalty=REPETITION_PENALTY,
    )
    texts = dict(zip(fitting, written, strict=True))
    return [texts.get(place, "") for place in range(len(asked))]


def breaches(lm: LanguageModel, asked: Sequence[tuple[Clause, str, str]]) -> list[Probability]:
    """The probability that the critique of each (clause, request, response) finds a breach; None where it does not fit
    or is not a number."""
    critiques = [prompts.critique(*one) for one in asked]
    fitting = [place for place, prompt in enumerate(critiques) if _fits(lm, prompt)]
    pairs = [(critiques[place], ending) for place in fitting for ending in (BREAKS, FOLLOWS)]
    scores = continuation_logprobs(lm, pairs) if pairs else []
    margins = [breaks.total - follows.total for breaks, follows in zip(scores[::2], scores[1::2], strict=True)]
    found = dict(zip(fitting, map(signals.refusing, margins), strict=True))
    return [found.get(place) for place in range(len(asked))]


def _fits(lm: LanguageModel, prompt: str) -> bool:
    return len(lm.tokenizer(prompt, add_special_tokens=False).input_ids) <= lm.context_length - MOST_TOKENS
