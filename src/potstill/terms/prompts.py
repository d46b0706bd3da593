"""The layers that bind the prompts: the licence that the recipe gives, and what a data set's own folder says."""

import json
from pathlib import Path

from potstill.config import Prompts
from potstill.terms.folder import Lineage, read_lineage
from potstill.terms.layers import Layer, Route
from potstill.terms.rules import matching, rules

_LOGS = ("chat_log", "fine_tuning", "litellm", "batch")
_MARKS = ("dataset_dict.json", "state.json", "dataset_info.json", "README.md")


def prompts_route(section: Prompts) -> Route:
    """The layers of a recipe's prompts; none where they are the user's own file and the recipe gives no licence."""
    layers: list[Layer] = []
    warnings: list[str] = []
    lineage = _data_set(section.source)
    if lineage is not None:
        layers += _folder_layers(lineage)
        warnings += lineage.warnings
        warnings += _untold(lineage, layers, section)
    elif section.license is None and (section.format in _LOGS or section.job is not None):
        warnings.append(
            f"prompts.source: {section.source.name} is a log, and the answers in it are somebody's outputs: where a "
            "prompt holds some of them, the terms of whoever made them bind too; give prompts.license where you know it"
        )
    if section.license is not None:
        layers = [layer for layer in layers if layer.rule is not None]
        layers += _licence_layers(section.license, "prompts.license", _subject(lineage, section))
    return Route(f"prompts of {section.source.name}", tuple(dict.fromkeys(layers)), tuple(warnings))


def _data_set(source: Path) -> Lineage | None:
    """What a data set's folder says of itself; None for a file, and for a folder of files without a card."""
    if not source.is_dir() or not any((source / mark).is_file() for mark in _MARKS):
        return None
    return read_lineage(str(source), whose="data set", field="prompts.source")


def _folder_layers(lineage: Lineage) -> list[Layer]:
    subject = lineage.repository or lineage.shown
    named = [
        Layer(f"dataset:{subject}", rule, "prompts", subject=subject)
        for rule in matching(f"dataset:{lineage.repository}", rules())
        if lineage.repository
    ]
    given = [one for one in (*lineage.licenses, *_stated(lineage.folder)) if one]
    layers = [layer for one in dict.fromkeys(given) for layer in _licence_layers(one, lineage.shown, subject)]
    known = {layer.rule.id for layer in layers if layer.rule}
    from_texts = [
        layer
        for file, ids in lineage.texts.items()
        for one in ids
        for layer in _licence_layers(one, f"{file} of {lineage.shown}", subject)
        if layer.rule is None or layer.rule.id not in known
    ]
    if named or (lineage.titled and any(layer.rule for layer in from_texts)):
        layers = [layer for layer in layers if layer.rule is not None]
    return named + layers + from_texts


def _stated(folder: Path) -> tuple[str, ...]:
    """The licence in dataset_info.json, as `datasets` writes it, where it is an id and not a whole text."""
    info = folder / "dataset_info.json"
    try:
        data = json.loads(info.read_bytes()) if info.is_file() else {}
    except ValueError:
        return ()  # whoever reads the data says what is wrong with it
    found = data.get("license") if isinstance(data, dict) else None
    return (found.strip(),) if isinstance(found, str) and len(found) <= 100 and "\n" not in found else ()


def _licence_layers(license_id: str, source: str, subject: str) -> list[Layer]:
    name = f"prompts under {license_id} ({source})"
    found = matching(f"license:{license_id.strip()}", rules())
    return [Layer(name, rule, "prompts", subject=subject) for rule in found] or [
        Layer(name, None, "prompts", subject=subject)
    ]


def _subject(lineage: Lineage | None, section: Prompts) -> str:
    return (lineage.repository or lineage.shown) if lineage is not None else section.source.name


def _untold(lineage: Lineage, layers: list[Layer], section: Prompts) -> list[str]:
    warnings = []
    if not layers and section.license is None:
        warnings.append(
            f"the data set {lineage.shown} names no licence, and without one nothing is granted; give prompts.license "
            "where you know it"
        )
    if "synthetic" in lineage.tags and section.license is None:
        warnings.append(
            f"the data set {lineage.shown} calls itself synthetic: the terms of whichever model wrote it bind too; "
            "read its card"
        )
    return warnings
