import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from exported import APACHE, LLAMA, SERVER, WEIGHTS, WHEEL, make, run_folder

from potstill.config import Recipe
from potstill.export import export
from potstill.export.answers import JUDGED
from potstill.export.obligations import KINDS
from potstill.export.subject import Ancestor
from potstill.ledger import file_hash
from potstill.store.provenance import PROVENANCE

pytest.importorskip("huggingface_hub")
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from huggingface_hub import DatasetCard, ModelCard
from spdx_python_model import v3_0_1 as spdx

SERVED: dict[str, Any] = {"teacher": SERVER, "student": {"kind": "model", "model": "hub:a/b"}}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "cut from local weights": ({}, APACHE, "ship"),
    "served": (SERVED, LLAMA | {"obligations": ["display:Built with Llama", "noncommercial_only"]}, "inconclusive"),
    "from nothing": (
        {"student": {"kind": "scratch", "config": {"model_type": "llama"}}, "use": {"distributed": False}},
        LLAMA | {"url": "", "obligations": ["student_is_derivative", "internal_only"]},
        "ship",
    ),
    "prompts of a data set": (
        {"use": {"distributed": True, "commercial": False}},
        APACHE
        | {
            "obligations": ["include_license_copy", "noncommercial_only"],
            "layers": [
                {**APACHE, "teacher": "teacher", "name": WHEEL},
                {
                    "teacher": "prompts",
                    "name": "prompts under cc-by-nc-4.0",
                    "rule": "cc-by-nc-4.0",
                    "kind": "data",
                    "document": "CC BY-NC 4.0",
                    "version_or_date": "4.0",
                    "url": "https://example.org/nc",
                    "obligations": ["noncommercial_only", "include_license_copy"],
                },
            ],
        },
        "ship",
    ),
    "several teachers": (
        {"more_teachers": [{"name": "code", "model": "hub:meta-llama/Llama-3.1-8B@abc", "license": "llama3.1"}]},
        APACHE | {"teachers": {"teacher": APACHE, "code": LLAMA}},
        "ship",
    ),
}


def made(tmp_path: Path, case: str) -> tuple[Recipe, Path]:
    sections, facts, word = CASES[case]
    recipe = make(tmp_path, name="Llama-glossary", **sections)
    folder = run_folder(tmp_path, word, recipe if recipe.teacher.endpoint else None)
    export(recipe, facts, folder, despite=None if word == "ship" else "a demo")
    return recipe, folder / "export"


def bom(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "safetensors" / "bom.cdx.json").read_text())
    return found


def elements(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The elements of the SPDX document by type."""
    found: dict[str, list[dict[str, Any]]] = {}
    for one in json.loads((folder / "safetensors" / "bom.spdx3.json").read_text())["@graph"]:
        found.setdefault(one["type"], []).append(one)
    return found


@pytest.mark.parametrize("case", CASES)
def test_cyclonedx_is_valid(case: str, tmp_path: Path) -> None:
    _, folder = made(tmp_path, case)
    text = (folder / "safetensors" / "bom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    student = bom(folder)["metadata"]["component"]
    references = {student["bom-ref"], *(one["bom-ref"] for one in student["pedigree"]["ancestors"])}
    references |= {one["bom-ref"] for one in bom(folder)["components"]}
    named = [one["ref"] for one in bom(folder)["dependencies"]]
    assert {*named, *(end for one in bom(folder)["dependencies"] for end in one.get("dependsOn", []))} <= references


def test_cyclonedx_tells_teacher_data_and_results(tmp_path: Path) -> None:
    _, folder = made(tmp_path, "cut from local weights")
    student = bom(folder)["metadata"]["component"]
    assert (student["type"], student["name"]) == ("machine-learning-model", "Llama-glossary")
    assert student["licenses"][0]["license"]["id"] == "Apache-2.0"
    (teacher,) = student["pedigree"]["ancestors"]
    assert teacher["name"] == WHEEL
    assert teacher["hashes"] == [{"alg": "SHA-256", "content": WEIGHTS}]
    metrics = {one["type"]: one for one in student["modelCard"]["quantitativeAnalysis"]["performanceMetrics"]}
    assert metrics["top1_agreement"]["value"] == "0.6312345"
    assert metrics["top1_agreement"]["confidenceInterval"] == {"lowerBound": "0.61", "upperBound": "0.65"}
    assert "confidenceInterval" not in metrics["kl_nats"]
    assert "chrf" not in metrics
    assert {one["ref"] for one in student["modelCard"]["modelParameters"]["datasets"]} == {"answers", "prompts"}
    hashes = {one["name"]: one["hashes"][0]["content"] for one in student["components"]}
    assert hashes["model.safetensors"] == hashlib.sha256(b"weights").hexdigest()
    assert "LICENSE.txt" in hashes
    answers = next(one for one in bom(folder)["components"] if one["bom-ref"] == "answers")
    assert answers["hashes"][0]["content"] == file_hash(folder.parent / "answers.parquet")


def test_weights_in_several_files_have_no_hash_of_one(tmp_path: Path) -> None:
    several = Ancestor("teacher", "path:large", ("0123456789abcdef+fedcba9876543210",), None, None, None, ())
    assert several.sha256 is None
    assert replace(several, revisions=(WEIGHTS,)).sha256 == WEIGHTS
    assert replace(several, revisions=(WEIGHTS,), host="a.example").sha256 is None


def test_the_terms_of_the_prompts_are_theirs_and_not_the_students(tmp_path: Path) -> None:
    _, folder = made(tmp_path, "prompts of a data set")
    prompts = next(one for one in bom(folder)["components"] if one["bom-ref"] == "prompts")
    assert prompts["licenses"][0]["license"]["id"] == "CC-BY-NC-4.0"
    assert [one["license"]["id"] for one in bom(folder)["metadata"]["component"]["licenses"]] == ["Apache-2.0"]
    expressions = {
        one["simplelicensing_licenseExpression"] for one in elements(folder)["simplelicensing_LicenseExpression"]
    }
    assert expressions == {"Apache-2.0", "CC-BY-NC-4.0"}
    told = json.loads((folder / "answers" / "croissant.json").read_text())
    assert "https://example.org/nc" in [one.get("url") for one in told["usageInfo"]]
    for path in ("safetensors/README.md", "safetensors/NOTICE.txt", "answers/README.md"):
        assert "prompts under cc-by-nc-4.0: CC BY-NC 4.0 (4.0)" in (folder / path).read_text()


def test_cyclonedx_of_a_served_teacher(tmp_path: Path) -> None:
    _, folder = made(tmp_path, "served")
    student = bom(folder)["metadata"]["component"]
    teacher, base = student["pedigree"]["ancestors"]
    assert (teacher["name"], teacher["version"]) == ("deepseek-chat at api.deepseek.com", "deepseek-chat-2026-10")
    assert base["purl"] == "pkg:huggingface/a/b"
    assert teacher["licenses"][0]["license"]["name"] == "Llama 3.1 Community License Agreement (2024-07-23)"
    assert student["licenses"] == [{"license": {"name": "not stated: see the terms in README.md"}}]
    assert {"name": "potstill:limit", "value": "Non-commercial use only."} in student["properties"]
    assert "top1_agreement lies above 0.60 | surely" in student["modelCard"]["considerations"]["technicalLimitations"]


@pytest.mark.parametrize("case", CASES)
def test_spdx_is_valid_and_keeps_the_rules_of_its_profiles(case: str, tmp_path: Path) -> None:
    _, folder = made(tmp_path, case)
    objects = spdx.SHACLObjectSet()
    with (folder / "safetensors" / "bom.spdx3.json").open() as file:
        spdx.JSONLDDeserializer().read(file, objects)  # checks types, values and what must be there
    assert objects.missing_ids == set()
    found = elements(folder)
    (student,) = found["ai_AIPackage"]
    # https://spdx.github.io/spdx-spec/v3.0.1/model/AI/Classes/AIPackage/ and …/AI/AI/: what the profile wants besides.
    wanted = ("software_downloadLocation", "software_primaryPurpose", "releaseTime")
    for key in (*wanted, "suppliedBy", "software_packageVersion"):
        assert student[key], key
    for kind in ("hasDeclaredLicense", "hasConcludedLicense"):
        ends = [one["to"] for one in found["Relationship"]
                if one["relationshipType"] == kind and one["from"] == student["spdxId"]]  # fmt: skip
        assert [len(one) for one in ends] == [1]
    (answers,) = found["dataset_DatasetPackage"]
    for key in (*wanted, "originatedBy", "builtTime"):
        assert answers[key], key


def test_spdx_relates_student_data_and_teachers(tmp_path: Path) -> None:
    _, folder = made(tmp_path, "several teachers")
    found = elements(folder)
    names = {one["spdxId"]: one.get("name") for every in found.values() for one in every if "spdxId" in one}
    related = {(one["relationshipType"], names[one["from"]], names[end])
               for one in found["Relationship"] for end in one["to"] if end in names}  # fmt: skip
    data, student = "answers of Llama-glossary", "Llama-glossary"
    other = "hub:meta-llama/Llama-3.1-8B@abc"
    assert {("trainedOn", student, data), ("testedOn", student, data), ("generates", WHEEL, data),
            ("generates", other, data), ("descendantOf", student, WHEEL)} <= related  # fmt: skip
    entries = {one["key"]: one["value"] for one in found["ai_AIPackage"][0]["ai_metric"]}
    assert (entries["top1_agreement"], entries["top1_agreement.low"], entries["kl_nats.unit"]) == (
        "0.6312345",
        "0.61",
        "nats",
    )
    expressions = {one["simplelicensing_licenseExpression"] for one in found["simplelicensing_LicenseExpression"]}
    assert expressions == {"Apache-2.0", "LicenseRef-llama3.1"}


@pytest.mark.parametrize("case", CASES)
def test_the_cards_are_read_by_the_hubs_library(case: str, tmp_path: Path) -> None:
    recipe, folder = made(tmp_path, case)
    model = ModelCard.load(folder / "safetensors" / "README.md", ignore_metadata_errors=False)
    assert model.data.eval_results is not None
    assert model.data.library_name == "transformers"
    data = DatasetCard.load(folder / "answers" / "README.md", ignore_metadata_errors=False).data.to_dict()
    assert data["size_categories"] == ["n<1K"]
    assert data["configs"] == [{"config_name": "default", "data_files": "answers.parquet"}]
    assert "synthetic" in data["tags"]
    text = (folder / "answers" / "README.md").read_text()
    assert f"# Answers behind {recipe.name}" in text
    for name in pq.read_schema(folder / "answers" / "answers.parquet").names:
        assert f"| `{name}` | " in text


def test_the_data_card_names_what_was_served_and_the_terms(tmp_path: Path) -> None:
    _, folder = made(tmp_path, "served")
    text = (folder / "answers" / "README.md").read_text()
    front = yaml.safe_load(text.split("---\n")[1])
    assert (front["license"], front["license_name"]) == ("other", "non-commercial-use-only-see-terms-below")
    assert "non-commercial-use-only" in front["tags"]
    assert "| `deepseek-chat at api.deepseek.com` | `deepseek-chat-2026-10` | api.deepseek.com | 5 |" in text
    assert "Llama 3.1 Community License Agreement (2024-07-23), https://example.org/llama" in text
    assert "**Non-commercial use only.**" in text


@pytest.mark.parametrize("case", CASES)
def test_no_paper_holds_a_place_on_this_machine_or_a_key(case: str, tmp_path: Path) -> None:
    _, folder = made(tmp_path, case)
    papers = [path for path in folder.rglob("*") if path.suffix in (".json", ".md", ".txt")]
    assert len(papers) >= 6
    for path in papers:
        text = path.read_text()
        for secret in (str(tmp_path), "secret-place", "secret-route", "SECRET_KEY"):
            assert secret not in text, (path.name, secret)


def test_the_pages_script_checks_them(tmp_path: Path) -> None:
    _, folder = made(tmp_path, "cut from local weights")
    page = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=True)
    path = folder / "safetensors" / "bom.cdx.json"
    path.write_text(path.read_text().replace('"machine-learning-model"', '"oracle"'))
    assert subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, check=False).returncode == 1


def test_the_page_names_every_column_and_kind_of_obligation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "papers.md").read_text(encoding="utf-8")
    for one in (*PROVENANCE, *JUDGED):
        assert f"`{one.name}`" in page
    for name, kind in KINDS.items():
        if kind.does is not None:
            assert f"`{name}`" in page or name.startswith("block_distribution"), name


def test_the_same_run_gives_the_same_papers(tmp_path: Path) -> None:
    recipe, folder = made(tmp_path, "cut from local weights")
    first = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    export(recipe, APACHE, folder.parent)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == first


def test_papers_that_the_recipe_leaves_out_are_not_written(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    export(make(tmp_path), APACHE, folder)
    result = export(make(tmp_path, export={"papers": ["spdx"]}), APACHE, folder)
    assert result.outputs == ("export/safetensors",)
    assert sorted(path.name for path in (folder / "export").rglob("*.json")) == ["bom.spdx3.json", "config.json"]
    for name in ("answers.parquet", "prompts.parquet"):
        (folder / name).unlink()
    export(make(tmp_path, export={"papers": []}), APACHE, folder)
    assert "bom" not in (folder / "export" / "safetensors" / "README.md").read_text()


def test_a_kill_leaves_no_half_paper_and_the_next_call_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_folder(tmp_path)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("potstill.export.croissant.metadata", killed)
        with pytest.raises(KeyboardInterrupt):
            export(make(tmp_path), APACHE, folder)
    assert list((folder / "export").iterdir()) == []
    export(make(tmp_path), APACHE, folder)
    assert (folder / "export" / "answers" / "croissant.json").is_file()
