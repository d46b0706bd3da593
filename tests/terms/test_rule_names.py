"""For every rule a name that it must fit, and one that looks alike and must not: what a change of a pattern breaks."""

import pytest

from potstill.terms.rules import fits, matching, rules

# Names as the hub, providers and cards write them.
FITS: dict[str, tuple[str, ...]] = {
    "yi-apache": ("01-ai/Yi-34B-Chat", "01-ai/Yi-1.5-9B"),
    "ai21-terms": ("ai21:jamba-large-1.7", "ai21:jamba-mini"),
    "jamba-open-model": ("ai21labs/AI21-Jamba-Large-1.6", "ai21labs/AI21-Jamba-Mini-1.7"),
    "anthropic-commercial-terms": ("anthropic:claude-sonnet-4-5", "anthropic:claude-3-5-haiku-latest"),
    "anthropic-usage-policy": (
        "anthropic:claude-opus-4-1",
        "bedrock:anthropic.claude-3-5-sonnet-20241022-v2:0",
        "vertex:claude-sonnet-4@20250514",
    ),
    "anthropic-consumer-terms": ("claude-web:claude-sonnet-4-5",),
    "aws-service-terms-bedrock": ("bedrock:amazon.nova-pro-v1:0", "bedrock:meta.llama3-1-70b-instruct-v1:0"),
    "cohere-terms": ("cohere:command-a-03-2025", "cohere:command-r-plus"),
    "cohere-labs-cc-by-nc": (
        "CohereLabs/c4ai-command-r7b-12-2024",
        "CohereForAI/aya-expanse-8b",
        "cohere/c4ai-command-a-03-2025",
    ),
    "dbrx-open-model": ("databricks/dbrx-instruct", "databricks/dbrx-base"),
    "deepseek-open-platform-terms": ("deepseek:deepseek-chat", "deepseek:deepseek-reasoner"),
    "deepseek-terms-of-use": ("deepseek-chat-web:deepseek-v3.2",),
    "deepseek-mit": (
        "deepseek-ai/DeepSeek-R1",
        "deepseek-ai/DeepSeek-R1-0528",
        "deepseek-ai/DeepSeek-V3-0324",
        "deepseek-ai/DeepSeek-V3.1-Terminus",
        "deepseek-ai/DeepSeek-V3.2-Exp",
    ),
    "deepseek-r1-distill-llama": (
        "deepseek-ai/DeepSeek-R1-Distill-Llama-8B",
        "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
    ),
    "deepseek-license-1.0": (
        "deepseek-ai/DeepSeek-V3",
        "deepseek-ai/DeepSeek-V2.5",
        "deepseek-ai/deepseek-llm-67b-chat",
        "deepseek-ai/deepseek-coder-33b-instruct",
        "license:deepseek",
    ),
    "fireworks-terms": ("fireworks:accounts/fireworks/models/llama-v3p1-8b-instruct",),
    "google-gemini-api-terms": ("gemini:gemini-2.5-pro", "google-ai-studio:gemini-2.5-flash"),
    "google-tos-consumer": ("gemini-app:gemini-2.5-pro",),
    "google-cloud-vertex-terms": ("vertex:gemini-2.5-flash-001",),
    "gemma-terms": (
        "google/gemma-2b-it",
        "google/gemma-7b",
        "google/gemma-2-27b-it",
        "google/gemma-3-12b-it",
        "google/gemma-3n-E4B-it",
        "google/codegemma-7b-it",
        "license:gemma",
        "google/gemma-1.1-7b-it",
    ),
    "gemma4-apache": ("google/gemma-4-31b-it",),
    "granite-apache": ("ibm-granite/granite-3.3-8b-instruct", "ibm-granite/granite-4.0-h-small"),
    "exaone-1.1-nc": ("LGAI-EXAONE/EXAONE-3.5-7.8B-Instruct", "LGAI-EXAONE/EXAONE-Deep-32B"),
    "llama2": (
        "meta-llama/Llama-2-7b-chat-hf",
        "license:llama2",
        "codellama/CodeLlama-7b-hf",
        "meta-llama/CodeLlama-70b-hf",
    ),
    "llama3": ("meta-llama/Meta-Llama-3-70B-Instruct", "license:llama3"),
    "llama3.1": (
        "meta-llama/Llama-3.1-8B-Instruct",
        "meta-llama/Meta-Llama-3.1-405B",
        "license:llama3.1",
        "meta-llama/Llama-Guard-3-8B",
    ),
    "llama3.2": (
        "meta-llama/Llama-3.2-1B",
        "meta-llama/Llama-3.2-11B-Vision-Instruct",
        "license:llama3.2",
        "meta-llama/Llama-Guard-3-1B",
        "meta-llama/Llama-Guard-3-11B-Vision",
    ),
    "llama3.3": ("meta-llama/Llama-3.3-70B-Instruct", "license:llama3.3"),
    "llama4": ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "license:llama4"),
    "meta-model-api": ("meta-model-api:Llama-4-Maverick-17B-128E-Instruct-FP8",),
    "phi-mit": ("microsoft/phi-4", "microsoft/Phi-3.5-mini-instruct"),
    "azure-product-terms": ("azure-openai:gpt-4.1", "azure-foundry:Mistral-Large-3"),
    "minimax-m2.5-modified-mit": ("MiniMaxAI/MiniMax-M2.5",),
    "mistral-commercial-terms": ("mistral:mistral-large-latest", "mistral:codestral-2508"),
    "mistral-le-chat-terms": ("lechat:mistral-medium",),
    "mistral-mnpl-0.1": ("mistralai/Codestral-22B-v0.1",),
    "mistral-mrl-0.1": (
        "mistralai/Mistral-Large-Instruct-2411",
        "mistralai/Mistral-Small-Instruct-2409",
        "mistralai/Ministral-8B-Instruct-2410",
        "mistralai/Pixtral-Large-Instruct-2411",
    ),
    "kimi-k2-modified-mit": ("moonshotai/Kimi-K2-Instruct-0905", "moonshotai/Kimi-K2.5"),
    "kimi-k3": ("moonshotai/Kimi-K3",),
    "moonshot-openplatform": ("moonshot:kimi-k2-0905-preview",),
    "kimi-consumer": ("kimi-web:kimi-k2",),
    "hyperclova-x-seed": ("naver-hyperclovax/HyperCLOVAX-SEED-Text-Instruct-1.5B",),
    "nvidia-open-model": (
        "nvidia/Nemotron-4-340B-Instruct",
        "nvidia/Nemotron-H-8B-Base-8K",
        "license:nvidia-open-model-license",
    ),
    "nvidia-nemotron-open": ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16",),
    "nvidia-data-training-2025": ("dataset:nvidia/Nemotron-Pretraining-Dataset-sample",),
    "nvidia-llama-nemotron": (
        "nvidia/Llama-3_1-Nemotron-51B-Instruct",
        "nvidia/Llama-3.1-Nemotron-70B-Instruct-HF",
        "nvidia/Llama-3_3-Nemotron-Super-49B-v1",
    ),
    "openmdw-1.0": ("license:openmdw", "license:openmdw-1.0"),
    "cc-by-nc-4.0": ("license:cc-by-nc-4.0", "license:CC-BY-NC-4.0"),
    "apache-2.0": ("license:apache-2.0", "license:Apache-2.0"),
    "mit": ("license:mit", "license:MIT"),
    "openai-services-agreement": (
        "openai:gpt-4.1-mini",
        "openai:o1-pro",
        "openai:o3",
        "openai:o4-mini",
        "openai:chatgpt-4o-latest",
    ),
    "openai-terms-of-use-consumer": ("chatgpt-web:gpt-5",),
    "gpt-oss-apache": ("openai/gpt-oss-120b", "openai/gpt-oss-20b"),
    "bigscience-openrail-m": ("bigscience/bloom-7b1", "license:bigscience-openrail-m"),
    "bigcode-openrail-m-v1": ("bigcode/starcoder2-15b", "license:bigcode-openrail-m"),
    "openrouter-terms": ("openrouter:meta-llama/llama-3.1-70b-instruct",),
    "qwen-apache": (
        "Qwen/Qwen3-8B",
        "Qwen/Qwen2.5-0.5B-Instruct",
        "Qwen/Qwen2.5-1.5B",
        "Qwen/Qwen2.5-7B-Instruct",
        "Qwen/Qwen2.5-14B-Instruct-1M",
        "Qwen/Qwen2.5-32B",
        "Qwen/QwQ-32B",
    ),
    "qwen-license-2024": ("Qwen/Qwen2.5-72B-Instruct", "Qwen/Qwen2.5-VL-72B-Instruct", "license:qwen"),
    "qwen-research-license": ("Qwen/Qwen2.5-3B-Instruct", "Qwen/Qwen2.5-Coder-3B", "license:qwen-research"),
    "tongyi-qianwen-2023": (
        "Qwen/Qwen-7B-Chat",
        "Qwen/Qwen-14B",
        "Qwen/Qwen-72B",
        "Qwen/Qwen1.5-110B-Chat",
        "Qwen/Qwen2-72B-Instruct",
        "license:tongyi-qianwen-research",
    ),
    "qwen-studio-terms": ("qwen-chat-web:qwen3-max",),
    "alibaba-model-studio": ("dashscope:qwen-max", "dashscope:qwen3-coder-plus"),
    "stability-community": ("stabilityai/stablelm-2-12b-chat",),
    "hunyuan-community": ("tencent/Hunyuan-7B-Instruct", "tencent/Tencent-Hunyuan-Large"),
    "falcon2-tii": ("tiiuae/falcon-11B", "tiiuae/Falcon3-10B-Instruct", "tiiuae/falcon-mamba-7b"),
    "falcon-40b-apache": ("tiiuae/falcon-7b-instruct", "tiiuae/falcon-40b"),
    "together-terms": ("together:meta-llama/Llama-3.3-70B-Instruct-Turbo",),
    "xai-enterprise-terms": ("xai:grok-4",),
    "xai-aup": ("xai:grok-4", "xai:image-model", "grok-web:grok-4"),
    "xai-community-license-grok2": ("xai-org/grok-2",),
    "glm-mit": (
        "zai-org/GLM-4.5-Air",
        "zai-org/GLM-4.6",
        "zai-org/GLM-4.7",
        "zai-org/GLM-5",
        "THUDM/GLM-4-9B-0414",
        "THUDM/GLM-4-32B-0414",
        "zai-org/GLM-4-9B-0414",
        "zai-org/GLM-4-32B-0414",
    ),
    "glm-4-9b-license": ("THUDM/glm-4-9b-chat", "THUDM/glm-4-9b", "THUDM/glm-4v-9b", "zai-org/glm-4-9b-chat-hf"),
    "deepseek-r1-distill-qwen": tuple(
        f"deepseek-ai/DeepSeek-R1-Distill-Qwen-{size}" for size in ("1.5B", "7B", "14B", "32B")
    ),
    "mistral-apache": (
        "mistralai/Mistral-7B-Instruct-v0.3",
        "mistralai/Mixtral-8x7B-Instruct-v0.1",
        "mistralai/Mixtral-8x22B-v0.1",
        "mistralai/Mistral-Nemo-Instruct-2407",
        "mistralai/Mistral-Small-24B-Instruct-2501",
        "mistralai/Mistral-Small-3.2-24B-Instruct-2506",
    ),
    "qwen2.5-coder-math-apache": (
        *(f"Qwen/Qwen2.5-Coder-{size}-Instruct" for size in ("0.5B", "1.5B", "7B", "14B", "32B")),
        *(f"Qwen/Qwen2.5-Math-{size}" for size in ("1.5B", "7B")),
        *(f"Qwen/Qwen2-{size}-Instruct" for size in ("0.5B", "1.5B", "7B")),
    ),
    "cc0-1.0": ("license:cc0-1.0",),
    "cc-by-4.0": ("license:CC-BY-4.0",),
    "cc-by-sa-4.0": ("license:cc-by-sa-4.0",),
    "cc-by-earlier": tuple(f"license:cc-by-{version}" for version in ("1.0", "2.0", "2.5", "3.0")),
    "cc-by-sa-earlier": tuple(f"license:cc-by-sa-{version}" for version in ("1.0", "2.0", "2.5", "3.0")),
    "cc-by-nc-earlier": tuple(f"license:cc-by-nc-{version}" for version in ("1.0", "2.0", "2.5", "3.0")),
    "cc-by-nc-sa": ("license:cc-by-nc-sa-4.0",),
    "cc-by-nd": ("license:cc-by-nd-4.0",),
    "cc-by-nc-nd": ("license:cc-by-nc-nd-3.0",),
    "odc-by-1.0": ("license:odc-by",),
    "odbl-1.0": ("license:odbl",),
    "pddl": ("license:pddl",),
    "cdla-permissive": ("license:cdla-permissive-2.0",),
    "bsd": ("license:bsd", "license:bsd-2-clause", "license:bsd-3-clause"),
    "research-only": (
        "license:research-only",
        "license:acme-research-only",
        "license:research-use-only",
        "license:academic-use",
        "license:acme-academic",
        "license:h-research",
        "license:intel-research",
        "license:apple-amlr",
        "license:fair-noncommercial-research-license",
    ),
}

# A name that one takes for the rule's, and all the rules that it has instead.
TRAPS: dict[str, tuple[tuple[str, tuple[str, ...]], ...]] = {
    "yi-apache": (("01-ai/Yi", ()), ("someone/Yi-34B", ())),
    "ai21-terms": (("ai21labs/jamba-large", ()), ("ai21:j2-ultra", ())),
    "jamba-open-model": (("ai21labs/Jamba-v0.1", ()),),  # an earlier one, under Apache-2.0
    "anthropic-commercial-terms": (("bedrock:anthropic.claude-v2", ("anthropic-usage-policy",
                                                                   "aws-service-terms-bedrock")),),
    "anthropic-usage-policy": (("claude-web:claude-opus-4-1", ("anthropic-consumer-terms",)),),
    "anthropic-consumer-terms": (("anthropic:claude-opus-4-1", ("anthropic-commercial-terms",
                                                                "anthropic-usage-policy")),),
    "aws-service-terms-bedrock": (("bedrock-like:amazon.nova-pro-v1:0", ()), ("amazon/chronos-t5-small", ())),
    "cohere-terms": (("cohere/command-r", ()),),
    "cohere-labs-cc-by-nc": (("cohere/command-r", ()), ("cohere:command-r", ("cohere-terms",))),
    "dbrx-open-model": (("databricks/dolly-v2-12b", ()),),
    "deepseek-open-platform-terms": (("deepseek-chat-web:deepseek-chat", ("deepseek-terms-of-use",)),),
    "deepseek-terms-of-use": (("deepseek:deepseek-chat", ("deepseek-open-platform-terms",)),),
    "deepseek-mit": (
        ("deepseek-ai/DeepSeek-V3", ("deepseek-license-1.0",)),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", ("deepseek-r1-distill-llama",)),
    ),
    "deepseek-r1-distill-llama": (
        ("deepseek-ai/DeepSeek-R1", ("deepseek-mit",)),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B-GGUF", ()),
    ),
    "deepseek-license-1.0": (
        ("deepseek-ai/DeepSeek-V3-0324", ("deepseek-mit",)),
        ("deepseek-ai/DeepSeek-V3.1", ("deepseek-mit",)),
    ),
    "fireworks-terms": (("fireworks-ai/llama-3-firefunction-v2", ()),),
    "google-gemini-api-terms": (("vertex:gemini-2.5-pro", ("google-cloud-vertex-terms",)),),
    "google-tos-consumer": (("gemini:gemini-2.5-pro", ("google-gemini-api-terms",)),),
    "google-cloud-vertex-terms": (
        ("gemini:gemini-2.5-flash", ("google-gemini-api-terms",)),
        ("vertex:claude-sonnet-4", ("anthropic-usage-policy",)),
    ),
    "gemma-terms": (("google/gemma-4-31b-it", ("gemma4-apache",)), ("google/flan-t5-xl", ())),
    "gemma4-apache": (("google/gemma-3-4b-it", ("gemma-terms",)), ("google/gemma-2-9b", ("gemma-terms",))),
    "granite-apache": (("ibm-research/granite-3.3-8b", ()), ("ibm/granite-7b-base", ())),
    "exaone-1.1-nc": (("LGAI-EXAONE/EXAONE-4.0-32B", ()),),  # under version 1.2 of the licence, which no rule has
    "llama2": (("meta-llama/Meta-Llama-3-8B", ("llama3",)), ("license:llama3", ("llama3",))),
    "llama3": (
        ("meta-llama/Meta-Llama-3.1-8B", ("llama3.1",)),
        ("meta-llama/Llama-3.1-8B", ("llama3.1",)),
        ("license:llama3.1", ("llama3.1",)),
    ),
    "llama3.1": (("meta-llama/Meta-Llama-3-8B", ("llama3",)), ("meta-llama/Llama-3.2-1B", ("llama3.2",))),
    "llama3.2": (("meta-llama/Llama-3.3-70B-Instruct", ("llama3.3",)), ("license:llama2", ("llama2",))),
    "llama3.3": (("meta-llama/Llama-3.2-3B", ("llama3.2",)), ("license:llama3", ("llama3",))),
    "llama4": (("meta-llama/Llama-3.3-70B-Instruct", ("llama3.3",)), ("meta-llama/Llama-Guard-4-12B", ())),
    "meta-model-api": (("meta-llama/Llama-4-Scout-17B-16E", ("llama4",)),),
    "phi-mit": (("microsoft/MAI-DS-R1", ()), ("microsoft/DialoGPT-medium", ())),
    "azure-product-terms": (("openai:gpt-4.1", ("openai-services-agreement",)), ("azure:gpt-4.1", ())),
    "minimax-m2.5-modified-mit": (("MiniMaxAI/MiniMax-M2", ()), ("MiniMaxAI/MiniMax-Text-01", ())),
    "mistral-commercial-terms": (("lechat:mistral-large-latest", ("mistral-le-chat-terms",)),),
    "mistral-le-chat-terms": (("mistral:mistral-large-latest", ("mistral-commercial-terms",)),),
    "mistral-mnpl-0.1": (("mistralai/Mistral-7B-v0.1", ("mistral-apache",)), ("mistralai/Mamba-Codestral-7B-v0.1", ())),
    "mistral-mrl-0.1": (
        ("mistralai/Mistral-Large-3-675B-Instruct-2512", ()),
        ("mistralai/Mistral-Small-24B-Instruct-2501", ("mistral-apache",)),
    ),
    "kimi-k2-modified-mit": (("moonshotai/Kimi-K3", ("kimi-k3",)), ("moonshotai/Kimi-VL-A3B-Instruct", ())),
    "kimi-k3": (("moonshotai/Kimi-K2-Thinking", ("kimi-k2-modified-mit",)),),
    "moonshot-openplatform": (("kimi-web:kimi-k2", ("kimi-consumer",)), ("moonshotai/Kimi-K2.5",
                                                                         ("kimi-k2-modified-mit",))),
    "kimi-consumer": (("moonshot:kimi-k2-turbo-preview", ("moonshot-openplatform",)),),
    "hyperclova-x-seed": (("naver-hyperclovax/HyperCLOVAX-Think", ()),),
    "nvidia-open-model": (
        ("nvidia/Llama-3.1-Nemotron-70B-Instruct", ("nvidia-llama-nemotron",)),
        ("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B", ("nvidia-nemotron-open",)),
    ),
    "nvidia-nemotron-open": (("nvidia/NVIDIA-Nemotron-Nano-9B-v2", ("nvidia-open-model",)),),
    "nvidia-data-training-2025": (
        ("nvidia/Nemotron-Pretraining-Dataset-sample", ("nvidia-open-model",)),  # weights of such a name
        ("dataset:nvidia/Nemotron-Post-Training-Dataset-v1", ()),
    ),
    "nvidia-llama-nemotron": (("nvidia/Nemotron-4-340B-Reward", ("nvidia-open-model",)),),
    "openmdw-1.0": (("license:mdw", ()), ("license:mit", ("mit",))),
    "cc-by-nc-4.0": (("license:cc-by-4.0", ("cc-by-4.0",)), ("license:cc-by-nc-sa-4.0", ("cc-by-nc-sa",))),
    "apache-2.0": (("license:apache-1.1", ()), ("license:apache-2.0-with-llvm-exception", ())),
    "mit": (("license:mit-modern-variant", ()), ("license:mit-0", ())),
    "openai-services-agreement": (
        ("openai/gpt-oss-20b", ("gpt-oss-apache",)),
        ("azure-openai:gpt-4.1", ("azure-product-terms",)),
        ("openai-community/gpt2", ()),
    ),
    "openai-terms-of-use-consumer": (("openai:chatgpt-4o-latest", ("openai-services-agreement",)),),
    "gpt-oss-apache": (("openai:gpt-4o", ("openai-services-agreement",)), ("unsloth/gpt-oss-20b", ())),
    "bigscience-openrail-m": (("bigscience/T0pp", ()), ("license:bigscience-bloom-rail-1.0", ())),
    "bigcode-openrail-m-v1": (("bigcode/santacoder", ()), ("license:openrail", ())),
    "openrouter-terms": (("openrouter/auto", ()),),
    "qwen-apache": (
        ("Qwen/Qwen2.5-72B", ("qwen-license-2024",)),
        ("Qwen/Qwen2.5-3B", ("qwen-research-license",)),
        ("Qwen/Qwen2-72B", ("tongyi-qianwen-2023",)),
    ),
    "qwen-license-2024": (
        ("Qwen/Qwen2.5-7B", ("qwen-apache",)),
        ("Qwen/Qwen2-72B-Instruct", ("tongyi-qianwen-2023",)),
    ),
    "qwen-research-license": (
        ("Qwen/Qwen2.5-32B", ("qwen-apache",)),
        ("Qwen/Qwen2.5-Coder-32B", ("qwen2.5-coder-math-apache",)),
    ),
    "tongyi-qianwen-2023": (
        ("Qwen/Qwen2.5-72B-Instruct", ("qwen-license-2024",)),
        ("Qwen/Qwen2.5-7B", ("qwen-apache",)),
        ("Qwen/Qwen2-7B", ("qwen2.5-coder-math-apache",)),
    ),
    "qwen-studio-terms": (("dashscope:qwen3-max", ("alibaba-model-studio",)),),
    "alibaba-model-studio": (("qwen-chat-web:qwen-max", ("qwen-studio-terms",)), ("dashscope:deepseek-v3", ())),
    "stability-community": (("stabilityai/stablelm-zephyr-3b", ()), ("stabilityai/stablelm-3b-4e1t", ())),
    "hunyuan-community": (("tencent/HunyuanVideo", ()), ("tencent/WeDLM-8B", ())),
    "falcon2-tii": (("tiiuae/falcon-40b-instruct", ("falcon-40b-apache",)), ("tiiuae/Falcon-H1-7B-Instruct", ())),
    "falcon-40b-apache": (("tiiuae/Falcon3-7B-Base", ("falcon2-tii",)), ("tiiuae/falcon-180B", ())),
    "together-terms": (("togethercomputer/RedPajama-INCITE-7B-Base", ()),),
    "xai-enterprise-terms": (("grok-web:grok-4", ("xai-aup",)), ("xai:embedding", ("xai-aup",))),
    "xai-aup": (("xai-org/grok-2", ("xai-community-license-grok2",)), ("x-ai:grok-4", ())),
    "xai-community-license-grok2": (("xai-org/grok-1", ()), ("xai:grok-2", ("xai-enterprise-terms", "xai-aup"))),
    "glm-mit": (("THUDM/glm-4-9b-chat", ("glm-4-9b-license",)), ("THUDM/chatglm3-6b", ())),
    "glm-4-9b-license": (("THUDM/GLM-4-9B-0414", ("glm-mit",)), ("THUDM/GLM-4-32B-0414", ("glm-mit",))),
    "deepseek-r1-distill-qwen": (
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", ("deepseek-r1-distill-llama",)),
        ("Qwen/Qwen2.5-Math-7B", ("qwen2.5-coder-math-apache",)),
    ),
    "mistral-apache": (
        ("mistralai/Mistral-Small-Instruct-2409", ("mistral-mrl-0.1",)),
        ("mistralai/Codestral-22B-v0.1", ("mistral-mnpl-0.1",)),
        ("mistral:open-mistral-7b", ("mistral-commercial-terms",)),
    ),
    "qwen2.5-coder-math-apache": (
        ("Qwen/Qwen2.5-Coder-3B", ("qwen-research-license",)),
        ("Qwen/Qwen2-72B", ("tongyi-qianwen-2023",)),
        ("Qwen/Qwen2.5-Math-72B", ()),
    ),
    "cc0-1.0": (("license:cc-by-4.0", ("cc-by-4.0",)), ("license:cc", ())),
    "cc-by-4.0": (("license:cc-by-sa-4.0", ("cc-by-sa-4.0",)), ("license:cc-by-nc-4.0", ("cc-by-nc-4.0",))),
    "cc-by-sa-4.0": (("license:cc-by-nc-sa-4.0", ("cc-by-nc-sa",)), ("license:cc-by-sa-3.0", ("cc-by-sa-earlier",))),
    "cc-by-earlier": (("license:cc-by-sa-3.0", ("cc-by-sa-earlier",)), ("license:cc-by-3.0-us", ())),
    "cc-by-sa-earlier": (("license:cc-by-3.0", ("cc-by-earlier",)),),
    "cc-by-nc-earlier": (("license:cc-by-nc-4.0", ("cc-by-nc-4.0",)), ("license:cc-by-3.0", ("cc-by-earlier",))),
    "cc-by-nc-sa": (("license:cc-by-nc-4.0", ("cc-by-nc-4.0",)), ("license:cc-by-sa-4.0", ("cc-by-sa-4.0",))),
    "cc-by-nd": (("license:cc-by-nc-nd-4.0", ("cc-by-nc-nd",)),),
    "cc-by-nc-nd": (("license:cc-by-nd-4.0", ("cc-by-nd",)), ("license:cc-by-nc-sa-3.0", ("cc-by-nc-sa",))),
    "odc-by-1.0": (("license:odbl", ("odbl-1.0",)),),
    "odbl-1.0": (("license:odc-by", ("odc-by-1.0",)), ("license:open-data", ())),
    "pddl": (("license:pdl", ()),),
    "cdla-permissive": (("license:cdla-sharing-1.0", ()),),
    "bsd": (("license:bsd-4-clause", ()), ("license:bsd-3-clause-clear", ())),
    "research-only": (("license:qwen-research", ("qwen-research-license",)), ("license:research", ())),
}  # fmt: skip

RULES = tuple(rule.id for rule in rules())


def ids_of(name: str) -> tuple[str, ...]:
    return tuple(rule.id for rule in matching(name, rules()))


def test_no_rule_lacks_a_name_that_fits_or_a_trap() -> None:
    assert set(FITS) == set(TRAPS) == set(RULES)
    assert all(FITS.values())
    assert all(TRAPS.values())


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_fits_its_names(rule: str) -> None:
    for name in FITS[rule]:
        assert rule in ids_of(name), name


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_leaves_names_alone_that_only_look_alike(rule: str) -> None:
    for name, others in TRAPS[rule]:
        assert rule not in others
        assert ids_of(name) == others, name


@pytest.mark.parametrize("rule", RULES)
def test_every_pattern_of_a_rule_has_a_name(rule: str) -> None:
    patterns = next(one.applies_to for one in rules() if one.id == rule)
    for pattern in patterns:
        assert any(fits(name, pattern) for name in FITS[rule]), pattern
