"""Models whose names hide what they were made from, with their ancestors. Data: names in the spelling of `names`."""

from potstill.terms.rules import fits

# Patterns of names, and the hub names of what they were trained or cut from, as their makers say.
_DESCENDANTS = (
    ("*distill-llama-8b*", ("meta-llama/Llama-3.1-8B",)),
    ("*distill-llama-70b*", ("meta-llama/Llama-3.3-70B-Instruct",)),
    ("*distill-qwen-1.5b*", ("Qwen/Qwen2.5-Math-1.5B",)),
    ("*distill-qwen-7b*", ("Qwen/Qwen2.5-Math-7B",)),
    ("*distill-qwen-14b*", ("Qwen/Qwen2.5-14B",)),
    ("*distill-qwen-32b*", ("Qwen/Qwen2.5-32B",)),
    # Ollama calls the distilled models by the name of the large one; 8b was cut from Llama, then from Qwen.
    ("deepseek-r1-1.5b*", ("Qwen/Qwen2.5-Math-1.5B",)),
    ("deepseek-r1-7b*", ("Qwen/Qwen2.5-Math-7B",)),
    ("deepseek-r1-8b*", ("meta-llama/Llama-3.1-8B", "Qwen/Qwen3-8B")),
    ("deepseek-r1-14b*", ("Qwen/Qwen2.5-14B",)),
    ("deepseek-r1-32b*", ("Qwen/Qwen2.5-32B",)),
    ("deepseek-r1-70b*", ("meta-llama/Llama-3.3-70B-Instruct",)),
    ("*codellama*", ("meta-llama/Llama-2-7b-hf",)),
    ("*vicuna-*-v1.5*", ("meta-llama/Llama-2-7b-hf",)),
    ("tulu-2-*", ("meta-llama/Llama-2-7b-hf",)),
    ("orca-2-*", ("meta-llama/Llama-2-7b-hf",)),
    ("openchat-3.6*", ("meta-llama/Meta-Llama-3-8B",)),
    ("hermes-4-70b*", ("meta-llama/Llama-3.1-70B",)),
    ("hermes-4-405b*", ("meta-llama/Llama-3.1-405B",)),
    ("hermes-4-14b*", ("Qwen/Qwen3-14B",)),
    ("zephyr-7b-gemma*", ("google/gemma-7b",)),
    ("zephyr-7b-*", ("mistralai/Mistral-7B-v0.1",)),
    ("zephyr-orpo-141b*", ("mistralai/Mixtral-8x22B-v0.1",)),
    ("wizardlm-2-8x22b*", ("mistralai/Mixtral-8x22B-v0.1",)),
    ("openchat-3.5*", ("mistralai/Mistral-7B-v0.1",)),
    ("starling-lm-7b*", ("mistralai/Mistral-7B-v0.1",)),
    ("solar-10.7b*", ("mistralai/Mistral-7B-v0.1",)),
    ("smaug-72b*", ("Qwen/Qwen-72B",)),
    ("athene-70b*", ("meta-llama/Meta-Llama-3-70B-Instruct",)),
    ("athene-v2*", ("Qwen/Qwen2.5-72B-Instruct",)),
    ("medgemma-*", ("google/gemma-3-4b-it",)),
    ("shieldgemma-*", ("google/gemma-2-2b",)),
    ("txgemma-*", ("google/gemma-2-2b",)),
)


def descends_from(spelled: str) -> tuple[str, ...]:
    """Hub names of a model's ancestors, where its name is known to hide them; the first pattern that fits counts."""
    return next((ancestors for pattern, ancestors in _DESCENDANTS if fits(spelled, pattern)), ())
