"""From a recipe's teacher to the layers of terms that bind it: weights licence, ancestors, provider, aggregator."""

import ipaddress
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from potstill.config import Endpoint, Teacher
from potstill.errors import RecipeError
from potstill.models.reference import KNOWN_WHEELS, HubReference, PathReference, parse_reference
from potstill.terms.folder import read_lineage
from potstill.terms.rules import Rule, inherited, matching, matching_any, rules

# Whose terms bind what a host answers: patterns of host names, and the prefix under which the rules know them.
_PROVIDERS = (
    ("*.openai.com", "openai"),
    ("*.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "gemini"),
    ("*aiplatform.googleapis.com", "vertex"),
    ("openrouter.ai", "openrouter"),
    ("*.openrouter.ai", "openrouter"),
    ("*.together.xyz", "together"),
    ("*.together.ai", "together"),
    ("*.fireworks.ai", "fireworks"),
    ("*.mistral.ai", "mistral"),
    ("*.deepseek.com", "deepseek"),
    ("*.x.ai", "xai"),
    ("*.cohere.com", "cohere"),
    ("*.cohere.ai", "cohere"),
    ("*.ai21.com", "ai21"),
    ("*.llama.com", "meta-model-api"),
    ("dashscope*.aliyuncs.com", "dashscope"),
    ("*.moonshot.ai", "moonshot"),
    ("*.moonshot.cn", "moonshot"),
    ("*bedrock*.amazonaws.com", "bedrock"),
    ("*bedrock*.amazonaws.com.cn", "bedrock"),
    ("bedrock*.api.aws", "bedrock"),
    ("*.openai.azure.com", "azure-openai"),
    ("*.openai.azure.us", "azure-openai"),
    ("*.ai.azure.com", "azure-foundry"),
    ("*.cognitiveservices.azure.com", "azure-foundry"),
    # Services whose terms no rule describes yet: what they answer is bound by more than the weights' licence.
    ("*.groq.com", "groq"),
    ("*.deepinfra.com", "deepinfra"),
    ("*.perplexity.ai", "perplexity"),
    ("*.huggingface.co", "huggingface"),
    ("*.api.nvidia.com", "nvidia-api"),
    ("*.cerebras.ai", "cerebras"),
    ("*.sambanova.ai", "sambanova"),
    ("*.novita.ai", "novita"),
    ("*.hyperbolic.xyz", "hyperbolic"),
    ("*.replicate.com", "replicate"),
    ("models.github.ai", "github-models"),
    ("*.minimax.io", "minimax"),
    ("*.z.ai", "z-ai"),
    ("open.bigmodel.cn", "z-ai"),
)

# How aggregators and proxies write the maker of a model before the slash.
_MAKERS = {
    "openai": "openai", "anthropic": "anthropic", "google": "gemini", "gemini": "gemini", "vertex_ai": "vertex",
    "x-ai": "xai", "xai": "xai", "mistralai": "mistral", "mistral": "mistral", "deepseek": "deepseek",
    "cohere": "cohere", "moonshotai": "moonshot", "moonshot": "moonshot", "ai21": "ai21", "qwen": "dashscope",
    "dashscope": "dashscope", "bedrock": "bedrock", "azure": "azure-openai", "azure_ai": "azure-foundry",
    "openrouter": "openrouter", "together_ai": "together", "fireworks_ai": "fireworks",
}  # fmt: skip

# Organisations that aggregators call otherwise than the model hub does.
_ORGANISATIONS = {"deepseek": "deepseek-ai", "z-ai": "zai-org", "minimax": "MiniMaxAI"}

# Makers whose hosted models keep their names behind a proxy, so that a bare name gives them away.
_NAMED_EVERYWHERE = ("openai", "anthropic", "gemini", "xai", "cohere", "moonshot")

# Only hosted, although the maker's open weights have names of the same form.
_NEVER_WEIGHTS = ("qwen/qwen*-max*", "qwen/qwen*-plus*", "qwen/qwen*-turbo*")

_BEDROCK_REGION = re.compile(r"^(us-gov|us|eu|apac|jp|au|ca|global)\.")
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa")


@dataclass(frozen=True, slots=True)
class Layer:
    """One thing that binds: a name, and the rule that says how; None where no rule fits the name."""

    name: str
    rule: Rule | None
    weights: bool = True  # about weights, so that `teacher.license` can say what no rule says


@dataclass(frozen=True, slots=True)
class Route:
    """A teacher, every layer that binds its outputs, and what could not be seen."""

    teacher: str
    layers: tuple[Layer, ...]
    warnings: tuple[str, ...] = ()


def route(teacher: Teacher) -> Route:
    """The layers of a recipe's teacher. Raises RecipeError for a malformed reference or a folder that is not there."""
    if teacher.endpoint is not None:
        host = host_of(teacher.endpoint)
        layers, warnings = _endpoint_layers(teacher.endpoint, host)
        shown = f"{teacher.endpoint.model} at {host}"
    else:
        shown = teacher.model or ""
        layers, warnings = _weights_layers(shown)
    if teacher.license is not None:
        layers = [layer for layer in layers if layer.rule is not None or not layer.weights]
        layers += _license_layers(teacher.license, "teacher.license", replaceable=False)
    layers += [
        Layer(f"{layer.name} inherits {rule.id}", rule)
        for layer in layers
        if layer.rule is not None
        for rule in rules()
        if rule.id in inherited(layer.rule)
    ]
    return Route(shown, tuple(dict.fromkeys(layers)), tuple(warnings))


def weights_rules(reference: str) -> frozenset[str]:
    """Ids of the rules that bind weights, to see whether a student is of the teacher's family."""
    return frozenset(layer.rule.id for layer in _weights_layers(reference)[0] if layer.rule is not None)


def host_of(endpoint: Endpoint) -> str:
    """The host name of an endpoint, in lower case, without port."""
    host = (urlsplit(endpoint.base_url).hostname or "").rstrip(".")
    if not host:
        raise RecipeError(f"teacher.endpoint.base_url: {endpoint.base_url} names no host")
    return host


def _endpoint_layers(endpoint: Endpoint, host: str) -> tuple[list[Layer], list[str]]:
    for pattern, provider in _PROVIDERS:
        if fnmatchcase(host, pattern):
            return _provider_layers(provider, endpoint.model), []
    warnings = []
    if not _is_private(host):
        warnings.append(
            f"{host} is no provider that Potstill knows, so only the model's own terms were looked at; "
            "if somebody else runs it, read theirs too"
        )
    return _served_layers(endpoint.model), warnings


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDINGS)


def _provider_layers(provider: str, model: str) -> list[Layer]:
    """Terms of the provider for a model and, where it passes on others' models, the model's own."""
    last = model.rpartition("/")[2]
    spellings = (model, last, last.removeprefix("ft:"), _BEDROCK_REGION.sub("", last))
    found = {rule.id: rule for rule in matching_any([f"{provider}:{name}" for name in spellings], rules())}
    if not found:
        return [Layer(f"{provider}:{model}", None, weights=False)]
    layers = [Layer(f"{provider}:{model}", rule, weights=False) for rule in found.values()]
    passes_on = any(rule.has("inherits_model_terms") for rule in found.values())
    if passes_on and not any(_names_model(provider, name) for name in spellings):
        layers += _served_layers(model)
    return layers


def _names_model(provider: str, model: str) -> bool:
    """Whether a rule speaks of this model by name, not only of everything that the provider serves."""
    name = f"{provider}:{model}".casefold()
    patterns = (pattern for rule in rules() for pattern in rule.applies_to if pattern != f"{provider}:*")
    return any(":" in pattern and fnmatchcase(name, pattern.casefold()) for pattern in patterns)


def _served_layers(model: str) -> list[Layer]:
    """What binds a model that somebody serves under this name: open weights, or a maker's hosted model passed on."""
    name = model.partition(":")[0]  # without a variant such as :free or :8b
    maker, slash, rest = name.partition("/")
    hosted_only = any(fnmatchcase(name.casefold(), pattern) for pattern in _NEVER_WEIGHTS)
    organisation = _ORGANISATIONS.get(maker.casefold(), maker)
    if (found := _rules_of_weights(f"{organisation}{slash}{rest}")) and not hosted_only:
        return [Layer(name, rule) for rule in found]
    provider = _MAKERS.get(maker.casefold())
    if slash and provider and _known_to_bind(provider, rest):
        return _provider_layers(provider, rest)
    bare = name.rpartition("/")[2]
    if not _like_weights(bare):
        for provider in _NAMED_EVERYWHERE:
            if _names_model(provider, bare):
                return _provider_layers(provider, bare)
    return [Layer(model, None)]


def _known_to_bind(provider: str, model: str) -> bool:
    """Whether a maker's terms follow its model through a proxy.

    A rule that names the model does, and so does a ban on all that the maker serves, or an aggregator's rule. A milder
    rule of a maker does not: the proxy may serve the maker's weights, under a licence of their own.
    """
    bans = ("prohibited", "prohibited_if_competing", "unknown")
    found = matching(f"{provider}:{model}", rules())
    follows = any(rule.output_training in bans or rule.has("inherits_model_terms") for rule in found)
    return follows or _names_model(provider, model)


def _like_weights(bare: str) -> bool:
    """Whether open weights of any organisation have such a name (gpt-oss-20b is no hosted GPT)."""
    names = {pattern.partition("/")[2] for rule in rules() for pattern in rule.applies_to if ":" not in pattern}
    return any(fnmatchcase(bare.casefold(), name.casefold()) for name in names if name.strip("*"))


def _weights_layers(reference: str) -> tuple[list[Layer], list[str]]:
    parsed = parse_reference(reference)
    if isinstance(parsed, HubReference):
        return _hub_layers(parsed.repository), []
    if isinstance(parsed, PathReference):
        return _folder_layers(parsed.folder)
    wheel = KNOWN_WHEELS.get((parsed.distribution, parsed.version))
    if wheel is None:
        return [Layer(reference, None)], []
    upstream = [Layer(wheel.upstream, rule) for rule in matching(wheel.upstream, rules())]
    return _license_layers(wheel.license, wheel.upstream, replaceable=False) + upstream, []


def _hub_layers(repository: str) -> list[Layer]:
    found = _rules_of_weights(repository)
    return [Layer(f"hub:{repository}", rule) for rule in found] or [Layer(f"hub:{repository}", None)]


def _rules_of_weights(repository: str) -> tuple[Rule, ...]:
    if found := matching(repository, rules()):
        return found
    known = {wheel.upstream.casefold(): wheel.license for wheel in KNOWN_WHEELS.values()}
    license_id = known.get(repository.casefold())
    return matching(f"license:{license_id}", rules()) if license_id else ()


def _folder_layers(folder: str) -> tuple[list[Layer], list[str]]:
    """Layers of a model folder: the licences its card names, each ancestor, and where its config says it came from."""
    lineage = read_lineage(folder)
    layers = [
        layer
        for license_id in lineage.licenses
        for layer in _license_layers(license_id, lineage.shown, replaceable=True)
    ]
    for base in lineage.base_models:
        layers += _hub_layers(base)
    origin = [Layer(f"hub:{name}", rule) for name in lineage.loaded_from for rule in _rules_of_weights(name)]
    layers += origin
    if not lineage.licenses and not origin:
        layers.append(Layer(lineage.shown, None))
    return layers, list(lineage.warnings)


def _license_layers(license_id: str, source: str, replaceable: bool) -> list[Layer]:
    """Layers of a licence id; `replaceable` where `teacher.license` may speak in place of an id that no rule knows."""
    name = f"license:{license_id} ({source})"
    found = matching(f"license:{license_id.strip()}", rules())
    return [Layer(name, rule) for rule in found] or [Layer(name, None, weights=replaceable)]
