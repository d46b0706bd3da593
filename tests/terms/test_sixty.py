"""Real model names and endpoints with the verdict that each must get: the table that the gate is held against."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from potstill.config import Recipe, recipe_from
from potstill.terms import decide

GROQ, TOGETHER = "https://api.groq.com/openai/v1", "https://api.together.xyz/v1"
OPENROUTER, FIREWORKS = "https://openrouter.ai/api/v1", "https://api.fireworks.ai/inference/v1"
BEDROCK = "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1"
VERTEX = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1/endpoints/openapi"
AZURE, FOUNDRY = "https://acme.openai.azure.com/openai/v1", "https://acme.services.ai.azure.com/models"
NVIDIA, OLLAMA, VLLM = "https://integrate.api.nvidia.com/v1", "http://localhost:11434/v1", "http://10.1.2.3:8000/v1"
OPENAI, ANTHROPIC = "https://api.openai.com/v1", "https://api.anthropic.com/v1"

FREE, BOUND, COMPETING = "allowed", "conditional", "prohibited_if_competing"
BANNED, UNKNOWN = "prohibited", "unknown"
FITS = {"competes_with_teacher_provider": False, "distributed": False, "commercial": False}
QWEN_1_5 = {"kind": "model", "model": "hub:Qwen/Qwen1.5-0.5B"}


@dataclass(frozen=True)
class Row:
    """A teacher, the facts of the recipe, and what must come out: `asks` names the facts that are asked for."""

    name: str  # hub name, or the model at `at`
    verdict: str
    state: str  # cleared, stopped or asks
    rules: tuple[str, ...]  # ids that must be among the layers'
    at: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    student: dict[str, Any] | None = None
    license: str | None = None

    @property
    def label(self) -> str:
        """The row as the test's name."""
        host = self.at.split("/")[2] + "-" if self.at else ""
        return f"{host}{self.name}-{','.join(self.facts) or 'no facts'}"


NC = {"commercial": False}
WEIGHTS = [
    # Llama: 2 and 3 forbid other models, from 3.1 on the name and the notice are what is asked.
    Row("meta-llama/Llama-2-7b-chat-hf", BANNED, "stopped", ("llama2",), facts=FITS),
    Row(
        "meta-llama/Llama-2-70b-hf",
        BANNED,
        "cleared",
        ("llama2",),
        student={"kind": "model", "model": "hub:meta-llama/Llama-2-7b-hf"},
    ),
    Row("codellama/CodeLlama-34b-Instruct-hf", BANNED, "stopped", ("llama2",)),
    Row("meta-llama/Meta-Llama-3-8B-Instruct", BANNED, "stopped", ("llama3",), facts=FITS),
    Row("meta-llama/Meta-Llama-3.1-8B-Instruct", BOUND, "cleared", ("llama3.1",)),
    Row("meta-llama/Llama-3.1-405B-Instruct-FP8", BOUND, "cleared", ("llama3.1",)),
    Row("meta-llama/Llama-3.2-1B", BOUND, "cleared", ("llama3.2",)),
    Row("meta-llama/Llama-3.3-70B-Instruct", BOUND, "cleared", ("llama3.3",)),
    Row("meta-llama/Llama-4-Scout-17B-16E-Instruct", BOUND, "cleared", ("llama4",)),
    Row("meta-llama/Llama-Guard-3-8B", BOUND, "cleared", ("llama3.1",)),
    # Qwen: three licences in one generation, by size.
    Row("Qwen/Qwen2.5-7B-Instruct", FREE, "cleared", ("qwen-apache",)),
    Row("Qwen/Qwen2.5-72B-Instruct", BOUND, "cleared", ("qwen-license-2024",)),
    Row("Qwen/Qwen2.5-3B-Instruct", BOUND, "asks", ("qwen-research-license",)),
    Row("Qwen/Qwen2.5-3B-Instruct", BOUND, "cleared", ("qwen-research-license",), facts=NC),
    Row("Qwen/Qwen2.5-3B", BOUND, "stopped", ("qwen-research-license",), facts={"commercial": True}),
    Row("Qwen/Qwen2.5-Coder-7B-Instruct", FREE, "cleared", ("qwen2.5-coder-math-apache",)),
    Row("Qwen/Qwen2.5-Coder-3B", BOUND, "asks", ("qwen-research-license",)),
    Row("Qwen/Qwen3-235B-A22B", FREE, "cleared", ("qwen-apache",)),
    Row("Qwen/Qwen-72B-Chat", BANNED, "stopped", ("tongyi-qianwen-2023",)),
    Row("Qwen/Qwen1.5-110B-Chat", BANNED, "cleared", ("tongyi-qianwen-2023",), student=QWEN_1_5),
    Row("Qwen/Qwen2-72B-Instruct", BANNED, "stopped", ("tongyi-qianwen-2023",)),
    # DeepSeek, and what it distilled into other makers' weights.
    Row("deepseek-ai/DeepSeek-R1", FREE, "cleared", ("deepseek-mit",)),
    Row("deepseek-ai/DeepSeek-V3", BOUND, "cleared", ("deepseek-license-1.0",)),
    Row("deepseek-ai/DeepSeek-V3.1", FREE, "cleared", ("deepseek-mit",)),
    Row("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", BOUND, "cleared", ("llama3.1",), license="mit"),
    Row("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", BOUND, "cleared", ("llama3.3",)),
    Row("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", FREE, "cleared", ("deepseek-r1-distill-qwen", "qwen-apache")),
    Row("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B", FREE, "cleared", ("deepseek-mit", "qwen-apache")),
    # Gemma: 1 to 3 have terms of their own, 4 is Apache.
    Row("google/gemma-7b-it", BOUND, "cleared", ("gemma-terms",)),
    Row("google/gemma-2-9b-it", BOUND, "cleared", ("gemma-terms",)),
    Row("google/gemma-3-27b-it", BOUND, "cleared", ("gemma-terms",)),
    Row("google/gemma-4-31b-it", FREE, "cleared", ("gemma4-apache",)),
    # GLM, Mistral, Cohere and others whose families have more than one licence.
    Row("THUDM/glm-4-9b-chat", BOUND, "cleared", ("glm-4-9b-license",)),
    Row("THUDM/GLM-4-9B-0414", FREE, "cleared", ("glm-mit",)),
    Row("zai-org/GLM-4.5-Air", FREE, "cleared", ("glm-mit",)),
    Row("mistralai/Mistral-7B-Instruct-v0.3", FREE, "cleared", ("mistral-apache",)),
    Row("mistralai/Mixtral-8x7B-Instruct-v0.1", FREE, "cleared", ("mistral-apache",)),
    Row("mistralai/Mistral-Large-Instruct-2411", BOUND, "asks", ("mistral-mrl-0.1",)),
    Row("mistralai/Codestral-22B-v0.1", BOUND, "stopped", ("mistral-mnpl-0.1",), facts={"commercial": True}),
    Row("CohereLabs/c4ai-command-a-03-2025", BOUND, "cleared", ("cohere-labs-cc-by-nc",), facts=NC),
    Row("microsoft/Phi-4-mini-instruct", FREE, "cleared", ("phi-mit",)),
    Row("openai/gpt-oss-120b", FREE, "cleared", ("gpt-oss-apache",)),
    Row("xai-org/grok-2", BANNED, "stopped", ("xai-community-license-grok2",), facts=FITS),
    Row("moonshotai/Kimi-K2-Instruct", BOUND, "cleared", ("kimi-k2-modified-mit",)),
    Row("nvidia/Llama-3.1-Nemotron-70B-Instruct-HF", BOUND, "cleared", ("nvidia-llama-nemotron", "llama3.1")),
    Row("LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct", BANNED, "stopped", ("exaone-1.1-nc",), facts=FITS),
    Row("HuggingFaceTB/SmolLM2-135M-Instruct", FREE, "cleared", ("apache-2.0",)),
]
DERIVED = [
    # A tune's own licence is asked for; what its name carries counts whatever that licence says.
    Row("NousResearch/Hermes-3-Llama-3.1-8B", UNKNOWN, "stopped", ("none", "llama3.1")),
    Row("NousResearch/Hermes-3-Llama-3.1-8B", BOUND, "cleared", ("llama3.1",), license="llama3.1"),
    Row("NousResearch/Hermes-2-Pro-Llama-3-8B", BANNED, "stopped", ("llama3",), license="apache-2.0"),
    Row("teknium/OpenHermes-2.5-Mistral-7B", FREE, "cleared", ("apache-2.0", "mistral-apache"), license="apache-2.0"),
    Row("HuggingFaceH4/zephyr-7b-beta", FREE, "cleared", ("mit", "mistral-apache"), license="mit"),
    Row("lmsys/vicuna-7b-v1.5", BANNED, "stopped", ("llama2",), license="apache-2.0"),
    Row(
        "cognitivecomputations/dolphin-2.9.2-qwen2-72b",
        BANNED,
        "stopped",
        ("tongyi-qianwen-2023",),
        license="apache-2.0",
    ),
    Row("Nexusflow/Athene-V2-Chat", BOUND, "cleared", ("qwen-license-2024",), license="apache-2.0"),
    Row("arcee-ai/Llama-3.1-SuperNova-Lite", BOUND, "cleared", ("llama3.1",), license="apache-2.0"),
    # Copies in other formats are what they are copies of.
    Row("unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit", BOUND, "cleared", ("llama3.1",)),
    Row("QuantFactory/Meta-Llama-3-8B-Instruct-GGUF", BANNED, "stopped", ("llama3",)),
    Row("bartowski/Qwen2.5-3B-Instruct-GGUF", BOUND, "asks", ("qwen-research-license",)),
    Row("mlx-community/gemma-2-9b-it-4bit", BOUND, "cleared", ("gemma-terms",)),
    Row("unsloth/DeepSeek-R1-Distill-Llama-8B-GGUF", BOUND, "cleared", ("deepseek-r1-distill-llama", "llama3.1")),
    # Names that only sound alike carry nothing.
    Row("TinyLlama/TinyLlama-1.1B-Chat-v1.0", UNKNOWN, "stopped", ("none",)),
    Row("TinyLlama/TinyLlama-1.1B-Chat-v1.0", FREE, "cleared", ("apache-2.0",), license="apache-2.0"),
    Row("openlm-research/open_llama_3b_v2", FREE, "cleared", ("apache-2.0",), license="apache-2.0"),
    Row("huggyllama/llama-7b", UNKNOWN, "stopped", ("none",)),
]
SERVED = [
    Row("gpt-4o-mini", COMPETING, "asks", ("openai-services-agreement",), at=OPENAI),
    Row("gpt-4o-mini", COMPETING, "cleared", ("openai-services-agreement",), at=OPENAI, facts=FITS),
    Row("gpt-4o-mini", COMPETING, "stopped", ("openai-services-agreement",), at=OPENAI,
        facts={"competes_with_teacher_provider": True, "distributed": False}),
    Row("claude-sonnet-4-5", BANNED, "stopped", ("anthropic-usage-policy",), at=ANTHROPIC, facts=FITS),
    Row("gemini-2.5-flash", COMPETING, "asks", ("google-gemini-api-terms",),
        at="https://generativelanguage.googleapis.com/v1beta/openai"),
    Row("grok-4", BANNED, "stopped", ("xai-aup", "xai-enterprise-terms"), at="https://api.x.ai/v1", facts=FITS),
    Row("mistral-large-latest", BOUND, "cleared", ("mistral-commercial-terms",), at="https://api.mistral.ai/v1"),
    Row("deepseek-reasoner", FREE, "cleared", ("deepseek-open-platform-terms",), at="https://api.deepseek.com"),
    Row("command-r-plus", UNKNOWN, "stopped", ("cohere-terms",), at="https://api.cohere.ai/compatibility/v1"),
    Row("kimi-k2-0905-preview", UNKNOWN, "stopped", ("moonshot-openplatform",), at="https://api.moonshot.ai/v1"),
    Row("qwen-max", UNKNOWN, "stopped", ("alibaba-model-studio",),
        at="https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    # Aggregators: their terms and the model's.
    Row("meta-llama/llama-3.1-8b-instruct:free", BOUND, "cleared", ("openrouter-terms", "llama3.1"), at=OPENROUTER),
    Row("meta-llama/llama-3-70b-instruct", BANNED, "stopped", ("openrouter-terms", "llama3"), at=OPENROUTER),
    Row("anthropic/claude-opus-4.1", BANNED, "stopped", ("openrouter-terms", "anthropic-usage-policy"), at=OPENROUTER,
        facts=FITS),
    Row("openai/gpt-4.1", COMPETING, "cleared", ("openrouter-terms", "openai-services-agreement"), at=OPENROUTER,
        facts=FITS),
    Row("openai/gpt-oss-20b", BOUND, "cleared", ("openrouter-terms", "gpt-oss-apache"), at=OPENROUTER),
    Row("qwen/qwen-2.5-72b-instruct", BOUND, "cleared", ("openrouter-terms", "qwen-license-2024"), at=OPENROUTER),
    Row("qwen/qwen-2.5-7b-instruct", BOUND, "cleared", ("openrouter-terms", "qwen-apache"), at=OPENROUTER),
    Row("qwen/qwen3-max", UNKNOWN, "stopped", ("openrouter-terms", "alibaba-model-studio"), at=OPENROUTER),
    Row("deepseek/deepseek-r1-distill-llama-70b", BOUND, "cleared", ("openrouter-terms", "llama3.3"), at=OPENROUTER),
    Row("google/gemma-3-27b-it", BOUND, "cleared", ("openrouter-terms", "gemma-terms"), at=OPENROUTER),
    Row("x-ai/grok-4-fast", BANNED, "stopped", ("openrouter-terms", "xai-aup"), at=OPENROUTER, facts=FITS),
    Row("nousresearch/hermes-3-llama-3.1-405b", UNKNOWN, "stopped", ("openrouter-terms", "none", "llama3.1"),
        at=OPENROUTER),
    Row("openrouter/auto", UNKNOWN, "stopped", ("openrouter-terms", "none"), at=OPENROUTER),
    Row("meta-llama/Llama-3.3-70B-Instruct-Turbo", BOUND, "cleared", ("together-terms", "llama3.3"), at=TOGETHER),
    Row("Qwen/Qwen2.5-72B-Instruct-Turbo", BOUND, "cleared", ("together-terms", "qwen-license-2024"), at=TOGETHER),
    Row("deepseek-ai/DeepSeek-V3", BOUND, "cleared", ("together-terms", "deepseek-license-1.0"), at=TOGETHER),
    Row("accounts/fireworks/models/llama-v3p1-8b-instruct", BOUND, "cleared", ("fireworks-terms", "llama3.1"),
        at=FIREWORKS),
    Row("accounts/fireworks/models/llama-v3-70b-instruct", BANNED, "stopped", ("fireworks-terms", "llama3"),
        at=FIREWORKS),
    Row("accounts/fireworks/models/qwen2p5-72b-instruct", BOUND, "cleared", ("fireworks-terms", "qwen-license-2024"),
        at=FIREWORKS),
    # Services that no rule describes stop, and still show what the model itself asks.
    Row("llama-3.3-70b-versatile", UNKNOWN, "stopped", ("none", "llama3.3"), at=GROQ, license="llama3.3"),
    Row("meta/llama-3.1-70b-instruct", UNKNOWN, "stopped", ("none", "llama3.1"), at=NVIDIA),
    # Clouds.
    Row("anthropic.claude-3-5-sonnet-20241022-v2:0", BANNED, "stopped", ("anthropic-usage-policy",), at=BEDROCK,
        facts=FITS),
    Row("us.meta.llama3-1-70b-instruct-v1:0", COMPETING, "cleared", ("aws-service-terms-bedrock", "llama3.1"),
        at=BEDROCK, facts=FITS),
    Row("meta.llama3-8b-instruct-v1:0", BANNED, "stopped", ("aws-service-terms-bedrock", "llama3"), at=BEDROCK,
        facts=FITS),
    Row("amazon.nova-pro-v1:0", COMPETING, "asks", ("aws-service-terms-bedrock",), at=BEDROCK),
    Row("us.deepseek.r1-v1:0", COMPETING, "cleared", ("aws-service-terms-bedrock", "deepseek-mit"), at=BEDROCK,
        facts=FITS),
    Row("arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.meta.llama3-3-70b-instruct-v1:0", COMPETING,
        "cleared", ("aws-service-terms-bedrock", "llama3.3"), at=BEDROCK, facts=FITS),
    Row("openai.gpt-oss-120b-1:0", COMPETING, "cleared", ("aws-service-terms-bedrock", "gpt-oss-apache"), at=BEDROCK,
        facts=FITS),
    Row("ai21.jamba-1-5-large-v1:0", COMPETING, "cleared", ("aws-service-terms-bedrock", "ai21-terms"), at=BEDROCK,
        facts=FITS),
    Row("cohere.command-r-plus-v1:0", UNKNOWN, "stopped", ("aws-service-terms-bedrock", "cohere-terms"), at=BEDROCK,
        facts=FITS),
    Row("gpt-4o", COMPETING, "cleared", ("azure-product-terms",), at=AZURE, facts=FITS),
    Row("our-deployment", COMPETING, "stopped", ("azure-product-terms",), at=AZURE,
        facts={"competes_with_teacher_provider": True}),
    Row("Llama-3.3-70B-Instruct", COMPETING, "cleared", ("azure-product-terms", "llama3.3"), at=FOUNDRY, facts=FITS),
    Row("google/gemini-2.5-pro", UNKNOWN, "stopped", ("google-cloud-vertex-terms",), at=VERTEX, facts=FITS),
    Row("meta/llama-3.1-405b-instruct-maas", UNKNOWN, "stopped", ("none", "llama3.1"), at=VERTEX, facts=FITS),
    # One's own servers: the model alone binds, under whatever name.
    Row("llama3.1:8b", BOUND, "cleared", ("llama3.1",), at=OLLAMA),
    Row("llama3:8b", BANNED, "stopped", ("llama3",), at=OLLAMA),
    Row("qwen2.5:72b", BOUND, "cleared", ("qwen-license-2024",), at=OLLAMA),
    Row("qwen2.5:3b", BOUND, "asks", ("qwen-research-license",), at=OLLAMA),
    Row("gemma3:4b", BOUND, "cleared", ("gemma-terms",), at=OLLAMA),
    Row("deepseek-r1:8b", BOUND, "cleared", ("deepseek-mit", "llama3.1", "qwen-apache"), at=OLLAMA),
    Row("qwen2.5:latest", UNKNOWN, "stopped", ("none",), at=OLLAMA),
    Row("Qwen/Qwen3-32B", FREE, "cleared", ("qwen-apache",), at=VLLM),
    Row("claude-sonnet-4-5", BANNED, "stopped", ("anthropic-usage-policy",), at="http://localhost:4000"),
    Row("bedrock/us.anthropic.claude-opus-4-v1:0", BANNED, "stopped",
        ("anthropic-usage-policy", "aws-service-terms-bedrock"), at="http://localhost:4000"),
]  # fmt: skip


def recipe(row: Row, base: Path = Path("/nowhere"), model: str | None = None) -> Recipe:
    teacher: dict[str, Any] = {"model": model or f"hub:{row.name}"}
    if row.at is not None:
        teacher = {"endpoint": {"base_url": row.at, "model": row.name}}
    if row.license is not None:
        teacher["license"] = row.license
    data = {
        "name": "glossary",
        "teacher": teacher,
        "use": row.facts,
        "prompts": {"source": "prompts.jsonl"},
        "student": row.student or {"kind": "model", "model": "hub:somebody/small"},
    }
    return recipe_from(data, base, "recipe.yaml")


def check(row: Row, asked: Recipe) -> None:
    decision = decide(asked)
    asks = decision.remedy.startswith("Give use.")  # and nothing stands in the way that no fact could lift
    state = "cleared" if decision.cleared else "asks" if asks else "stopped"
    assert (decision.verdict, state) == (row.verdict, row.state), decision.message
    layers = {rule for _, rule, _ in decision.layers}
    assert set(row.rules) <= layers, decision.layers
    assert decision.rule in layers
    if state == "asks":
        assert decision.missing_facts
        assert all(fact in decision.remedy for fact in decision.missing_facts)
    elif state == "stopped":
        assert decision.remedy
    if len(decision.layers) > 1:
        assert all(name in decision.message for name, _, _ in decision.layers)


@pytest.mark.parametrize("row", [*WEIGHTS, *DERIVED, *SERVED], ids=lambda row: row.label)
def test_a_real_name_gets_its_verdict(row: Row) -> None:
    check(row, recipe(row))


def test_no_row_takes_long_and_none_loads_torch() -> None:
    for row in (*WEIGHTS, *DERIVED, *SERVED):
        asked, seconds = recipe(row), []
        for _ in range(3):
            started = time.process_time()
            decide(asked)
            seconds.append(time.process_time() - started)
        assert min(seconds) < 0.05, row.label
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import test_sixty as t; [t.decide(t.recipe(row)) for row in "
        "(*t.WEIGHTS, *t.DERIVED, *t.SERVED)]; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(Path(__file__).parent)], check=False)
    assert done.returncode == 0


def test_the_table_has_sixty_names_and_more() -> None:
    rows = [*WEIGHTS, *DERIVED, *SERVED]
    assert len({(row.at, row.name) for row in rows}) >= 60
    assert {row.state for row in rows} == {"cleared", "stopped", "asks"}
    assert {row.verdict for row in rows} == {FREE, BOUND, COMPETING, BANNED, UNKNOWN}


FOLDERS = [
    # Front matter and configs as the repositories of these names have them.
    (Row("DeepSeek-R1-Distill-Llama-8B", BOUND, "cleared", ("mit", "llama3.1")),
     "license: mit", {"vocab_size": 128256}),
    (Row("zephyr-7b-beta", FREE, "cleared", ("mit", "mistral-apache")),
     "license: mit\nbase_model: mistralai/Mistral-7B-v0.1", {}),
    (Row("Hermes-3-Llama-3.1-8B", BOUND, "cleared", ("llama3.1",)),
     "license: llama3.1\nbase_model: meta-llama/Meta-Llama-3.1-8B", {}),
    (Row("my-tune", BANNED, "stopped", ("apache-2.0", "llama2")),
     "license: apache-2.0\nbase_model: meta-llama/Llama-2-13b-hf", {}),
    (Row("qwen-coder", BOUND, "cleared", ("qwen-research-license",), facts=NC),
     "license: other\nlicense_name: qwen-research", {}),
    (Row("research-model", BOUND, "stopped", ("cc-by-nc-4.0",), facts={"commercial": True}),
     "license: cc-by-nc-4.0", {}),
    (Row("merged", BOUND, "cleared", ("apache-2.0", "gemma-terms", "qwen-apache")),
     "license: apache-2.0\nbase_model: [google/gemma-2-9b-it, Qwen/Qwen2.5-7B]\nbase_model_relation: merge", {}),
    (Row("quantised", BANNED, "stopped", ("apache-2.0", "llama3")),
     "license: apache-2.0\nbase_model: meta-llama/Meta-Llama-3-8B\nbase_model_relation: quantized", {}),
    (Row("nameless", UNKNOWN, "stopped", ("none",)), "tags: [text-generation]", {}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "front", "config"), FOLDERS, ids=[row.name for row, _, _ in FOLDERS])
def test_a_folder_of_a_real_model_gets_its_verdict(
    tmp_path: Path, row: Row, front: str, config: dict[str, Any]
) -> None:
    folder = tmp_path / row.name
    folder.mkdir()
    (folder / "README.md").write_text(f"---\n{front}\n---\n# {row.name}\n")
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", **config}))
    check(row, recipe(row, tmp_path, f"path:{row.name}"))
