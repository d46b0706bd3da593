"""The layers that bind weights: their own licence, and that of every ancestor in a name, a card or a config."""

from dataclasses import replace
from pathlib import Path

from potstill.models.reference import KNOWN_WHEELS, HubReference, PathReference, parse_reference
from potstill.terms.config_families import unspoken_family
from potstill.terms.folder import Lineage, is_folder, is_repository, read_lineage
from potstill.terms.layers import Layer, Route
from potstill.terms.names import Carried, carried
from potstill.terms.rules import Rule, inherited, matching, rules

_DEEPEST = 20  # ancestors of ancestors; a longer chain is a loop of links


def weights_route(reference: str) -> Route:
    """The layers of a model reference. Raises RecipeError for a malformed one and for a folder that is not there."""
    parsed = parse_reference(reference)
    if isinstance(parsed, HubReference):
        return hub_route(parsed.repository)
    if isinstance(parsed, PathReference):
        return _folder_route(parsed.folder)
    wheel = KNOWN_WHEELS.get((parsed.distribution, parsed.version))
    if wheel is None:
        return Route(reference, (Layer(reference, None),))
    upstream = [Layer(wheel.upstream, rule) for rule in matching(wheel.upstream, rules())]
    return Route(reference, (*license_layers(wheel.license, wheel.upstream, False, wheel.upstream), *upstream))


def weights_rules(reference: str) -> frozenset[str]:
    """Ids of the rules that bind weights, to see whether a student is of the teacher's family.

    What only a name says is left out: who calls a model after Llama has not shown that it is one.
    """
    return frozenset(
        layer.rule.id for layer in weights_route(reference).layers if layer.rule is not None and not layer.by_name
    )


def hub_route(repository: str, said_by: str = "") -> Route:
    """What binds weights of this hub name: the rule of the name, and of every other family that the name carries.

    A name that is a family's own with nothing but size and format behind it is read as a copy, with a warning.
    """
    shown = f"hub:{repository}"
    name = f"{shown} ({said_by})" if said_by else shown
    own, found = rules_of_weights(repository), carried(repository.partition("/")[2])
    layers = [Layer(name, rule, subject=repository) for rule in own]
    warnings: list[str] = []
    if not own:
        copied = next((one for one in found if one.whole), None)
        layers.append(Layer(name, copied.rule if copied else None, by_name=True, subject=repository))
        if copied:
            warnings.append(_copy_warning(shown, copied))
    organisation = repository.partition("/")[0].casefold()
    # Where a rule names this model, its organisation's other rules were passed over for it on purpose.
    others = [one for one in found if not (own and one.organisation == organisation)]
    return Route(shown, (*layers, *_carried_layers(others, shown, layers)), tuple(warnings))


def served_by_name(model: str) -> Route:
    """What binds weights that a server calls by a name without organisation, such as llama3.1:8b."""
    found = carried(model)
    copied = next((one for one in found if one.whole), None)
    first = Layer(model, copied.rule if copied else None, by_name=True, subject=model)
    warnings = (_copy_warning(model, copied),) if copied else ()
    return Route(model, (first, *_carried_layers(found, model, [first])), warnings)


def rules_of_weights(repository: str) -> tuple[Rule, ...]:
    """The rules that name ORG/NAME, or the licence that Potstill pins with a wheel of it."""
    if found := matching(repository, rules()):
        return found
    known = {wheel.upstream.casefold(): wheel.license for wheel in KNOWN_WHEELS.values()}
    license_id = known.get(repository.casefold())
    return matching(f"license:{license_id}", rules()) if license_id else ()


def license_layers(license_id: str, source: str, settled: bool, subject: str) -> list[Layer]:
    """Layers of a licence id; `settled` where the recipe's licence may speak in place of an id that no rule knows."""
    name = f"license:{license_id} ({source})"
    found = matching(f"license:{license_id.strip()}", rules())
    if not found:
        return [Layer(name, None, settled_by_license=settled, subject=subject)]
    return [Layer(name, rule, subject=subject) for rule in found]


def with_inherited(layers: tuple[Layer, ...]) -> tuple[Layer, ...]:
    """The layers and those that their rules say they inherit, each once."""
    further = [
        replace(layer, name=f"{layer.name} inherits {rule.id}", rule=rule)
        for layer in layers
        if layer.rule is not None
        for rule in rules()
        if rule.id in inherited(layer.rule)
    ]
    return tuple(dict.fromkeys((*layers, *further)))


def _carried_layers(found: list[Carried] | tuple[Carried, ...], shown: str, layers: list[Layer]) -> list[Layer]:
    """A layer for each family in a name that no layer, or rule that one inherits, speaks of yet."""
    spoken = {layer.rule.id for layer in layers if layer.rule}
    spoken |= {target for layer in layers if layer.rule for target in inherited(layer.rule)}
    return [
        Layer(f"{one.family} (ancestor by the name {shown})", one.rule, by_name=True, subject=one.family)
        for one in found
        if one.rule.id not in spoken
    ]


def _copy_warning(shown: str, copied: Carried) -> str:
    return (
        f"{shown} is taken for a copy of {copied.family} because of its name; where it is more than that, "
        "give its licence in the recipe (license)"
    )


def _folder_route(folder: str, visited: frozenset[Path] = frozenset(), said_by: str = "") -> Route:
    """Layers of a model folder: its licences, each ancestor with its own, and where its config says it came from."""
    lineage = read_lineage(folder)
    here = lineage.folder.resolve()
    warnings = list(lineage.warnings)
    layers = _own_licences(lineage, said_by)
    for ancestor in lineage.ancestors:
        found = _ancestor_route(ancestor.name, ancestor.said_by, lineage, visited | {here})
        layers += found.layers
        warnings += found.warnings
    origin = _loaded_from(lineage)
    if lineage.repository is not None:
        origin += [layer for layer in hub_route(lineage.repository).layers if layer.rule is not None]
    layers += origin
    if not lineage.licenses and not any(lineage.texts.values()) and not origin:
        layers.append(Layer(lineage.shown, None, subject=lineage.shown))
    layers += _carried_layers(carried(lineage.folder.name), lineage.shown, layers)
    family = unspoken_family(lineage.config, {layer.rule.id for layer in layers if layer.rule})
    if family is not None:
        warnings.append(
            f"config.json of {lineage.shown} looks like {family}, and neither its card, its licence nor an ancestor "
            "speaks of that; find out what it was made from"
        )
    return Route(lineage.shown, tuple(layers), tuple(warnings))


def _own_licences(lineage: Lineage, said_by: str) -> list[Layer]:
    """The licences that the card names and those whose text lies there: both count where they differ."""
    shown = f"{lineage.shown}, {said_by}" if said_by else lineage.shown
    layers = [
        layer
        for license_id in lineage.licenses
        for layer in license_layers(license_id, shown, True, lineage.repository or lineage.shown)
    ]
    known = {layer.rule.id for layer in layers if layer.rule}
    from_texts = [
        layer
        for file, ids in lineage.texts.items()
        for license_id in ids
        for layer in license_layers(license_id, f"{file} of {shown}", True, lineage.repository or lineage.shown)
        if layer.rule is None or layer.rule.id not in known
    ]
    if lineage.titled and any(layer.rule for layer in from_texts):
        layers = [layer for layer in layers if layer.rule is not None]
    return layers + from_texts


def _ancestor_route(name: str, said_by: str, lineage: Lineage, visited: frozenset[Path]) -> Route:
    """The layers of an ancestor: of its folder where it is here, with its own ancestors, else of its hub name."""
    folder = lineage.folder / name  # an absolute one stays as it is
    if not is_repository(name) and is_folder(folder):
        if folder.resolve() in visited or len(visited) > _DEEPEST:
            return Route(name, ())
        return _folder_route(str(folder), visited, said_by)
    if is_repository(name):
        return hub_route(name, said_by)
    last = Path(name).name
    found = served_by_name(last)
    layers = tuple(replace(layer, name=f"{layer.name} ({said_by})", by_name=False) for layer in found.layers)
    return Route(last, layers, found.warnings)


def _loaded_from(lineage: Lineage) -> list[Layer]:
    """What the config says the weights were loaded from, where a rule knows it; a path counts by its last name."""
    origin = lineage.loaded_from
    if origin is None:
        return []
    name = origin if is_repository(origin) else Path(origin).name
    found = hub_route(name) if is_repository(origin) else served_by_name(name)
    shown = found.shown
    return [
        replace(layer, name=layer.name.replace(shown, f"{shown} (its config.json)", 1), by_name=False)
        for layer in found.layers
        if layer.rule is not None
    ]
