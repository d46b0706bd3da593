"""Whose terms bind what a host answers, and how services write the models that they pass on. Data, no logic."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Provider:
    """A service: the prefix under which the rules know it, and the hosts that it answers from."""

    name: str
    hosts: tuple[str, ...]  # patterns
    passes_on: bool = False  # serves models of other makers, whose own terms bind too
    free_names: bool = False  # customers name their deployments, so that a name need not tell the model


PROVIDERS = (
    Provider("openai", ("*.openai.com",)),
    Provider("anthropic", ("*.anthropic.com",)),
    Provider("gemini", ("generativelanguage.googleapis.com",)),
    Provider("vertex", ("*aiplatform.googleapis.com",), passes_on=True),
    Provider("openrouter", ("openrouter.ai", "*.openrouter.ai"), passes_on=True),
    Provider("together", ("*.together.xyz", "*.together.ai"), passes_on=True),
    Provider("fireworks", ("*.fireworks.ai",), passes_on=True),
    Provider("mistral", ("*.mistral.ai",)),
    Provider("deepseek", ("*.deepseek.com",)),
    Provider("xai", ("*.x.ai",)),
    Provider("cohere", ("*.cohere.com", "*.cohere.ai")),
    Provider("ai21", ("*.ai21.com",)),
    Provider("meta-model-api", ("*.llama.com",)),
    Provider("dashscope", ("dashscope*.aliyuncs.com",)),
    Provider("moonshot", ("*.moonshot.ai", "*.moonshot.cn")),
    Provider("bedrock", ("*bedrock*.amazonaws.com", "*bedrock*.amazonaws.com.cn", "bedrock*.api.aws"), passes_on=True),
    Provider("azure-openai", ("*.openai.azure.com", "*.openai.azure.us"), free_names=True),
    Provider("azure-foundry", ("*.ai.azure.com", "*.cognitiveservices.azure.com"), passes_on=True, free_names=True),
    # Services whose terms no rule describes yet: what they answer is bound by more than the weights' licence.
    Provider("groq", ("*.groq.com",), passes_on=True),
    Provider("deepinfra", ("*.deepinfra.com",), passes_on=True),
    Provider("perplexity", ("*.perplexity.ai",)),
    Provider("huggingface", ("*.huggingface.co",), passes_on=True),
    Provider("nvidia-api", ("*.api.nvidia.com",), passes_on=True),
    Provider("cerebras", ("*.cerebras.ai",), passes_on=True),
    Provider("sambanova", ("*.sambanova.ai",), passes_on=True),
    Provider("novita", ("*.novita.ai",), passes_on=True),
    Provider("hyperbolic", ("*.hyperbolic.xyz",), passes_on=True),
    Provider("replicate", ("*.replicate.com",), passes_on=True),
    Provider("github-models", ("models.github.ai",), passes_on=True),
    Provider("minimax", ("*.minimax.io",)),
    Provider("z-ai", ("*.z.ai", "open.bigmodel.cn")),
)

# How aggregators, proxies and clouds write the maker of a hosted model, before a slash or a dot.
MAKERS = {
    "openai": "openai", "anthropic": "anthropic", "google": "gemini", "gemini": "gemini", "vertex_ai": "vertex",
    "x-ai": "xai", "xai": "xai", "mistralai": "mistral", "mistral": "mistral", "deepseek": "deepseek",
    "cohere": "cohere", "moonshotai": "moonshot", "moonshot": "moonshot", "ai21": "ai21", "qwen": "dashscope",
    "dashscope": "dashscope", "bedrock": "bedrock", "azure": "azure-openai", "azure_ai": "azure-foundry",
    "openrouter": "openrouter", "together_ai": "together", "fireworks_ai": "fireworks",
}  # fmt: skip

# Organisations that services call otherwise than the model hub does.
ORGANISATIONS = {
    "deepseek": "deepseek-ai", "z-ai": "zai-org", "minimax": "MiniMaxAI", "meta": "meta-llama", "mistral": "mistralai",
    "moonshot": "moonshotai",
}  # fmt: skip

# Makers whose hosted models keep their names behind a proxy, so that a bare name gives them away.
NAMED_EVERYWHERE = ("openai", "anthropic", "gemini", "xai", "cohere", "moonshot")

# Only hosted, although the maker's open weights have names of the same form.
NEVER_WEIGHTS = ("qwen/qwen*-max*", "qwen/qwen*-plus*", "qwen/qwen*-turbo*")

# What stands behind a colon and says how a model is served, not which it is.
VARIANTS = ("free", "beta", "nitro", "floor", "extended", "thinking", "online", "exacto", "latest")
