"""The grouping key of a logged exchange: what the log itself says about which job a request belongs to."""

import json
from collections.abc import Mapping
from typing import Any

from potstill.exchanges.record import mapping

# Where people and tools put the name of a job, the most telling first.
_NAMES = ("job", "feature", "task", "use_case", "generation_name", "trace_name", "prompt_name", "prompt_id", "app")


def job_of(row: Mapping[str, Any], request: Mapping[str, Any], key: str | None) -> str | None:
    """The job of a row: the value under the dotted `key` where one is given, else the first name that the log has.

    Looked at are the metadata of the row and of its request (OpenAI's `metadata`, LiteLLM's too), the row itself, then
    LiteLLM's request tags and the alias of its key. Who asked (`user`) is no job; `key` may name it.
    """
    if key is not None:
        return _named(_under(row, key) or _under(request, key))
    metadata = [_metadata(row), _metadata(request)]
    extra = [mapping(one.get(name)) for one in metadata for name in ("spend_logs_metadata", "requester_metadata")]
    for place in (*metadata, *extra, row):
        for name in _NAMES:
            if found := _named(place.get(name)):
                return found
    tags = _decoded(row.get("request_tags")) or metadata[0].get("tags") or row.get("tags")
    if isinstance(tags, list):
        named = [tag for tag in tags if isinstance(tag, str) and tag.strip() and not tag.startswith("User-Agent:")]
        if named:
            return "+".join(sorted(named))
    return _named(metadata[0].get("user_api_key_alias")) or _named(row.get("endpoint_name"))


def _metadata(place: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(_decoded(place.get("metadata")))


def _under(place: Mapping[str, Any], key: str) -> Any:
    found: Any = place
    for name in key.split("."):
        found = mapping(_decoded(found)).get(name)
    return found


def _decoded(value: Any) -> Any:
    """Logs keep objects as JSON texts too."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def _named(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value).strip() or None
