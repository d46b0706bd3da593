"""Croissant's own validator and loader, in a process of its own: its pandas is kept out of every other (Makefile)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from exported import APACHE, SERVER, WEIGHTS, WHEEL, make, run_folder

from potstill.export import export

PACKAGES = Path(__file__).parents[2] / ".peers" / "croissant"
# mlcroissant reads the file, checks it, and loads the rows by what it says of them.
LOAD = """
import json, logging, sys
import mlcroissant
logging.disable()
dataset = mlcroissant.Dataset(sys.argv[1])
rows = list(dataset.records("answers"))
issues = dataset.metadata.ctx.issues
print(json.dumps({"rows": len(rows), "first": {key: str(value) for key, value in rows[0].items()},
                  "errors": list(issues.errors), "warnings": list(issues.warnings)}))
"""


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    if not (PACKAGES / "mlcroissant").is_dir():
        if os.environ.get("POTSTILL_REQUIRE_CROISSANT"):
            pytest.fail(f"{PACKAGES} is not there; `make test` makes it")
        pytest.skip("mlcroissant is not there; `make test` fetches it")
    return {**os.environ, "PYTHONPATH": str(PACKAGES)}


def metadata(tmp_path: Path, **sections: Any) -> Path:
    recipe = make(tmp_path, use={"distributed": False}, **sections)
    folder = run_folder(tmp_path, recipe=recipe)
    export(recipe, APACHE, folder)
    return folder / "export" / "answers" / "croissant.json"


@pytest.mark.parametrize("served", [False, True])
def test_its_own_library_validates_and_loads_it(served: bool, tmp_path: Path, environment: dict[str, str]) -> None:
    sections = {"teacher": SERVER, "student": {"kind": "model", "model": "hub:a/b"}} if served else {}
    path = metadata(tmp_path, **sections)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, path.name],
        cwd=path.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["errors"], found["warnings"]) == ([], [])
    assert found["rows"] == 6
    assert found["first"]["answers/answer"] == "b'A kettle is a thing.'"
    assert found["first"]["answers/rule"] == "b'apache-2.0'"
    names = pq.read_schema(path.parent / "answers.parquet").names
    assert set(found["first"]) == {f"answers/{name}" for name in names}


def test_the_teacher_is_what_generated_the_answers(tmp_path: Path) -> None:
    told = json.loads(metadata(tmp_path).read_text())
    assert told["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert [one["url"] for one in told["usageInfo"]] == ["https://www.apache.org/licenses/LICENSE-2.0"]
    activity = told["prov:wasGeneratedBy"]
    assert activity["@type"] == "prov:Activity"
    (agent,) = activity["prov:wasAssociatedWith"]
    assert (agent["@type"], agent["prov:label"], agent["version"]) == (
        "prov:SoftwareAgent", f"teacher {WHEEL}", [WEIGHTS]
    )  # fmt: skip
    assert activity["prov:startedAtTime"] <= activity["prov:endedAtTime"]
    assert activity["prov:used"]["@id"].startswith("urn:sha256:")
    fields = {field["name"]: field for field in told["recordSet"][1]["field"]}
    assert fields["judge_score"]["dataType"] == "sc:Integer"
    assert fields["finished"]["equivalentProperty"] == "prov:generatedAtTime"
    assert fields["left_out_for"]["isArray"] is True
