"""A STIX 2.1 bundle of cases: keyed pseudonyms, a TLP marking, an expiry, and nothing of any prompt."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from potstill.errors import PotstillError
from potstill.guard.cases.case import CASES, Case, read_cases
from potstill.guard.pseudonyms import Pseudonyms
from potstill.store.durable import written_whole

TLP: Final = ("white", "green", "amber", "red")
_MOST_DAYS: Final = 365
_NAMESPACE: Final = uuid.UUID("6d6f0a2c-5c2f-4f0e-9d8e-2b1f7f3f5a11")  # of this program's identifiers
_SCHEMA_VERSION: Final = "1.0.0"
_TECHNIQUE: Final = "AML.T0024.002"
_DISCLAIMER: Final = (
    "A statistical finding, not proof: accounts act as one beyond chance. Whether that breaks an agreement is for a "
    "person to decide."
)


@dataclass(frozen=True, slots=True)
class Terms:
    """How a bundle is shared. `key` is the group's own, not that of the scan: pseudonyms are replaced once more."""

    key: bytes = field(repr=False)
    now: datetime  # in UTC
    tlp: str = "amber"  # out of TLP
    days: int = 90  # until it expires

    def check(self) -> None:
        """Raises PotstillError for terms that cannot be."""
        if self.tlp not in TLP:
            raise PotstillError(f"--tlp {self.tlp}: wanted is one of {', '.join(TLP)}")
        if not 1 <= self.days <= _MOST_DAYS:
            raise PotstillError(f"--expires-days {self.days}: wanted is a number from 1 to {_MOST_DAYS}")


def export_stix(scan: Path, out: Path, terms: Terms) -> int:
    """Write the bundle of a scan's cases to `out`. Returns how many cases are in it.

    Raises PotstillError where there are no cases to read, or none that may be shared.
    """
    terms.check()
    cases, about = read_cases(scan / CASES)
    shared = shareable(cases)
    if not shared:
        raise PotstillError(
            f"{scan / CASES}: no case to share: only those with evidence that are neither explained nor licensed are"
        )
    bundle = bundle_of(shared, terms, str(about.get("key_id", "")))
    with written_whole(out) as file:
        file.write((json.dumps(bundle, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))
    return len(shared)


def shareable(cases: Sequence[Case]) -> list[Case]:
    """Cases with evidence that nothing innocent explains; what an operator only watches stays at home."""
    return [
        one for one in cases
        if one.outcome == "evidence" and one.explained_by is None and one.action not in ("none", "watch")
    ]  # fmt: skip


def bundle_of(cases: Sequence[Case], terms: Terms, scan_key_id: str = "") -> dict[str, Any]:
    """The bundle as JSON has it. The same cases and terms give the same bundle, to the byte.

    A case becomes a campaign, an indicator over its accounts' pseudonyms that ends to be valid, and the relationships
    between them and the technique. Numbers that STIX has no place for are in a property extension.
    """
    from stix2 import v21

    terms.check()
    names = Pseudonyms(terms.key)
    common = {"created": terms.now, "modified": terms.now, "object_marking_refs": [_marking(terms.tlp).id]}
    sender = v21.Identity(
        id=_id("identity", names.key_id), name="operator of a model API", identity_class="organization", **common,
    )  # fmt: skip
    common["created_by_ref"] = sender.id
    extension = v21.ExtensionDefinition(
        id=_id("extension-definition", "case"), name="Distillation case", version=_SCHEMA_VERSION,
        description="Statistics of accounts that act as one: p- and q-values, kinds of evidence, estimated size.",
        schema=json.dumps(_EXTENSION_SCHEMA), extension_types=["property-extension"], **common,
    )  # fmt: skip
    pattern = v21.AttackPattern(
        id=_id("attack-pattern", _TECHNIQUE), name="Extract AI Model",
        external_references=[{
            "source_name": "mitre-atlas", "external_id": _TECHNIQUE,
            "url": f"https://atlas.mitre.org/techniques/{_TECHNIQUE}",
        }], **common,
    )  # fmt: skip
    objects: list[Any] = [sender, extension, pattern]
    for case in cases:
        objects += _case_objects(case, terms, names, extension.id, pattern.id, common)
    written = [json.loads(one.serialize()) for one in (_marking(terms.tlp), *objects)]
    stamp = f"{names.key_id} {scan_key_id} {terms.now.isoformat()} {' '.join(case.id for case in cases)}"
    return {"type": "bundle", "id": _id("bundle", stamp), "objects": written}


def _case_objects(
    case: Case, terms: Terms, names: Pseudonyms, extension: str, technique: str, common: Mapping[str, Any]
) -> list[Any]:
    from stix2 import v21

    tag = names.of("case", case.id)
    accounts = sorted(names.of("account", one) for one in case.accounts)
    seen = {
        name: value for name, value in (("first_seen", case.first_seen), ("last_seen", case.last_seen)) if value
    }  # fmt: skip
    campaign = v21.Campaign(
        id=_id("campaign", tag), name=f"case {tag}", description=_DISCLAIMER,
        extensions={extension: {"extension_type": "property-extension", **_statistics(case)}}, **seen, **common,
    )  # fmt: skip
    listed = ", ".join(f"'{one}'" for one in accounts)
    indicator = v21.Indicator(
        id=_id("indicator", tag), name=f"accounts of case {tag}", indicator_types=["anomalous-activity"],
        description="Pseudonyms under the key of the sharing group. They mean nothing without it.",
        pattern=f"[user-account:user_id IN ({listed})]", pattern_type="stix", pattern_version="2.1",
        valid_from=terms.now, valid_until=terms.now + timedelta(days=terms.days), **common,
    )  # fmt: skip
    ties = [
        v21.Relationship(
            id=_id("relationship", f"{tag} {kind}"), source_ref=source, relationship_type=kind, target_ref=target,
            **common,
        )
        for source, kind, target in (
            (indicator.id, "indicates", campaign.id), (campaign.id, "uses", technique),
        )
    ]  # fmt: skip
    return [campaign, indicator, *ties]


def _statistics(case: Case) -> dict[str, Any]:
    """Numbers, and words out of fixed lists; no example, no template, no sentence of the case is among them."""
    found = {
        "p_value": case.p_value, "q_value": case.q_value, "smallest_p": case.smallest_p,
        "accounts": len(case.accounts), "evidence": sorted({one.family for one in case.evidence}),
        "kinds": sorted({kind for one in case.evidence for kind in one.kinds}), "exchanges": case.exchanges,
        "tokens": case.tokens, "targets": list(case.targets), "action": case.action,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value not in (None, [])}


_EXTENSION_SCHEMA: Final = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {
        "extension_type": {"const": "property-extension"},
        **{name: {"type": "number", "minimum": 0, "maximum": 1} for name in ("p_value", "q_value", "smallest_p")},
        **{name: {"type": "integer", "minimum": 0} for name in ("accounts", "exchanges", "tokens")},
        **{name: {"type": "array", "items": {"type": "string"}} for name in ("evidence", "kinds", "targets")},
        "action": {"enum": ["none", "watch", "verify identity", "cap", "refuse"]},
    },
    "required": ["extension_type", "p_value", "q_value", "smallest_p", "accounts", "exchanges", "action"],
    "additionalProperties": False,
}


def _id(kind: str, name: str) -> str:
    return f"{kind}--{uuid.uuid5(_NAMESPACE, f'{kind} {name}')}"


def _marking(tlp: str) -> Any:
    from stix2 import v21

    return {"amber": v21.TLP_AMBER, "green": v21.TLP_GREEN, "red": v21.TLP_RED, "white": v21.TLP_WHITE}[tlp]
