"""Batched generation, greedy or sampled, with prompts in any order and responses in the same."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from training.engine.clauses import without_special_tokens
from training.engine.decoding import Prefilled, prefill, step
from training.engine.forward import Heads, batches, inference
from training.engine.model import LanguageModel, ModelError

Progress = Callable[[int, int], None]


def generate(
    lm: LanguageModel,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 32,
    stop: Sequence[str] = (),
    repetition_penalty: float = 1.0,
    heads: Heads | None = None,
    on_progress: Progress | None = None,
) -> list[str]:
    """One response per prompt, in the prompts' order, without special tokens or surrounding white space.

    A response ends at an end token, before the first `stop` string, or after `max_new_tokens`. Temperature 0 is
    greedy. Sampling draws each response from a stream of its own, seeded by (`seed`, place in `prompts`): batch
    size and neighbours do not change it. A repetition penalty above 1 makes tokens that the response already has less
    likely; those of the prompt are not touched. `heads` are beginnings that further calls will have too.
    `on_progress(done, total)` is called after every batch.
    """
    if max_new_tokens < 1 or batch_size < 1 or temperature < 0:
        raise ValueError("max_new_tokens and batch_size must be at least 1, temperature at least 0")
    rows = [_prompt_ids(lm, prompt, max_new_tokens) for prompt in prompts]
    responses = [""] * len(rows)
    done = 0
    with inference(lm):
        for indices in batches(rows, batch_size, heads):
            choose = _chooser(temperature, [(seed, index) for index in indices])
            state = prefill(lm, [rows[i] for i in indices], reserve=max_new_tokens, heads=heads)
            texts = _continue(lm, state, choose, max_new_tokens, tuple(stop), repetition_penalty)
            for index, text in zip(indices, texts, strict=True):
                responses[index] = text
            done += len(indices)
            if on_progress:
                on_progress(done, len(rows))
    return responses


def chat(lm: LanguageModel, request: str, system: str | None = None) -> str:
    """The prompt text that asks `request` through the model's own chat template.

    The request is untrusted: what the tokenizer would read as the end or start of a turn is taken out of it.
    """
    messages = [{"role": "system", "content": system}] if system else []
    request = without_special_tokens(request, lm.tokenizer.all_special_tokens)
    messages.append({"role": "user", "content": request})
    return str(lm.tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False))


def _prompt_ids(lm: LanguageModel, prompt: str, room: int) -> list[int]:
    # Prompts are ready-made, special tokens included: nothing is added here.
    ids: list[int] = lm.tokenizer(prompt, add_special_tokens=False).input_ids
    if not ids:
        raise ValueError("a prompt must not be empty")
    if len(ids) + room > lm.context_length:
        raise ModelError(f"A prompt of {len(ids)} tokens leaves no room in a context of {lm.context_length}.")
    return ids


Choose = Callable[[Tensor, list[int]], list[int]]


def _chooser(temperature: float, streams: Sequence[tuple[int, int]]) -> Choose:
    """A function from logits [rows, vocabulary] and the rows' stream numbers to one token each."""
    if temperature == 0:
        return lambda logits, _rows: [int(token) for token in logits.argmax(-1)]
    generators = [torch.Generator().manual_seed(seed * 1_000_003 + index) for seed, index in streams]

    def sample(logits: Tensor, rows: list[int]) -> list[int]:
        odds = torch.softmax(logits.float().cpu() / temperature, -1)
        return [
            int(torch.multinomial(row, 1, generator=generators[stream])) for row, stream in zip(odds, rows, strict=True)
        ]

    return sample


def _continue(
    lm: LanguageModel,
    state: Prefilled,
    choose: Choose,
    max_new_tokens: int,
    stop: tuple[str, ...],
    repetition_penalty: float,
) -> list[str]:
    """Decode until every row has ended; rows that have ended leave the batch once enough of it has."""
    written: list[list[int]] = [[] for _ in state.order]
    ended = [False] * len(written)
    # Rows that bring a copy of their prompt's beginning cost more to move than to carry along for a while.
    most = 0.9 if state.runs else 0.5
    for count in range(1, max_new_tokens + 1):
        rows = state.order
        if repetition_penalty != 1.0:
            _penalise(state.logits, [written[row] for row in rows], repetition_penalty)
        tokens = choose(state.logits, rows)
        for row, token in zip(rows, tokens, strict=True):
            if not ended[row]:
                ended[row] = token in lm.end_ids or _append(lm, written[row], token, stop)
        live = [place for place, row in enumerate(rows) if not ended[row]]
        if not live or count == max_new_tokens:
            break
        if len(live) <= most * len(rows):
            state.keep(live)
            tokens = [tokens[place] for place in live]
        step(lm, state, torch.tensor(tokens, device=lm.device))
    return [_text(lm, ids, stop) for ids in written]


def _penalise(logits: Tensor, written: Sequence[Sequence[int]], penalty: float) -> None:
    """Make the tokens in `written` less likely, row by row, in place."""
    for row, ids in zip(logits, written, strict=True):
        seen = torch.tensor(sorted(set(ids)), dtype=torch.long, device=logits.device)
        row[seen] = torch.where(row[seen] > 0, row[seen] / penalty, row[seen] * penalty)


def _append(lm: LanguageModel, ids: list[int], token: int, stop: tuple[str, ...]) -> bool:
    """Add a token; whether the text now holds a stop string."""
    ids.append(token)
    return bool(stop) and any(mark in lm.tokenizer.decode(ids) for mark in stop)


def _text(lm: LanguageModel, ids: list[int], stop: tuple[str, ...]) -> str:
    text = str(lm.tokenizer.decode(ids, skip_special_tokens=True))
    cuts = [text.find(mark) for mark in stop if mark in text]
    return text[: min(cuts, default=len(text))].strip()
