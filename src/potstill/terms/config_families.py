"""The family that a model's config gives away, to warn where neither card nor licence speaks of it."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

# Patterns of model_type, the vocabulary's size where only that tells (None: any), the family in words, and ids of rules
# that speak of it. An architecture alone proves nothing: many models of other makers are llama or qwen2.
_FAMILIES: tuple[tuple[str, int | None, str, tuple[str, ...]], ...] = (
    ("llama", 128256, "Llama 3 (its tokenizer)", ("llama3*", "deepseek-r1-distill-llama", "nvidia-llama-nemotron")),
    ("mllama", None, "Llama 3.2", ("llama3.2",)),
    ("llama4*", None, "Llama 4", ("llama4",)),
    ("gemma", None, "Gemma", ("gemma*",)),
    ("gemma[23]*", None, "Gemma", ("gemma*",)),
    ("gemma4*", None, "Gemma 4", ("gemma*",)),
    ("qwen", None, "Qwen", ("qwen*", "tongyi*")),
    ("qwen2*", 151936, "Qwen 2 or 2.5", ("qwen*", "tongyi*", "deepseek-r1-distill-qwen")),
    ("qwen2*", 152064, "Qwen 2 or 2.5", ("qwen*", "tongyi*", "deepseek-r1-distill-qwen")),
    ("qwen3*", None, "Qwen 3", ("qwen*", "deepseek*")),
    ("cohere*", None, "Command", ("cohere*",)),
    ("dbrx", None, "DBRX", ("dbrx*",)),
    ("exaone*", None, "EXAONE", ("exaone*",)),
    ("hunyuan*", None, "Hunyuan", ("hunyuan*",)),
    ("glm4*", None, "GLM-4", ("glm*",)),
    ("chatglm", None, "GLM", ("glm*",)),
    ("deepseek_v3", None, "DeepSeek-V3", ("deepseek*", "kimi*")),
    ("gpt_oss", None, "gpt-oss", ("gpt-oss*",)),
    ("jamba", None, "Jamba", ("jamba*",)),
)


def family_of(config: Mapping[str, Any]) -> tuple[str, tuple[str, ...]] | None:
    """The family in words and the patterns of its rules' ids; None where the config tells none."""
    nested = config.get("text_config")
    sizes = {config.get("vocab_size"), nested.get("vocab_size") if isinstance(nested, dict) else None}
    kind = config.get("model_type")
    if not isinstance(kind, str):
        return None
    for pattern, vocabulary, family, rule_ids in _FAMILIES:
        if fnmatchcase(kind, pattern) and (vocabulary is None or vocabulary in sizes):
            return family, rule_ids
    return None


def unspoken_family(config: Mapping[str, Any], rule_ids: set[str]) -> str | None:
    """The family that the config gives away where none of these rules is about it."""
    found = family_of(config)
    if found is None or any(fnmatchcase(one, pattern) for one in rule_ids for pattern in found[1]):
        return None
    return found[0]
