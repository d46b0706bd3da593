"""What a model folder says of itself without being loaded: its weights' hash and its context. No torch here."""

import json
from pathlib import Path

from potstill.models.fetch import file_sha256


def weights_revision(folder: Path) -> str:
    """SHA-256 (hex) of the weights' file; of several files, the first 16 digits of each joined by "+"."""
    weights = sorted(folder.glob("*.safetensors"))
    return file_sha256(weights[0]) if len(weights) == 1 else "+".join(file_sha256(one)[:16] for one in weights)


def context_tokens(folder: Path) -> int | None:
    """The model's context length, where its config says."""
    try:
        limit = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("max_position_embeddings")
    except (OSError, ValueError):
        return None
    return int(limit) if limit else None
