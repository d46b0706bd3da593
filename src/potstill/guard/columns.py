"""Whole columns of events from tables: types are cast and identifiers replaced a batch at a time, not row by row."""

from collections.abc import Mapping
from datetime import tzinfo

import pyarrow as pa
import pyarrow.compute as pc

from potstill.guard.clock import EARLIEST_US, LATEST_US
from potstill.guard.row import LONGEST_LABEL, Cleaner
from potstill.guard.schema import COUNTS, FIELDS, IDENTIFIERS, LABELS, SCHEMA, TEXTS, TIMES


def cleaned_columns(batch: pa.RecordBatch, columns: Mapping[str, str], cleaner: Cleaner) -> pa.RecordBatch | None:
    """The batch in the canonical schema, None where a value does not fit its type: then rows are read one by one.

    `columns` is the event's field to the column's name, for those that have another.
    """
    names = set(batch.schema.names)
    wanted = {field: columns.get(field, field) for field in FIELDS}
    given = {field: batch.column(name) for field, name in wanted.items() if name in names}
    if cleaner.metadata_only:
        given = {field: column for field, column in given.items() if field not in TEXTS}
    arrays, naive = [], 0
    try:
        for field in FIELDS:
            kind = SCHEMA.field(field).type
            if field not in given:
                arrays.append(pa.nulls(batch.num_rows, kind))
                continue
            column = given[field]
            if field in TIMES:
                if not pa.types.is_timestamp(column.type):
                    return None
                naive += 0 if column.type.tz else len(column) - column.null_count
                column = _in_utc(column, cleaner.zone)
            elif field in IDENTIFIERS:
                column = _pseudonymous(field, column, cleaner)
            elif field in LABELS or field in TEXTS:
                column = _texts(column, LONGEST_LABEL if field in LABELS else None)
            else:
                column = column.cast(kind)
            arrays.append(column)
    except pa.ArrowException:
        return None
    made = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
    if _odd(made):
        return None
    _note(made, naive, cleaner)
    return made


def _note(batch: pa.RecordBatch, naive: int, cleaner: Cleaner) -> None:
    noted = cleaner.noted
    noted.events += batch.num_rows
    noted.naive_times += naive
    cleaner.note_present(batch)
    times = batch.column("time").drop_null().cast(pa.int64())
    if len(times):
        steps = pc.less(times, pa.concat_arrays([pa.array([cleaner.latest_us]), times[:-1]]))
        noted.backwards += pc.sum(steps).as_py()
        cleaner.latest_us = times[-1].as_py()


def _in_utc(column: pa.Array, zone: tzinfo) -> pa.Array:
    fine = column.cast(pa.timestamp("us", tz=column.type.tz), safe=False)
    if column.type.tz is None:
        fine = pc.assume_timezone(fine, str(zone), ambiguous="earliest", nonexistent="earliest")
    return fine.cast(SCHEMA.field("time").type)


def _texts(column: pa.Array, longest: int | None) -> pa.Array:
    """The column as texts, cut where they are longer; empty ones are none."""
    texts = column.cast(pa.string())
    texts = pc.if_else(pc.equal(texts, ""), None, texts)
    return texts if longest is None else pc.utf8_slice_codeunits(texts, 0, longest)


def _pseudonymous(field: str, column: pa.Array, cleaner: Cleaner) -> pa.Array:
    """Every different value of a batch is replaced once; empty ones are none."""
    coded = column.cast(pa.string()).dictionary_encode()
    of = cleaner.pseudonyms.of
    replaced = pa.array([of(field, one) if one else None for one in coded.dictionary.to_pylist()], pa.string())
    return replaced.take(coded.indices)


def _odd(batch: pa.RecordBatch) -> bool:
    """Whether rows need a look of their own: none has a value, or a count is negative, or a time out of range."""
    if all(column.null_count == len(column) for column in batch.columns):
        return True
    for name in COUNTS:
        least = pc.min(batch.column(name)).as_py()
        if least is not None and least < 0:
            return True
    for name in TIMES:
        ends = pc.min_max(batch.column(name).cast(pa.int64())).as_py()
        if ends["min"] is not None and not (ends["min"] >= EARLIEST_US and ends["max"] < LATEST_US):
            return True
    return False
