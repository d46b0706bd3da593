"""Which label a local model finds most likely as its whole answer, by teacher forcing each of them."""

from collections.abc import Sequence

import torch

from potstill.evaluate.fidelity import answer_logits, answer_states
from potstill.models.local import LocalModel
from potstill.rendering import join, render_answer

_LABELS_AT_ONCE = 32  # rows of one batch, whose prompt goes through the layers once


@torch.inference_mode()
def likeliest_labels(model: LocalModel, prompts: Sequence[tuple[int, ...]], labels: Sequence[str]) -> list[str]:
    """For each prompt, in the model's own tokens, the label with the greatest log P(label, end of turn | prompt).

    The end of turn counts, so that a label which another one begins with has no advantage. Of equally likely labels
    the first is taken. Raises RecipeError where prompt and label are longer than the model's context.
    """
    written = [render_answer(model.tokenizer, label) for label in labels]
    known: dict[tuple[int, ...], str] = {}
    for prompt in prompts:
        if prompt not in known:
            known[prompt] = labels[int(_log_probabilities(model, prompt, written).argmax())]
    return [known[prompt] for prompt in prompts]


def _log_probabilities(model: LocalModel, prompt: tuple[int, ...], answers: Sequence[Sequence[int]]) -> torch.Tensor:
    """(answers,) nats of each whole answer after the prompt."""
    found = []
    for start in range(0, len(answers), _LABELS_AT_ONCE):
        few = answers[start : start + _LABELS_AT_ONCE]
        examples = [join(prompt, answer, model.context_tokens, "evaluate.task.labels") for answer in few]
        log_q = torch.log_softmax(answer_logits(model, answer_states(model, examples)), -1)
        targets = torch.tensor([token for answer in few for token in answer])
        each = log_q.gather(-1, targets[:, None]).squeeze(-1).double()
        found += [part.sum() for part in torch.split(each, [len(answer) for answer in few])]
    return torch.stack(found)
