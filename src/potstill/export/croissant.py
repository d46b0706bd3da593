"""Croissant 1.1: the answers as a data set that loaders read, with the teachers as what generated it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from potstill.export.answers import ANSWERS
from potstill.export.columns import COLUMNS
from potstill.export.lineage import Layer
from potstill.export.subject import Ancestor, Subject
from potstill.ledger import file_hash

FILE = "croissant.json"
# Appendix 1 of the specification, and PROV-O.
_CONTEXT: Mapping[str, Any] = {
    "@language": "en", "@vocab": "https://schema.org/", "arrayShape": "cr:arrayShape", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty", "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract", "field": "cr:field", "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes", "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField", "path": "cr:path", "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/", "recordSet": "cr:recordSet", "references": "cr:references",
    "regex": "cr:regex", "repeated": "cr:repeated", "replace": "cr:replace", "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/", "separator": "cr:separator", "source": "cr:source",
    "subField": "cr:subField", "transform": "cr:transform",
}  # fmt: skip
_TYPES = {pa.int32(): "sc:Integer", pa.int64(): "sc:Integer", pa.float64(): "sc:Float", pa.bool_(): "sc:Boolean"}
_MEANS = {"finished": "prov:generatedAtTime", "teacher_reference": "prov:wasAttributedTo"}


def metadata(subject: Subject, folder: Path) -> dict[str, Any]:
    """The whole document for the folder that holds answers.parquet; specification: http://mlcommons.org/croissant/1.1."""
    path = folder / ANSWERS
    name = subject.recipe.name
    layers = dict.fromkeys([*(layer for one in subject.teachers for layer in one.layers), *subject.data_layers])
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": f"{name}-answers",
        "description": f"Answers of a teacher to the prompts of {name}, from which a student was made. {subject.made}",
        # No document licenses this data set as such: teachers' terms bind its use, the prompts' owner its passing on.
        "license": {"@type": "sc:CreativeWork", "name": "see the terms in README.md"},
        "usageInfo": [_terms(one) for one in layers],
        "url": subject.identifier("answers").urn,
        "citeAs": f"The answers from which {name} was made, {subject.created[:10]}.",
        "version": "1.0.0",
        "datePublished": subject.created[:10],
        "creator": {"@type": "sc:Organization", "name": f"the maker of {name}"},
        "prov:wasGeneratedBy": _activity(subject),
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": ANSWERS,
                "name": ANSWERS,
                "contentUrl": ANSWERS,
                "contentSize": f"{path.stat().st_size} B",
                "encodingFormat": "application/x-parquet",
                "sha256": file_hash(path),
            }
        ],
        "recordSet": [_splits(), _rows(pq.read_schema(path))],
    }


def _activity(subject: Subject) -> dict[str, Any]:
    """Who answered what, and when."""
    first, last = subject.answers.first, subject.answers.last
    times = {"prov:startedAtTime": first, "prov:endedAtTime": last}
    return {
        "@type": "prov:Activity",
        "prov:label": "Answering the prompts, a request a row",
        **{key: at.isoformat(timespec="seconds") for key, at in times.items() if at is not None},
        "prov:wasAssociatedWith": [_agent(one) for one in subject.teachers],
        "prov:used": {
            "@type": "prov:Entity",
            "@id": f"urn:sha256:{subject.prompts_sha256}",
            "prov:label": f"the prompts of {subject.recipe.name}",
        },
    }


def _agent(one: Ancestor) -> dict[str, Any]:
    where = f" at {one.host}" if one.host else ""
    return {
        "@type": "prov:SoftwareAgent",
        "prov:label": f"teacher {one.shown}{where if where not in one.shown else ''}",
        "version": list(one.revisions),
        "license": [layer.url or layer.document for layer in one.layers],
    }


def _terms(layer: Layer) -> dict[str, Any]:
    """The document of one layer of a teacher's terms."""
    link = {"url": layer.url} if layer.url else {}
    return {"@type": "sc:CreativeWork", "name": layer.dated, "about": layer.name, **link}


def _splits() -> dict[str, Any]:
    names = ("train", "cr:TrainingSplit"), ("holdout", "cr:TestSplit")
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": name, "splits/url": url} for name, url in names],
    }


def _rows(schema: pa.Schema) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": "answers",
        "name": "answers",
        "description": "One row a request.",
        "key": {"@id": "answers/request_key"},
        "field": [_field(column) for column in schema],
    }


def _field(column: pa.Field) -> dict[str, Any]:
    listed = pa.types.is_list(column.type)
    kind = column.type.value_type if listed else column.type
    field: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"answers/{column.name}",
        "name": column.name,
        "description": COLUMNS.get(column.name, column.name),
        "dataType": "sc:DateTime" if pa.types.is_timestamp(kind) else _TYPES.get(kind, "sc:Text"),
        "source": {"fileObject": {"@id": ANSWERS}, "extract": {"column": column.name}},
    }
    if listed:
        field |= {"isArray": True, "arrayShape": "-1"}
    if column.name == "split":
        field["references"] = {"field": {"@id": "splits/name"}}
    if column.name in _MEANS:
        field["equivalentProperty"] = _MEANS[column.name]
    return field
