"""Generation, shared beginnings and speed on a tiny model: batching changes nothing but the rounding."""

import copy
from pathlib import Path

import pytest
import torch

from potstill.errors import RecipeError
from potstill.models.attention import use_fast_attention
from potstill.models.local import LocalModel
from potstill.models.prefix import hidden_states, right_pad, shared_prefix_length
from tiny import make_tiny_model

SHARED = list(range(20, 40))
PROMPTS = [[*SHARED, 50, 51], [*SHARED, 52], [*SHARED, 53, 54, 55, 56]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return LocalModel.load(make_tiny_model(tmp_path_factory.mktemp("tiny"), layers=3, scale=0.3))


def test_a_shared_beginning_is_found_below_the_limit() -> None:
    assert shared_prefix_length(PROMPTS, [21, 20, 23]) == 20
    assert shared_prefix_length(PROMPTS, [12, 20, 23]) == 12
    assert shared_prefix_length(PROMPTS[:1], [21]) == 0
    own = [[1, 2, *range(number, number + 20)] for number in (50, 80)]
    assert shared_prefix_length(own, [2, 2]) == 0  # too short to be worth it


def test_states_with_a_shared_beginning_equal_the_plain_ones_with_gradients(model: LocalModel) -> None:
    tokens = right_pad(PROMPTS, 1)
    mask = torch.tensor([[1] * len(one) + [0] * (tokens.shape[1] - len(one)) for one in PROMPTS])
    gradients = []
    states = []
    for prefix in (None, 0, 20):
        model.network.zero_grad()
        if prefix is None:  # with the mask that no other pass takes
            found = model.network.base_model(input_ids=tokens, attention_mask=mask, use_cache=False).last_hidden_state
        else:
            (found,) = hidden_states(model.network, tokens, prefix)
        states.append(found[:, -tokens.shape[1] + 20 :] * mask[:, 20:, None])
        states[-1].square().sum().backward()
        gradients.append(
            {name: one.grad.clone() for name, one in model.network.named_parameters() if one.grad is not None}
        )
    for at in (1, 2):
        torch.testing.assert_close(states[0], states[at], atol=1e-4, rtol=1e-4)
        assert gradients[0].keys() == gradients[at].keys()
        for name in gradients[0]:
            torch.testing.assert_close(gradients[0][name], gradients[at][name], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_a_batch_answers_as_each_prompt_alone(model: LocalModel, temperature: float) -> None:
    settings = {"max_new_tokens": 12, "temperature": temperature, "top_p": 0.9}
    together = model.generate(PROMPTS, seeds=[1, 2, 3], **settings)
    for prompt, seed, expected in zip(PROMPTS, [1, 2, 3], together, strict=True):
        assert model.generate([prompt], seeds=[seed], **settings) == [expected]


def test_greedy_generation_agrees_with_transformers(model: LocalModel) -> None:
    prompt = PROMPTS[0]
    found = model.generate([prompt], max_new_tokens=10, temperature=0, seeds=[0])[0]
    expected = model.network.generate(
        torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt), dtype=torch.long), max_new_tokens=10,
        do_sample=False, pad_token_id=1,
    )[0, len(prompt) :].tolist()  # fmt: skip
    assert list(found.tokens) == expected


def test_each_step_is_shown_with_the_rows_that_still_go(model: LocalModel) -> None:
    seen: list[tuple[int, ...]] = []
    answers = model.generate(
        PROMPTS, max_new_tokens=40, temperature=1.0, seeds=[4, 5, 6],
        on_step=lambda logits, rows, taken: seen.append(tuple(rows.tolist())),
    )  # fmt: skip
    for row, answer in enumerate(answers):
        assert sum(row in rows for rows in seen) == len(answer.tokens)
        assert (answer.finish_reason == "stop") == (answer.tokens[-1] == 1)


def test_sampling_follows_the_distribution(model: LocalModel) -> None:
    from potstill.models.local import _sample

    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]]).expand(20_000, -1)
    generator = torch.Generator().manual_seed(0)
    drawn = _sample(logits, 0.7, 1.0, [generator] * 20_000)
    shares = torch.bincount(drawn, minlength=4) / 20_000
    torch.testing.assert_close(shares, (logits[0] / 0.7).softmax(-1), atol=0.01, rtol=0)
    nucleus = _sample(logits, 1.0, 0.6, [generator] * 20_000)
    assert set(nucleus.tolist()) == {0}


def test_a_folder_that_is_no_model_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(RecipeError, match="cannot be opened"):
        LocalModel.load(tmp_path)


def test_training_attention_equals_torchs_with_gradients(model: LocalModel) -> None:
    """In fp32 nothing changes but rounding; under autocast short sequences stay in fp32, which is nearer."""
    tokens = right_pad(PROMPTS, 1)
    other = copy.deepcopy(model.network)
    use_fast_attention(other)
    assert other.config._attn_implementation != model.network.config._attn_implementation
    found = []
    for network in (model.network, other):
        network.zero_grad()
        hidden_states(network, tokens)[0].square().mean().backward()
        found.append([one.grad.clone() for one in network.parameters() if one.grad is not None])
    for plain, fast in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-6, rtol=1e-4)
    exact = hidden_states(model.network, tokens)[0].detach()
    with torch.autocast("cpu", torch.bfloat16):
        errors = [float((hidden_states(one, tokens)[0].detach() - exact).norm()) for one in (other, model.network)]
    assert errors[0] < 1.1 * errors[1]
