import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml
from exported import APACHE, LLAMA, WHEEL, make, run_folder

from potstill.errors import Inconclusive, NotAccepted, PotstillError, TermsStopped
from potstill.export import export

pytest.importorskip("huggingface_hub")
from huggingface_hub import ModelCard


def front_matter(card: str) -> dict[str, Any]:
    data = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(data, dict)
    return data


def card_of(folder: Path) -> str:
    return (folder / "export" / "safetensors" / "README.md").read_text()


def test_the_folder_and_its_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: Any, **__: Any) -> None:
        raise AssertionError("export must not reach for a network")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    folder = run_folder(tmp_path)
    result = export(make(tmp_path), APACHE, folder)
    target = folder / "export" / "safetensors"
    assert result.outputs == ("export/safetensors", "export/answers")
    assert result.facts["papers"] == ["model_card", "cyclonedx", "spdx", "croissant"]
    assert result.facts["licence_files"] == ["LICENSE.txt"]
    assert sorted(path.name for path in target.iterdir()) == [
        "LICENSE.txt", "README.md", "bom.cdx.json", "bom.spdx3.json", "config.json", "model.safetensors"
    ]  # fmt: skip
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert "Apache License" in (target / "LICENSE.txt").read_text()
    assert sorted(path.name for path in (folder / "export").iterdir()) == ["answers", "safetensors"]

    text = card_of(folder)
    read_back = ModelCard(text).data.to_dict()
    assert read_back["license"] == "apache-2.0"
    assert read_back["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    front = front_matter(text)
    assert front["library_name"] == "transformers"
    assert front["pipeline_tag"] == "text-generation"
    assert front["tags"] == ["distillation", "potstill"]
    metrics = {
        metric["type"]: metric["value"] for result in front["model-index"][0]["results"] for metric in result["metrics"]
    }
    assert metrics == {"top1_agreement": 0.6312345, "kl_nats": 0.8}
    for heading in (
        "What this is", "Teacher", "Terms", "Data", "Results", "Decision", "How to use", "How to reproduce", "Files"
    ):  # fmt: skip
        assert f"\n## {heading}\n" in text
    assert "| `top1_agreement` | 0.6312 | 0.61 to 0.65 | 30 | share |" in text
    assert "| `kl_nats` | 0.8 | - | 30 | nats |" in text
    assert "initial_student.kl_nats" in text
    assert "Potstill gives no legal advice." in text
    assert "| `top1_agreement` >= 0.6 | 0.63 |" in text
    assert "134,515,008" in text
    assert "a card of the teacher" not in text
    assert str(tmp_path) not in text


def test_no_ship_is_not_exported(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "no ship")
    with pytest.raises(NotAccepted, match="not exported") as caught:
        export(make(tmp_path), APACHE, folder)
    assert caught.value.exit_code == 3
    assert not (folder / "export").exists()
    export(make(tmp_path, accept={}), APACHE, folder)
    assert (folder / "export" / "safetensors").is_dir()


def test_inconclusive_is_not_exported_unless_nothing_was_asked(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "inconclusive")
    for asked in ({}, {"accept": None}):
        with pytest.raises(Inconclusive, match=r'--despite "REASON"') as caught:
            export(make(tmp_path, **asked), APACHE, folder)
        assert caught.value.exit_code == 5
    assert not (folder / "export").exists()
    export(make(tmp_path, accept={}), APACHE, folder)
    first = card_of(folder).split("## What this is\n\n")[1]
    assert first.startswith("**The evidence is inconclusive**")


@pytest.mark.parametrize(
    ("word", "says"),
    [("no ship", "**This student was not accepted**"), ("inconclusive", "**The evidence is inconclusive**")],
)
def test_what_was_exported_all_the_same_says_why_everywhere(tmp_path: Path, word: str, says: str) -> None:
    folder = run_folder(tmp_path, word)
    why = "a demo on Friday | not for customers"
    result = export(make(tmp_path), APACHE, folder, despite=why)
    assert (result.facts["decision"], result.facts["despite"]) == (word, why)
    card = card_of(folder)
    assert card.split("## What this is\n\n")[1].startswith(says)
    assert f"**It was exported all the same**: {why}. " in card
    assert f"**Exported despite this decision**: {why}" in card
    bom = json.loads((folder / "export" / "safetensors" / "bom.cdx.json").read_text())
    properties = {one["name"]: one["value"] for one in bom["metadata"]["component"]["properties"]}
    assert (properties["potstill:decision"], properties["potstill:despite"]) == (word, why)
    assert why in (folder / "export" / "safetensors" / "bom.spdx3.json").read_text()


def test_the_card_has_the_floors_under_the_slices(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    path = folder / "evaluation.json"
    evaluation = json.loads(path.read_text())
    floor = {"figure": "retention.accuracy", "operator": ">=", "threshold": 0.9, "met": "yes"}
    evaluation["decision"]["floors"] = [floor | {"worst": {"name": "label refund", "value": 0.95}}]
    path.write_text(json.dumps(evaluation))
    export(make(tmp_path), APACHE, folder)
    assert "| `retention.accuracy` >= 0.9 in every slice | 0.95 | - | yes |" in card_of(folder)


def test_the_name_prefix_is_enforced(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    teacher = "hub:meta-llama/Llama-3.1-8B"
    with pytest.raises(TermsStopped, match="Llama-glossary") as caught:
        export(make(tmp_path, teacher), LLAMA, folder)
    assert caught.value.exit_code == 4
    assert not (folder / "export").exists()
    export(make(tmp_path, teacher, name="Llama-glossary"), LLAMA, folder)
    front = front_matter(card_of(folder))
    assert (front["license"], front["base_model"]) == ("llama3.1", "meta-llama/Llama-3.1-8B")
    assert "700,000,000" in card_of(folder)
    assert "Built with Llama" in card_of(folder)
    export(make(tmp_path, teacher, use={"distributed": False}), LLAMA, folder)
    assert "rename it to begin with Llama" in card_of(folder)


def test_a_prefix_with_a_space_takes_a_hyphen(tmp_path: Path) -> None:
    facts = LLAMA | {"obligations": ["name_prefix:Llama 3"]}
    folder = run_folder(tmp_path)
    with pytest.raises(TermsStopped, match="Llama-3-glossary"):
        export(make(tmp_path), facts, folder)
    export(make(tmp_path, name="Llama-3-glossary"), facts, folder)


def test_licence_and_notice_of_a_teacher_folder_are_copied(tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    teacher.mkdir()
    (teacher / "LICENSE").write_text("the teacher's own licence")
    (teacher / "NOTICE.md").write_text("the teacher's own notice")
    folder = run_folder(tmp_path)
    facts = APACHE | {"obligations": ["include_license_copy", "notice_file"]}
    result = export(make(tmp_path, "path:teacher"), facts, folder)
    assert result.facts["licence_files"] == ["LICENSE", "NOTICE.md"]
    assert (folder / "export" / "safetensors" / "LICENSE").read_text() == "the teacher's own licence"
    assert "`path:teacher`" in card_of(folder)
    assert str(tmp_path) not in card_of(folder)


def test_a_licence_without_its_text_is_named(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    facts = LLAMA | {"obligations": ["include_license_copy", "notice_file"]}
    kept = make(tmp_path, "hub:google/gemma-2-2b", use={"distributed": False})
    result = export(kept, facts, folder)
    assert result.facts["licence_files"] == ["LICENSE-TEACHER.txt", "NOTICE-TEACHER.txt"]
    text = (folder / "export" / "safetensors" / "LICENSE-TEACHER.txt").read_text()
    assert "Llama 3.1 Community License Agreement" in text
    assert "https://example.org/llama" in text


def test_a_permissive_tag_in_the_recipe_does_not_reach_the_card(tmp_path: Path) -> None:
    facts = LLAMA | {"rule": "deepseek-r1-distill-llama", "document": "DeepSeek-R1 README section 7", "obligations": []}
    folder = run_folder(tmp_path)
    teacher = {"model": "hub:deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "license": "mit"}
    export(make(tmp_path, teacher=teacher), facts, folder)
    front = front_matter(card_of(folder))
    assert (front["license"], front["license_name"]) == ("other", "deepseek-r1-distill-llama")


@pytest.mark.parametrize(
    ("student", "base"),
    [
        ({"kind": "model", "model": "hub:somebody/small"}, "somebody/small"),
        ({"kind": "model", "model": "path:small"}, None),
        ({"kind": "scratch", "config": {"model_type": "llama"}}, None),
    ],
)
def test_other_students_of_an_endpoint(tmp_path: Path, student: dict[str, Any], base: str | None) -> None:
    folder = run_folder(tmp_path)
    teacher = {"endpoint": {"base_url": "https://api.deepseek.com/v1", "model": "deepseek-chat"}}
    export(make(tmp_path, teacher=teacher, student=student), APACHE, folder)
    front = front_matter(card_of(folder))
    assert front.get("base_model") == base
    assert front["license"] == "other"
    assert "deepseek-chat at api.deepseek.com" in card_of(folder)
    assert (folder / "export" / "safetensors" / "LICENSE-TEACHER.txt").is_file()


def test_exporting_again_replaces_and_cleans_up_after_a_crash(tmp_path: Path) -> None:
    folder = run_folder(tmp_path)
    export(make(tmp_path), APACHE, folder)
    first = card_of(folder)
    for left in ("safetensors.part", "safetensors.old", "answers.part", "answers.old"):
        (folder / "export" / left).mkdir()
        (folder / "export" / left / "half").write_text("x")
    (folder / "export" / "safetensors" / "stale").write_text("x")
    export(make(tmp_path), APACHE, folder)
    assert card_of(folder) == first
    assert sorted(path.name for path in (folder / "export").iterdir()) == ["answers", "safetensors"]
    assert not (folder / "export" / "safetensors" / "stale").exists()


def test_a_full_disk_is_one_line_and_leaves_nothing_half(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run_folder(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("potstill.export.write_card", full)
    with pytest.raises(PotstillError, match="No space left"):
        export(make(tmp_path), APACHE, folder)
    assert list((folder / "export").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [("evaluation.json", None), ("evaluation.json", "{"), ("evaluation.json", "{}"), ("student/config.json", None)],
)
def test_missing_pieces_are_named(tmp_path: Path, name: str, text: str | None) -> None:
    folder = run_folder(tmp_path)
    if text is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(text)
    with pytest.raises(PotstillError, match="run the"):
        export(make(tmp_path), APACHE, folder)


def test_several_teachers_leave_their_own_licences_and_are_all_on_the_card(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "LICENSE.txt").write_text("terms of the other", encoding="utf-8")
    (other / "NOTICE").write_text("notice of the other", encoding="utf-8")
    more = [
        {"name": "code", "model": f"path:{other}", "weight": 3.0},
        {"name": "third", "model": "hub:meta-llama/Llama-3.1-8B", "license": "llama3.1"},
    ]
    recipe = make(tmp_path, more_teachers=more, name="Llama-glossary", use={"distributed": False})
    each = {
        "teacher": APACHE,
        "code": {**APACHE, "obligations": ["include_license_copy", "notice_file"]},
        "third": {**LLAMA, "obligations": [*LLAMA["obligations"], "include_license_copy"]},
    }
    union = sorted({given for one in each.values() for given in one["obligations"]})
    result = export(recipe, {**LLAMA, "obligations": union, "teachers": each}, run_folder(tmp_path))
    folder = tmp_path / "run" / "export" / "safetensors"
    assert (folder / "LICENSE-code.txt").read_text() == "terms of the other"
    assert (folder / "NOTICE-code").read_text() == "notice of the other"
    assert "Apache License" in (folder / "LICENSE.txt").read_text()
    assert "Llama 3.1 Community" in (folder / "LICENSE-TEACHER-third.txt").read_text()
    assert len(result.facts["licence_files"]) == 5
    notice = (folder / "NOTICE.txt").read_text()
    assert notice.startswith("Llama-glossary\n\nBuilt with Llama\n\n")
    assert "Apache License 2.0 (2.0)" in notice
    card = (folder / "README.md").read_text()
    assert "- teacher code: `path:other`, weight 3, takes part in every prompt" in card
    assert f"{WHEEL}, path:other and hub:meta-llama/Llama-3.1-8B" in card
    assert "- teacher third: **conditional** (rule `llama3.1`" in card
    assert str(tmp_path) not in card
