"""From a recipe's teacher to the layers of terms that bind it: weights licence, ancestors, provider, aggregator."""

import ipaddress
import re
from dataclasses import replace
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from potstill.config import Endpoint, Teacher
from potstill.errors import RecipeError
from potstill.terms.layers import Layer, Route
from potstill.terms.names import carried
from potstill.terms.providers import (
    MAKERS,
    NAMED_EVERYWHERE,
    NEVER_WEIGHTS,
    ORGANISATIONS,
    PROVIDERS,
    VARIANTS,
    Provider,
)
from potstill.terms.rules import fits, matching, matching_any, rules
from potstill.terms.weights import (
    hub_route,
    license_layers,
    rules_of_weights,
    served_by_name,
    weights_route,
    with_inherited,
)

_BEDROCK_REGION = re.compile(r"^(us-gov|us|eu|apac|jp|au|ca|global)\.")
_DOTTED_MAKER = re.compile(r"^(?P<maker>[a-z][a-z0-9]*)\.(?P<rest>[a-z].*)$")  # as Bedrock writes it
_SIZE = re.compile(r"(?<![a-z0-9])\d+(\.\d+)?b(?![a-z0-9])", re.IGNORECASE)
_PRIVATE_ENDINGS = (".localhost", ".local", ".internal", ".intranet", ".lan", ".home.arpa")


def route(teacher: Teacher) -> Route:
    """The layers of a recipe's teacher. Raises RecipeError for a malformed reference or a folder that is not there."""
    if teacher.endpoint is not None:
        host = host_of(teacher.endpoint)
        found = _endpoint_route(teacher.endpoint, host)
        shown = f"{teacher.endpoint.model} at {host}"
    else:
        found = weights_route(teacher.model or "")
        shown = teacher.model or ""
    layers = found.layers
    if teacher.license is not None:
        layers = (
            *(layer for layer in layers if layer.rule is not None or not layer.settled_by_license),
            *license_layers(teacher.license, "teacher.license", settled=False, subject=shown),
        )
    return Route(shown, with_inherited(layers), found.warnings)


def host_of(endpoint: Endpoint) -> str:
    """The host name of an endpoint, in lower case, without port."""
    host = (urlsplit(endpoint.base_url).hostname or "").rstrip(".")
    if not host:
        raise RecipeError(f"teacher.endpoint.base_url: {endpoint.base_url} names no host")
    return host


def _endpoint_route(endpoint: Endpoint, host: str) -> Route:
    for provider in PROVIDERS:
        if any(fnmatchcase(host, pattern) for pattern in provider.hosts):
            return _provider_route(provider, endpoint.model)
    found = _served_route(endpoint.model)
    if _is_private(host):
        return found
    warning = (
        f"{host} is no provider that Potstill knows, so only the model's own terms were looked at; "
        "if somebody else runs it, read theirs too"
    )
    return Route(found.shown, found.layers, (warning, *found.warnings))


def _is_private(host: str) -> bool:
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return "." not in host or host.endswith(_PRIVATE_ENDINGS)


def _provider_route(provider: Provider, model: str) -> Route:
    """Terms of the provider for a model and, where it passes on others' models, the model's own."""
    shown = f"{provider.name}:{model}"
    last = model.rpartition("/")[2]
    spellings = (model, last, last.removeprefix("ft:"), _BEDROCK_REGION.sub("", last))
    found = {rule.id: rule for rule in matching_any([f"{provider.name}:{name}" for name in spellings], rules())}
    terms = [Layer(shown, rule, "service", False, subject=provider.name) for rule in found.values()]
    terms = terms or [Layer(shown, None, "service", False, subject=provider.name)]
    passes_on = provider.passes_on or any(rule.has("inherits_model_terms") for rule in found.values())
    if not passes_on or any(_names_model(provider.name, name) for name in spellings):
        return Route(shown, tuple(terms))
    served = _served_route(model)
    if provider.free_names and not any(layer.rule for layer in served.layers):
        told = f"{shown} is a deployment whose name does not tell the model; that model's own terms bind too: read them"
        return Route(shown, tuple(terms), (told,))
    return Route(shown, (*terms, *served.layers), served.warnings)


def _provider_named(name: str) -> Provider:
    return next((one for one in PROVIDERS if one.name == name), Provider(name, ()))


def _names_model(provider: str, model: str) -> bool:
    """Whether a rule speaks of this model by name, not only of everything that the provider serves."""
    patterns = (pattern for rule in rules() for pattern in rule.applies_to if pattern != f"{provider}:*")
    return any(":" in pattern and fits(f"{provider}:{model}", pattern) for pattern in patterns)


def _served_route(model: str) -> Route:
    """What binds a model that somebody serves under this name: open weights, or a maker's hosted model passed on."""
    name = _without_variant(model)
    maker, slash, rest = _maker(name)
    hosted_only = _SIZE.search(rest) is None and any(
        fnmatchcase(f"{maker}{slash}{rest}".casefold(), pattern) for pattern in NEVER_WEIGHTS
    )
    organisation = ORGANISATIONS.get(maker.casefold(), maker)
    if not _weights_of(organisation, rest) and _weights_of(organisation, f"{maker}-{rest}"):
        rest = f"{maker}-{rest}"  # Bedrock's deepseek.r1 leaves out what its maker says already
    repository = f"{organisation}{slash}{rest}"
    if slash and not hosted_only and (rules_of_weights(repository) or _weights_of(organisation, rest)):
        return _renamed(hub_route(repository), f"hub:{repository}", model)
    provider = MAKERS.get(maker.casefold())
    if slash and provider and _known_to_bind(provider, rest):
        return _provider_route(_provider_named(provider), rest)
    bare = rest.rpartition("/")[2]
    if not _like_weights(bare):
        for named in NAMED_EVERYWHERE:
            if _names_model(named, bare):
                return _provider_route(_provider_named(named), bare)
    if hosted_only:
        return Route(model, (Layer(model, None, subject=model),))
    found = served_by_name(bare)
    return _renamed(found, bare, model)


def _weights_of(organisation: str, name: str) -> bool:
    """Whether a name is an organisation's own open weights in another spelling, such as qwen/qwen-2.5-7b-instruct."""
    return any(one.whole and one.organisation == organisation.casefold() for one in carried(name))


def _renamed(found: Route, before: str, after: str) -> Route:
    """The route with the model called as the recipe calls it."""
    layers = tuple(replace(layer, name=after) if layer.name == before else layer for layer in found.layers)
    return Route(after, layers, found.warnings)


def _without_variant(model: str) -> str:
    """A served name without what says how it is served: :free, Bedrock's :0, Vertex' @001, an ARN's account."""
    name = model.rpartition("/")[2] if model.startswith("arn:") else model
    head, colon, variant = name.partition(":")
    if colon and (variant.casefold() in VARIANTS or variant.isdigit()):
        name = head
    return _BEDROCK_REGION.sub("", name.partition("@")[0])


def _maker(name: str) -> tuple[str, str, str]:
    """The maker before a slash, or before a dot as Bedrock writes it (meta.llama3-1-8b-instruct-v1); else none."""
    maker, slash, rest = name.partition("/")
    if slash:
        return maker, slash, rest
    found = _DOTTED_MAKER.match(name)
    if found and (found["maker"] in MAKERS or found["maker"] in ORGANISATIONS):
        return found["maker"], "/", found["rest"]
    return "", "", name


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
    return any(fits(bare, name) for name in names if name.strip("*")) or any(one.whole for one in carried(bare))
