"""Every kind of bad recipe gives one line with the file and the field; overrides; the packaged recipe."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from potstill.config import Asked, Condition, Recipe, load_recipe, parse_condition, recipe_from
from potstill.errors import RecipeError

SMALLEST: dict[str, Any] = {
    "name": "small",
    "teacher": {"model": "path:./teacher"},
    "prompts": {"source": "prompts.jsonl"},
    "student": {"kind": "pruned", "keep_layers": 2},
}
ENDPOINT: dict[str, Any] = {
    **SMALLEST,
    "teacher": {"endpoint": {"base_url": "http://localhost:8000/v1", "model": "big"}},
    "student": {"kind": "model", "model": "path:./student"},
}


def with_key(data: dict[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    head, _, rest = dotted.partition(".")
    return {**data, head: with_key(data.get(head) or {}, rest, value) if rest else value}


def refusal(data: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as caught:
        recipe_from(data, Path("/base"), "recipe.yaml")
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 2
    assert text.startswith("recipe.yaml: ")
    return text


def test_smallest_recipe_takes_defaults_by_the_teachers_kind() -> None:
    local = recipe_from(SMALLEST, Path("/base"), "recipe.yaml")
    assert (local.signals.kind, local.objective.kind) == ("sampled", "forward_kl")
    served = recipe_from(ENDPOINT, Path("/base"), "recipe.yaml")
    assert (served.signals.kind, served.objective.kind) == ("none", "cross_entropy")


def test_paths_become_absolute() -> None:
    data = with_key(SMALLEST, "use.permission", {"file": "ok.pdf", "granted_by": "Example", "date": "2026-01-31"})
    recipe = recipe_from(data, Path("/base"), "recipe.yaml")
    assert recipe.prompts.source == Path("/base/prompts.jsonl")
    assert recipe.teacher.model == "path:/base/teacher"
    assert recipe.use.permission is not None
    assert recipe.use.permission.file == Path("/base/ok.pdf")


@pytest.mark.parametrize(
    ("dotted", "value", "field"),
    [
        ("trian", {}, "trian"),
        ("train.epoch", 2, "train.epoch"),
        ("teacher.modle", "x", "teacher.modle"),
        ("student.keep_layer", 3, "student.pruned.keep_layer"),
        ("collect.signals", {"kind": "sampled", "draw": 5}, "collect.signals.sampled.draw"),
        ("train.epochs", "many", "train.epochs"),
        ("train.epochs", 0, "train.epochs"),
        ("train.epochs", 1.5, "train.epochs"),
        ("train.learning_rate", -1, "train.learning_rate"),
        ("train.learning_rate", float("nan"), "train.learning_rate"),
        ("train.precision", "fp8", "train.precision"),
        ("train.on_policy", {"endpoint": {"base_url": "http://a/v1"}}, "train.on_policy.endpoint.model"),
        ("train.on_policy", {"endpoint": {"base_url": "a", "model": "b"}}, "train.on_policy.endpoint.base_url"),
        (
            "train.on_policy",
            {"endpoint": {"base_url": "http://a/v1", "model": "b", "refresh_steps": 0}},
            "train.on_policy.endpoint.refresh_steps",
        ),
        (
            "train.on_policy",
            {"endpoint": {"base_url": "http://a/v1", "model": "b", "importance_cap": 0.5}},
            "train.on_policy.endpoint.importance_cap",
        ),
        ("prompts.holdout", 1.0, "prompts.holdout"),
        ("prompts.holdout", 0, "prompts.holdout"),
        ("collect.top_p", 1.5, "collect.top_p"),
        ("collect.max_new_tokens", 0, "collect.max_new_tokens"),
        ("collect.signals", {"kind": "all"}, "collect.signals"),
        ("collect.signals", "sampled", "collect.signals"),
        ("collect.signals", {"kind": "sampled", "draws": 0}, "collect.signals.sampled.draws"),
        ("student", {"kind": "shrunk"}, "student"),
        ("student", {"keep_layers": 4}, "student"),
        ("student", None, "student"),
        ("teacher", {}, "teacher"),
        ("teacher.endpoint", {"base_url": "http://h/v1", "model": "m"}, "teacher"),
        ("teacher.sha256", "abc", "teacher.sha256"),
        ("name", "a/b", "name"),
        ("name", "", "name"),
        ("accept", {"top1_agreement": "0.6"}, "accept.top1_agreement"),
        ("accept", {"top1_agreement": ">= high"}, "accept.top1_agreement"),
        ("accept", {"top1_agreement": ">= nan"}, "accept.top1_agreement"),
        ("accept", {"accuracy": ">= 0.6"}, "accuracy"),
        ("accept", [">= 0.6"], "accept"),
        ("accept", {"top1_agreement": {"kl_nats": ">= 1"}}, "accept.top1_agreement: {'kl_nats': '>= 1'} is not a"),
        ("accept", {"slices": ">= 0.6"}, "accept.slices: must be a mapping"),
        ("accept", {"slices": {"retention.acuracy": ">= 0.6"}}, "accept.slices: no figure is called 'retention.acur"),
        ("accept", {"slices": {"chrf": "0.6"}}, "accept.slices.chrf: '0.6' is not a condition"),
        ("evaluate.margin", 0, "evaluate.margin"),
        ("evaluate.margin", 1, "evaluate.margin"),
        ("evaluate.self_agreement", "perhaps", "evaluate.self_agreement"),
        ("evaluate.baselines", ["majority"], "evaluate.baselines"),
        ("export.formats", ["gguf:q8_0"], "export.formats"),
        ("use.commercial", "perhaps", "use.commercial"),
    ],
)
def test_a_wrong_value_names_its_field(dotted: str, value: Any, field: str) -> None:
    assert field in refusal(with_key(SMALLEST, dotted, value))


@pytest.mark.parametrize("missing", ["name", "teacher", "prompts", "student"])
def test_a_missing_section_is_named(missing: str) -> None:
    assert missing in refusal({name: value for name, value in SMALLEST.items() if name != missing})


@pytest.mark.parametrize("url", ["host/v1", "ftp://host/v1", "https://key@host/v1", "https://"])
def test_base_urls_that_are_none_or_hold_credentials_are_refused(url: str) -> None:
    assert "teacher.endpoint.base_url" in refusal(with_key(ENDPOINT, "teacher.endpoint.base_url", url))


@pytest.mark.parametrize(
    ("data", "dotted", "value", "words"),
    [
        (SMALLEST, "collect.signals", {"kind": "top_k", "k": 40_000, "bits": 8}, None),
        (ENDPOINT, "collect.signals", {"kind": "top_k", "k": 20}, None),
        (ENDPOINT, "collect.signals", {"kind": "top_k", "k": 21}, "servers report 20 tokens a position at most"),
        (ENDPOINT, "collect.signals", {"kind": "top_k", "bits": 8}, "collect.signals.bits"),
        (SMALLEST, "collect.signals", {"kind": "none"}, None),
        (SMALLEST, "train.objective", {"kind": "forward_kl", "temperature": 2}, "take signals full"),
        (ENDPOINT, "collect.signals", {"kind": "sampled"}, "needs a local teacher"),
        (ENDPOINT, "student", {"kind": "pruned", "keep_layers": 2}, "with an endpoint take model or scratch"),
        (
            ENDPOINT,
            "train.objective",
            {"kind": "forward_kl"},
            "with an endpoint set collect.signals to {kind: top_k}, or take cross_entropy",
        ),
        (SMALLEST, "collect.mode", "batch", "collect.mode: batch: needs teacher.endpoint"),
        (SMALLEST, "collect.response_format", {"type": "object"}, "response_format: needs teacher.endpoint"),
        (SMALLEST, "prompts.tools", "tools", "prompts.tools: needs teacher.endpoint"),
    ],
)
def test_parts_that_do_not_fit_say_what_to_take_instead(
    data: dict[str, Any], dotted: str, value: Any, words: str | None
) -> None:
    changed = with_key(data, dotted, value)
    if words is None:
        stored = value["kind"] == "top_k"
        kind = recipe_from(changed, Path("/base"), "recipe.yaml").objective.kind
        assert kind == ("forward_kl" if stored else "cross_entropy")
    else:
        assert words in refusal(changed)


ACROSS = with_key(with_key(SMALLEST, "collect", {"signals": {"kind": "full"}}), "train", {"cross_tokenizer": True})
OTHER_MODEL = {"kind": "model", "model": "hub:a/b"}


@pytest.mark.parametrize(
    ("data", "changes", "words"),
    [
        (ACROSS, {"student": OTHER_MODEL}, None),
        (ACROSS, {}, "this student has the teacher's tokenizer"),
        (ACROSS, {"student": {"kind": "scratch", "config": {}}}, "this student has the teacher's tokenizer"),
        (ACROSS, {"student": OTHER_MODEL, "collect": {}}, "needs collect.signals {kind: full}"),
        (
            ACROSS,
            {"student": OTHER_MODEL, "train": {"cross_tokenizer": True, "objective": {"kind": "cross_entropy"}}},
            "{kind: forward_kl, temperature: 1.0} only",
        ),
        (
            ACROSS,
            {"student": OTHER_MODEL, "train": {"cross_tokenizer": True, "objective": {"temperature": 2.0}}},
            "{kind: forward_kl, temperature: 1.0} only",
        ),
        (ENDPOINT, {"train": {"cross_tokenizer": True}}, "with an endpoint leave it out"),
    ],
)
def test_what_cannot_be_had_across_tokenizers_says_why(
    data: dict[str, Any], changes: dict[str, Any], words: str | None
) -> None:
    if words is None:
        assert recipe_from({**data, **changes}, Path("/base"), "recipe.yaml").train.cross_tokenizer
    else:
        found = refusal({**data, **changes})
        assert "train.cross_tokenizer: true" in found
        assert words in found


def test_several_mistakes_count() -> None:
    assert "(and 1 more)" in refusal({**SMALLEST, "one": 1, "two": 2})


@given(
    st.text(min_size=1), st.sampled_from(["", "teacher", "use", "prompts", "collect", "student", "train", "evaluate"])
)
def test_an_unknown_key_is_never_dropped(key: str, section: str) -> None:
    known = Recipe.model_fields if not section else SECTION_KEYS[section]
    if key in known:
        return
    data = {**SMALLEST, key: 1} if not section else {**SMALLEST, section: {**SMALLEST.get(section, {}), key: 1}}
    with pytest.raises(RecipeError) as caught:
        recipe_from(data, Path("/base"), "recipe.yaml")
    assert "no such key" in str(caught.value)


SECTION_KEYS = {
    "teacher": {"model", "endpoint", "sha256", "license", "weight", "tags"},
    "use": {"purpose", "competes_with_teacher_provider", "distributed", "commercial", "permission", "more_permissions"},
    "prompts": {
        "source", "format", "field", "dataset_split", "job", "job_key", "tools", "tag", "system", "examples", "holdout",
        "split", "limit", "withdrawn", "grow", "license",
    },
    "collect": {
        "answers_per_prompt", "max_new_tokens", "temperature", "top_p", "seed", "batch_size", "signals", "budget_usd",
        "train_on_truncated", "mode", "batch", "tools", "tool_choice", "response_format",
    },
    "screen": {
        "refusals", "languages", "repeated_ngrams", "exact_duplicates", "near_duplicates", "json_schema",
        "contamination", "judge", "most_failed",
    },
    "student": {"kind", "keep_layers", "calibration_tokens", "lora"},
    "train": {
        "objective", "hidden_states", "on_policy", "tokens_per_batch", "tokens_per_micro_batch",
        "gradient_checkpointing", "epochs", "learning_rate",
        "warmup_fraction", "weight_decay", "betas", "max_grad_norm", "precision", "seed",
        "checkpoint_every_s", "cross_tokenizer",
    },
    "evaluate": {
        "judge", "task", "lm_eval", "baselines", "resamples", "speed_prompts", "speed_new_tokens", "seed",
        "speed_batch", "speed_batch_pairs", "price_per_hour_usd", "probes", "self_agreement", "margin",
    },
    "serving": {"usd_per_month", "price_per_million", "training_usd_per_hour", "months"},
}  # fmt: skip


def test_conditions() -> None:
    assert parse_condition("kl_nats", "<= 0.9") == Condition(figure="kl_nats", operator="<=", threshold=0.9)
    assert parse_condition("initial_student.top1_agreement", " >=  0.1").threshold == 0.1


def write(folder: Path, text: str) -> Path:
    path = folder / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", ":1: not valid YAML"),
        ("name: a\n  b: c\n", ":2: not valid YAML"),
        ("", "a recipe is a mapping"),
        ("- one\n", "a recipe is a mapping"),
        ("just words", "a recipe is a mapping"),
    ],
)
def test_a_file_that_holds_no_recipe(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    assert words in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="potstill init"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00name")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "binary.yaml")


def test_overrides_are_read_as_yaml(tmp_path: Path) -> None:
    path = write(tmp_path, yaml.safe_dump(SMALLEST))
    changes = ["train.epochs=7", "collect.signals={kind: full}", 'accept.kl_nats="<= 0.9"', "prompts.limit=null"]
    recipe = load_recipe(path, changes)
    assert recipe.train.epochs == 7
    assert recipe.signals.kind == "full"
    assert recipe.accept == {"kl_nats": "<= 0.9"}
    (tmp_path / "empty.yaml").write_text(yaml.safe_dump(SMALLEST | {"accept": None}))
    assert load_recipe(tmp_path / "empty.yaml", ['accept.kl_nats="<= 0.9"']).accept == {"kl_nats": "<= 0.9"}
    assert recipe.prompts.limit is None


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("train.epochs", "write it as a.b=c"),
        ("=3", "write it as a.b=c"),
        ("name.first=3", "name is not a section"),
        ("train.epochs=[", "not valid YAML"),
        ("train.epoch=3", "train.epoch"),
        ("train.epochs=many", "train.epochs"),
    ],
)
def test_a_wrong_override_is_one_line(tmp_path: Path, override: str, words: str) -> None:
    path = write(tmp_path, yaml.safe_dump(SMALLEST))
    with pytest.raises(RecipeError) as caught:
        load_recipe(path, [override])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_packaged_recipe_shows_every_key_with_its_default() -> None:
    path = Path(str(files("potstill") / "data" / "recipe.yaml"))
    shown = yaml.safe_load(path.read_text(encoding="utf-8"))
    loaded = load_recipe(path)
    needed = {name: shown[name] for name in ("name",)} | {
        "teacher": {"model": shown["teacher"]["model"]},
        "prompts": {"source": shown["prompts"]["source"]},
        "student": {"kind": shown["student"]["kind"], "keep_layers": shown["student"]["keep_layers"]},
    }
    assert loaded == recipe_from(needed, path.parent, str(path))
    for name in Recipe.model_fields:
        assert name in shown
        if isinstance(shown[name], dict) and name in SECTION_KEYS:
            assert set(shown[name]) == SECTION_KEYS[name]


def test_section_keys_of_this_test_are_those_of_the_recipe() -> None:
    for name, keys in SECTION_KEYS.items():
        if name != "student":
            field = Recipe.model_fields[name].annotation
            assert set(field.model_fields) == keys


@pytest.mark.parametrize("day", ["2026-01-31", "'2026-01-31'"])
def test_a_permissions_date_may_be_a_yaml_date_or_a_text(tmp_path: Path, day: str) -> None:
    text = yaml.safe_dump(SMALLEST) + f"use: {{permission: {{file: ok.pdf, granted_by: Example, date: {day}}}}}\n"
    permission = load_recipe(write(tmp_path, text)).use.permission
    assert permission is not None
    assert str(permission.date) == "2026-01-31"


def test_a_permissions_date_that_is_none_is_refused() -> None:
    broken = {"file": "ok.pdf", "granted_by": "Example", "date": "last spring"}
    assert "use.permission.date" in refusal(with_key(SMALLEST, "use.permission", broken))


@pytest.mark.parametrize(
    ("train", "signals", "words"),
    [
        ({"objective": {"kind": "jsd"}}, "sampled", "jsd needs whole distributions, and samples give only forward_kl"),
        ({"objective": {"kind": "jsd", "alpha": 0.2}}, "full", "jsd takes no alpha"),
        ({"objective": {"kind": "sum"}}, "full", "kind sum needs them"),
        ({"objective": {"kind": "forward_kl", "terms": [{"kind": "jsd"}]}}, "full", "no other kind takes them"),
        ({"hidden_states": {"weight": 1.0}}, "sampled", "train.hidden_states: needs the teacher beside the student"),
        ({"hidden_states": {"pairs": [[0, 1]]}}, "full", "counted from 1"),
        ({"on_policy": {"fraction": 0.5}}, "sampled", "train.on_policy: needs the teacher beside the student"),
        ({"on_policy": {}, "objective": {"kind": "cross_entropy"}}, "full", "would teach it nothing"),
    ],
)
def test_objectives_that_do_not_fit_their_signals(train: dict[str, Any], signals: str, words: str) -> None:
    assert words in refusal({**SMALLEST, "collect": {"signals": {"kind": signals}}, "train": train})


@pytest.mark.parametrize(
    ("train", "words"),
    [
        ({"objective": {"kind": "forward_kl"}}, "with train.on_policy and an endpoint take {kind: reverse_kl}"),
        ({"objective": {"kind": "cross_entropy"}}, "with train.on_policy and an endpoint take {kind: reverse_kl}"),
        (
            {"objective": {"kind": "sum", "terms": [{"kind": "reverse_kl"}, {"kind": "cross_entropy"}]}},
            "train.objective: sum needs more than a server's scores",
        ),
        ({"objective": {"kind": "reverse_kl", "temperature": 2.0}}, "train.objective.temperature: a server scores at"),
        ({"on_policy": {"temperature": 0.7}}, "train.on_policy.temperature: reverse KL from a server's scores"),
        ({"hidden_states": {}}, "train.hidden_states: needs the teacher beside the student"),
        ({"cross_tokenizer": True}, "train.cross_tokenizer: true needs a local teacher"),
        ({"on_policy": None, "objective": {"kind": "reverse_kl"}}, "take cross_entropy, or add train.on_policy"),
        ({"on_policy": None, "objective": {"kind": "jsd"}}, "jsd needs distributions; with an endpoint set collect.s"),
    ],
)
def test_what_a_served_teacher_cannot_score(train: dict[str, Any], words: str) -> None:
    assert words in refusal({**ENDPOINT, "train": {"on_policy": {"fraction": 0.5}, **train}})


def test_dropout_would_part_who_writes_from_who_learns() -> None:
    data = {**ENDPOINT, "train": {"on_policy": {}}, "student": {**ENDPOINT["student"], "lora": {"dropout": 0.1}}}
    assert "student.lora.dropout: with dropout" in refusal(data)


def test_a_served_teacher_scores_what_the_student_writes() -> None:
    data = {**ENDPOINT, "train": {"on_policy": {}}, "evaluate": {"baselines": ["fine_tuning"]}}
    served = recipe_from(data, Path("/base"), "recipe.yaml")
    assert served.scores_rollouts
    assert served.objective.kind == "reverse_kl"
    local = {**SMALLEST, "collect": {"signals": {"kind": "full"}}, "train": {"on_policy": {}}}
    assert not recipe_from(local, Path("/base"), "recipe.yaml").scores_rollouts


def test_an_objective_is_a_weighted_sum() -> None:
    terms = [{"kind": "forward_kl", "weight": 0.7}, {"kind": "cross_entropy", "weight": 0.3}]
    data = {**SMALLEST, "train": {"objective": {"kind": "sum", "terms": terms}}}
    objective = recipe_from(data, Path("/base"), "recipe.yaml").objective
    assert [(one.kind, one.weight) for one in objective.divergences] == [("forward_kl", 0.7)]
    assert objective.token_weight == 0.3
    alone = recipe_from(SMALLEST, Path("/base"), "recipe.yaml").objective
    assert [(one.kind, one.weight) for one in alone.parts] == [("forward_kl", 1.0)]
    assert alone.token_weight == 0


def test_what_is_asked_of_a_student() -> None:
    task = {"reference_field": "answer", "metrics": ["exact_match", "macro_f1"], "functions": [
        {"function": "own.py:politeness", "range": [0, 5]}, {"function": "own.py:mood", "range": [-1, 1]}]}  # fmt: skip

    def asked(**sections: Any) -> Asked:
        return recipe_from(SMALLEST | sections, Path("/"), "recipe.yaml").asked

    assert asked(accept={}) == Asked()
    given = asked(accept={"kl_nats": "<= 0.9", "chrf_again": ">= 40", "slices": {"retention.chrf_again": ">= 0.8"}})
    assert [(one.figure, one.operator, one.threshold) for one in given.conditions] == [
        ("kl_nats", "<=", 0.9), ("chrf_again", ">=", 40)
    ]  # fmt: skip
    assert [one.figure for one in given.floors] == ["retention.chrf_again"]
    assert not given.by_default
    plain = asked()
    assert plain.by_default
    assert [(one.figure, one.threshold) for one in plain.conditions] == [("retention.chrf_again", 0.97)]
    assert plain.floors == ()
    # A metric that can be negative has no retention, and of a slice there is accuracy where there is no macro-F1.
    tasked = asked(evaluate={"task": task, "margin": 0.05})
    assert [one.figure for one in tasked.conditions] == [
        "retention.exact_match", "retention.macro_f1", "retention.politeness"
    ]  # fmt: skip
    assert {one.threshold for one in tasked.conditions} == {0.95}
    assert [(one.figure, one.threshold) for one in tasked.floors] == [
        ("retention.exact_match", 0.85), ("retention.accuracy", 0.85), ("retention.politeness", 0.85)
    ]  # fmt: skip
    assert asked(evaluate={"margin": 0.5, "task": task}).floors[0].threshold == 0
