"""Which files of a run hold the answers to some requests, and what screening has against them."""

from collections.abc import Collection, Iterable
from pathlib import Path

from potstill.errors import PotstillError
from potstill.store.screening import REASONS, SCREENING, read_screening


def reasons_left_out(folder: Path) -> dict[str, str]:
    """Why screening left answers out, in words, by request."""
    path = folder / SCREENING
    rows = (one for one in read_screening(path) if not one.used) if path.is_file() else ()
    return {one.request_key: ", ".join(REASONS.get(reason, reason) for reason in one.reasons) for one in rows}


def signals_of(folder: Path, keys: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The files of the signal store that hold these requests, by request."""
    paths = sorted((folder / "signals").rglob("*.signals")) if keys else []
    if not paths:
        return {}
    from potstill.store.signals.shard import Shard, digest  # loads torch

    wanted = {digest(key): key for key in keys}
    return _by_key(
        (wanted[one], path.relative_to(folder).as_posix())
        for path in paths
        for one in Shard.open(path).index["key"].tolist()
        if one in wanted
    )


def tables_of(folder: Path, exported: Iterable[str], keys: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Those of the exported files that are tables and hold answers to these requests, by request."""
    names = [name for name in exported if name.endswith(".parquet")] if keys else []
    return _by_key((key, name) for name in names for key in _keys_in(folder / name) if key in keys)


def _keys_in(table: Path) -> list[str]:
    """The requests that a table has answers of. Raises PotstillError where it cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if "request_key" not in pq.read_schema(table).names:
            return []
        found: list[str] = pq.read_table(table, columns=["request_key"])["request_key"].to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise PotstillError(
            f"{table}: cannot be read ({error}); `potstill verify` says whether it was changed"
        ) from None
    return found


def _by_key(found: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    files: dict[str, list[str]] = {}
    for key, name in found:
        files.setdefault(key, []).append(name)
    return {key: tuple(names) for key, names in files.items()}
