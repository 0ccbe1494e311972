"""A language model in this process, asked by the log-probability judge."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from training.engine.forward import inference, run_group, share_prefixes
from training.engine.generate import chat
from training.engine.judges.contract import Unscored
from training.engine.judges.question import Top
from training.engine.model import LanguageModel

TOO_LONG = "the prompt does not fit into the model's context"


@dataclass(frozen=True)
class LocalModel:
    """The model of a log-probability judge. Whoever chooses it sees to it that it is not the one under training."""

    lm: LanguageModel
    batch_size: int = 8
    kind: str = field(default="logprob", init=False)

    @property
    def identity(self) -> dict[str, str]:
        return {"model": self.lm.digest}

    def likeliest(self, prompts: Sequence[str], count: int) -> list[Top | Unscored]:
        """The `count` likeliest first tokens of the answer to each prompt, in the model's own chat template."""
        rows = [self.lm.tokenizer(chat(self.lm, prompt), add_special_tokens=False).input_ids for prompt in prompts]
        short = [i for i, row in enumerate(rows) if len(row) < self.lm.context_length]
        found: list[Top | Unscored] = [Unscored(TOO_LONG) for _ in rows]
        with inference(self.lm):
            for group in share_prefixes([rows[i] for i in short]):
                members = sorted((short[place] for place in group.rows), key=lambda i: len(rows[i]))
                for start in range(0, len(members), self.batch_size):
                    part = members[start : start + self.batch_size]
                    logits, _, _ = run_group(self.lm, [rows[i] for i in part], group.prefix)
                    values, ids = logits[:, -1].float().log_softmax(-1).topk(min(count, logits.shape[-1]))
                    for i, logprobs, tokens in zip(part, values.tolist(), ids.tolist(), strict=True):
                        found[i] = list(zip(map(self._word, tokens), logprobs, strict=True))
        return found

    def _word(self, token: int) -> str:
        return str(self.lm.tokenizer.decode([token]))
