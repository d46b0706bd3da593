"""The report's section on terms: what binds, which facts it was asked about, and what it obliges to."""

from collections.abc import Mapping
from typing import Any, Final

from potstill.config import called
from potstill.evaluate.reporting.wording import capital, printed
from potstill.evaluate.summary import mapping, mappings

_VERDICTS: Final = {
    "allowed": "Allowed",
    "conditional": "Allowed under conditions",
    "prohibited_if_competing": "Allowed unless the student competes with the teacher's provider",
    "prohibited": "Prohibited",
    "unknown": "Unknown",
}
_FACTS: Final = {
    "purpose": "Purpose",
    "competes_with_teacher_provider": "Competes with the teacher's provider",
    "distributed": "Will be passed on to others",
    "commercial": "For commercial use",
}


def terms_section(terms: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that the template shows; runs of an earlier Potstill recorded less, and show less."""
    verdict, meanings = terms.get("verdict"), terms.get("obligations_mean")
    obligations = meanings if isinstance(meanings, list) else terms.get("obligations")
    several = [
        (capital(called(name)), f"{_in_words(one.get('verdict'))}; rule {printed(one.get('rule'))}")
        for name, one in ((name, mapping(found)) for name, found in mapping(terms.get("teachers")).items())
    ]
    decided = [
        (title, terms.get(key) or "not recorded")
        for key, title in (
            ("rule", "Rule that decided"), ("document", "Document"), ("section", "Section"),
            ("version_or_date", "Version"),
        )
    ]  # fmt: skip
    return {
        "verdict": _in_words(verdict) if verdict else "not recorded",
        "reason": terms.get("reason"),
        "rows": several + decided,
        "layers": [_layer(one) for one in mappings(terms.get("bound_by"))],
        "facts": [(_FACTS.get(key, key), _said(value)) for key, value in mapping(terms.get("use")).items()],
        "permissions": [_permission(one) for one in _permissions(terms)],
        "warnings": [str(one) for one in terms.get("warnings") or []],
        "obligations": [str(entry) for entry in obligations] if isinstance(obligations, list) else [],
    }


def _in_words(verdict: Any) -> str:
    return _VERDICTS.get(str(verdict), "Unknown")


def _layer(one: Mapping[str, Any]) -> dict[str, str]:
    version = printed(one.get("version_or_date")) if one.get("version_or_date") else ""
    version += f", section {one['section']}" if one.get("section") else ""
    return {
        "name": printed(one.get("name")), "verdict": _in_words(one.get("verdict")),
        "document": printed(one.get("document") or "no rule fits"), "where": version,
        "url": str(one.get("url") or ""),  # as text: the file leads nowhere by itself
        "checked": f"compared on {one['checked']}" if one.get("checked") else "not compared with the document",
    }  # fmt: skip


def _permissions(terms: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    first = terms.get("permission")
    return ([first] if isinstance(first, Mapping) else []) + mappings(terms.get("more_permissions"))


def _permission(one: Mapping[str, Any]) -> str:
    clears = one.get("clears")
    named = f" for {', '.join(map(str, clears))}" if isinstance(clears, list) and clears else ""
    until = f", until {one['expires']}" if one.get("expires") else ""
    return (
        f"{printed(one.get('granted_by'))} on {printed(one.get('date'))}{named}{until} "
        f"(sha256 of the file: {printed(one.get('sha256'))})"
    )


def _said(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else printed(value)
