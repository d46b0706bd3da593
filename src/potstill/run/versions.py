"""Which code did the work: versions of the libraries and a hash of Potstill's own source, without importing any."""

import hashlib
import platform
from functools import cache
from importlib import metadata
from pathlib import Path

import potstill

_LIBRARIES = (
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "safetensors",
    "numpy",
    "pyarrow",
    "aiohttp",
    "jsonschema",
    "py3langid",
    "sacrebleu",
)


@cache
def versions() -> dict[str, str]:
    """Potstill, its source's hash, Python, and the installed libraries that can change a result."""
    found = {"potstill": potstill.__version__, "source_sha256": _source_hash(), "python": platform.python_version()}
    for library in _LIBRARIES:
        try:
            found[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue  # an extra that is not installed
    return found


def _source_hash() -> str:
    """One hash over every file of the package, so that an edited checkout shows in the ledger.

    Templates, rules and data shape what a stage writes as code does; only what Python caches is left out.
    """
    root = Path(potstill.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(one for one in root.rglob("*") if one.is_file() and one.parent.name != "__pycache__"):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()
