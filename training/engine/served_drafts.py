"""Drafting by a served model: the same contract as `drafting.few_shot`, with answers in the form of a JSON schema.

A server that cannot hold a model to a schema says so with its status, and is then asked without one, or does not say so
(`transformers serve`). What it answers is
untrusted either way: read into one known shape, and put through the same sieve as what the small model writes.
"""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from pydantic import BaseModel, Field

from training.engine import prompts
from training.engine.clauses import Clause
from training.engine.drafting import SENTENCE_TEMPERATURE, SHOWN_CASES, Case, Drafted, usable_sentence
from training.engine.judges.served import AT_ONCE, Server, ServerFault
from training.engine.prompts import Lesson

MOST_TOKENS = 160
LONGEST = 400
SCHEMA = {
    "type": "object",
    "properties": {"sentence": {"type": "string", "minLength": 1, "maxLength": LONGEST}},
    "required": ["sentence"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "draft", "strict": True, "schema": SCHEMA}}
NOT_SUPPORTED = ("status 400", "status 404", "status 422", "status 501")


class _Answer(BaseModel):
    sentence: str = Field(min_length=1, max_length=LONGEST)


class _Message(BaseModel):
    content: str


class _Choice(BaseModel):
    message: _Message


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)


@dataclass(frozen=True)
class ServedWriter:
    """Writes with a served model."""

    server: Server

    def write(
        self, clause: Clause, cases: Sequence[Case], lessons: Sequence[Lesson], samples: int, seed: int
    ) -> list[Drafted]:
        """Those of `samples` sentences that can be used, in order; a request that fails gives none."""
        label, shown = cases[0].label, cases[:SHOWN_CASES]
        prompt = prompts.served_draft(clause, label, [case.request for case in shown], lessons)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            written = list(pool.map(lambda place: self._ask(prompt, seed + place), range(samples)))
        found: dict[str, Drafted] = {}
        for place, text in enumerate(written):
            if sentence := usable_sentence(text, clause, shown):
                drafted = Drafted(sentence, "served", prompts.SERVED_DRAFT.label, seed + place, place)
                found.setdefault(sentence, drafted)
        return list(found.values())

    def _ask(self, prompt: str, seed: int) -> str:
        """What it drafted; empty where nothing could be had."""
        body = {
            "model": self.server.model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": MOST_TOKENS,
            "temperature": SENTENCE_TEMPERATURE,
            "seed": seed,
        }
        try:
            try:
                content = self.server.complete({**body, "response_format": FORMAT})
            except ServerFault as fault:
                if not str(fault).endswith(NOT_SUPPORTED):
                    raise
                content = self.server.complete(body)
            said = _Completion.model_validate_json(content).choices[0].message.content
            return _Answer.model_validate(_first_object(said)).sentence
        except (ServerFault, ValueError):
            return ""


def _first_object(said: str) -> object:
    """The first JSON object of a text; ValueError where there is none. A server that holds its model to no schema, and
    does not say so, lets it talk around the object."""
    try:
        found: object = json.JSONDecoder().raw_decode(said, said.index("{"))[0]
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return found
