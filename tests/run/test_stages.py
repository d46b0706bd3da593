"""Markers, skipping, exactly which stages a change redoes, and going on after being killed anywhere."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rooms import RECIPE, Killed, Lines, Rooms

from potstill import ledger
from potstill.config import Recipe, recipe_from
from potstill.errors import Inconclusive, NotAccepted, PotstillError, RecipeError, TermsStopped
from potstill.run import run, run_recipe, verify
from potstill.run.folder import find_recipe, locked, read_recipe
from potstill.run.inputs import resolved
from potstill.run.markers import changed_outputs, marker_path, read_marker
from potstill.run.stages import STAGE_NAMES, STAGES, stages_until

Make = Callable[..., Recipe]


def done_since(rooms: Rooms, folder: Path, recipe: Recipe) -> list[str]:
    """The stages that another run of the folder does again."""
    before = {name: read_marker(folder, name) for name in STAGE_NAMES}
    run_recipe(recipe, folder)
    after = {name: read_marker(folder, name) for name in STAGE_NAMES}
    return [name for name in STAGE_NAMES if _started(folder, name) > 1 and before[name] != after[name]]


def _started(folder: Path, stage: str) -> int:
    entries = ledger.read(folder / "ledger.jsonl")
    return sum(one.kind == "stage_started" and one.facts["stage"] == stage for one in entries)


def test_a_run_leaves_markers_a_ledger_and_the_resolved_recipe(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    for stage in STAGES:
        marker = read_marker(folder, stage.name)
        assert marker is not None
        assert changed_outputs(folder, marker) == []
        assert "potstill" in marker.versions
    assert read_recipe(folder).signals.kind == "sampled"
    assert "kind: forward_kl" in (folder / "recipe.yaml").read_text(encoding="utf-8")
    kinds = [entry.kind for entry in ledger.read(folder / "ledger.jsonl")]
    assert kinds == ["run", "terms"] + ["stage_started", "stage_finished"] * 7
    terms = read_marker(folder, "terms")
    assert terms is not None
    assert {"verdict", "rule", "document", "section", "obligations", "url"} <= terms.facts.keys()
    assert verify(folder) == []


def test_a_second_run_does_nothing_again(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    lines = Lines()
    run_recipe(recipe(), folder, reporter=lines)
    assert set(rooms.calls.values()) == {1}
    assert "train: done before, and nothing that it reads has changed" in lines.said


@pytest.mark.parametrize(
    ("sections", "redone"),
    [
        ({"evaluate": {"resamples": 500}}, ["evaluate", "export"]),
        ({"accept": {"kl_nats": "<= 3"}}, ["evaluate", "export"]),
        ({"train": {"epochs": 9}}, ["train", "evaluate", "export"]),
        ({"student": {"kind": "pruned", "keep_layers": 1}}, ["train", "evaluate", "export"]),
        ({"collect": {"temperature": 0.1}}, ["collect", "screen", "train", "evaluate", "export"]),
        ({"collect": {"batch_size": 3}}, ["collect", "export"]),
        ({"collect": {"budget_usd": 5}}, ["export"]),
        # Screening asks no teacher again, and what it leaves out is trained on no more.
        ({"screen": {"languages": ["en"]}}, ["screen", "train", "evaluate", "export"]),
        # Nothing is left out in these rooms without languages: the report is made anew, the student is not.
        ({"screen": {"refusals": True}}, ["screen", "evaluate", "export"]),
        ({"train": {"checkpoint_every_s": 5}}, ["export"]),
        ({"export": {"papers": ["spdx"]}}, ["export"]),
        ({"prompts": {"source": "prompts.jsonl", "holdout": 0.3}}, list(STAGE_NAMES[1:])),
        ({"use": {"purpose": "glossary"}}, ["terms", "evaluate", "export"]),
    ],
)
def test_a_change_redoes_exactly_what_reads_it(
    rooms: Rooms, recipe: Make, tmp_path: Path, sections: dict[str, Any], redone: list[str]
) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    assert done_since(rooms, folder, recipe(**sections)) == redone
    assert done_since(rooms, folder, recipe(**sections)) == []
    assert verify(folder) == []


def test_other_prompts_in_the_same_file_redo_the_run(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    with (tmp_path / "prompts.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"prompt": "trombone"}\n')
    assert done_since(rooms, folder, recipe()) == list(STAGE_NAMES[1:])


def test_a_newer_version_of_a_stages_code_redoes_it(
    rooms: Rooms, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    from dataclasses import replace

    newer = tuple(replace(one, code_version=99) if one.name == "collect" else one for one in STAGES)
    monkeypatch.setattr("potstill.run.stages.STAGES", newer)
    assert done_since(rooms, folder, recipe()) == ["collect"]  # its output is the same, so nothing after it is redone


@pytest.mark.parametrize("damage", ["delete", "change"])
def test_an_output_that_was_lost_or_changed_is_made_again(
    rooms: Rooms, recipe: Make, tmp_path: Path, damage: str
) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    weights = folder / "student" / "model.safetensors"
    kept = weights.read_bytes()
    weights.unlink() if damage == "delete" else weights.write_bytes(b"other")
    run_recipe(recipe(), folder)
    assert (rooms.calls["train"], rooms.calls["evaluate"]) == (2, 1)
    assert weights.read_bytes() == kept
    assert verify(folder) == []


def test_until_stops_after_a_stage_and_later_goes_on(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="collect")
    assert dict(rooms.calls) == {"collect": 1}
    run_recipe(recipe(), folder)
    assert set(rooms.calls.values()) == {1}
    with pytest.raises(RecipeError, match="there are terms, prompts"):
        stages_until("cooking")


def test_a_student_that_is_not_accepted_is_not_exported(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    rooms.word = "no ship"
    with pytest.raises(NotAccepted, match=r"as the test wants.*report\.html") as caught:
        run_recipe(recipe(train={"epochs": 2}), folder)
    assert caught.value.exit_code == 3
    assert not (folder / "export").exists()  # nor does the export of the earlier recipe stay
    assert verify(folder) == []
    with pytest.raises(NotAccepted):  # nothing is left to do, and the answer is the same
        run_recipe(recipe(train={"epochs": 2}), folder)
    assert rooms.calls["evaluate"] == 2


def test_an_undecided_student_is_reported_and_not_exported(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    rooms.word = "inconclusive"
    lines = Lines()
    with pytest.raises(Inconclusive) as caught:
        run_recipe(recipe(), tmp_path / "run", reporter=lines)
    assert caught.value.exit_code == 5
    assert not (tmp_path / "run" / "export").exists()
    assert any("0.610 (0.590 to 0.630, n=12)  asked >= 0.6: undecided" in one for one in lines.said)
    assert "decision: inconclusive (as the test wants)" in lines.said


def test_a_recipe_that_asks_nothing_cannot_fail(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    rooms.word = "inconclusive"
    run_recipe(recipe(accept={}), tmp_path / "run")
    assert rooms.calls["export"] == 1


def test_terms_stop_the_run_before_anything_is_asked(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    endpoint = {"base_url": "https://api.openai.com/v1", "model": "gpt-4.1"}
    student = {"kind": "model", "model": "path:./student"}
    stopped = recipe(teacher={"endpoint": endpoint}, student=student, use={"competes_with_teacher_provider": True})
    with pytest.raises(TermsStopped):
        run_recipe(stopped, tmp_path / "run")
    assert not rooms.calls
    entries = ledger.read(tmp_path / "run" / "ledger.jsonl")
    assert [one.facts["cleared"] for one in entries if one.kind == "terms"] == [False]


def test_own_rules_are_recorded_and_a_change_of_them_redoes_what_reads_the_terms(
    rooms: Rooms, recipe: Make, tmp_path: Path
) -> None:
    own = tmp_path / "own.yaml"
    rule = {
        "id": "our-contract", "provider": "Somebody", "kind": "licence", "applies_to": ["license:apache-2.0"],
        "output_training": "allowed", "summary": "", "conditions": ["all is allowed"], "obligations": [],
        "document": "Contract", "version_or_date": "2026", "section": "1", "url": "our archive", "basis": "read",
        "confidence": "high", "checked": "2026-11-25",
    }  # fmt: skip
    own.write_text(json.dumps({"rules": [rule]}), encoding="utf-8")
    folder = run_recipe(recipe(), tmp_path / "run")
    with_rules = recipe(terms={"rules": "own.yaml"})
    assert done_since(rooms, folder, with_rules) == ["terms", "evaluate", "export"]
    assert done_since(rooms, folder, with_rules) == []
    assert str(own) in (folder / "recipe.yaml").read_text(encoding="utf-8")
    expected = [{"file": "own.yaml", "sha256": hashlib.sha256(own.read_bytes()).hexdigest()}]
    marker = read_marker(folder, "terms")
    assert marker is not None
    assert (marker.facts["rule"], marker.facts["own_rules"]) == ("our-contract", expected)
    decisions = [one.facts for one in ledger.read(folder / "ledger.jsonl") if one.kind == "terms"]
    assert [one.get("own_rules") for one in decisions] == [None, expected]
    own.write_text(json.dumps({"rules": [rule | {"summary": "In short: yes."}]}), encoding="utf-8")
    assert "terms" in done_since(rooms, folder, with_rules)  # another file, although it decides the same
    assert verify(folder) == []


def test_without_own_rules_a_run_reads_what_it_did_before_there_could_be_any(recipe: Make) -> None:
    assert "terms" not in resolved(recipe())
    assert resolved(recipe(terms={"rules": []})) == resolved(recipe())
    for stage in STAGES:
        assert not {"terms", "own_rules"} & stage.reads(recipe()).keys()


def test_a_text_that_the_terms_want_is_asked_for_before_anything_is_paid_for(
    rooms: Rooms, recipe: Make, tmp_path: Path
) -> None:
    (tmp_path / "teacher").mkdir()
    teacher = {"model": "path:teacher", "license": "mit"}
    with pytest.raises(TermsStopped, match=r"export\.licence_files: \{mit: FILE\}"):
        run_recipe(recipe(teacher=teacher), tmp_path / "run")
    assert not rooms.calls
    (tmp_path / "LICENSE").write_text("Permission is hereby granted", encoding="utf-8")
    given = recipe(teacher=teacher, export={"licence_files": {"mit": "LICENSE"}})
    folder = run_recipe(given, tmp_path / "run")
    (tmp_path / "LICENSE").write_text("Permission is hereby granted, free of charge", encoding="utf-8")
    assert done_since(rooms, folder, given) == ["export"]


def unbroken(rooms: Rooms, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """What a run leaves that has nothing to do with the clock."""
    run_recipe(recipe, folder)
    return {stage: read_marker(folder, stage).outputs for stage in STAGE_NAMES}


@pytest.mark.parametrize("stage", STAGE_NAMES[2:])
def test_killed_inside_a_stage(rooms: Rooms, recipe: Make, tmp_path: Path, stage: str) -> None:
    expected = unbroken(rooms, recipe(), tmp_path / "whole")
    rooms.calls.clear()
    rooms.dies_in = stage
    with pytest.raises(Killed):
        run_recipe(recipe(), tmp_path / "run")
    rooms.dies_in = None
    assert unbroken(rooms, recipe(), tmp_path / "run") == expected
    assert rooms.calls == {name: 2 if name == stage else 1 for name in STAGE_NAMES[2:]}
    assert verify(tmp_path / "run") == []


@pytest.mark.parametrize("write", range(28))
def test_killed_at_any_write_of_ledger_or_marker(
    rooms: Rooms, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: int
) -> None:
    expected = unbroken(rooms, recipe(), tmp_path / "whole")
    left = write
    # An even number dies just before the write, the odd one after it just after it.
    before, at = write % 2 == 0, write // 2

    def dying(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            nonlocal left
            counted[0] += 1
            if before and counted[0] == at + 1:
                raise Killed
            result = function(*arguments)
            if not before and counted[0] == at + 1:
                raise Killed
            return result

        return call

    counted = [0]
    with monkeypatch.context() as patch:
        for room in ("pipeline", "folder"):
            patch.setattr(f"potstill.run.{room}.put_in_place", dying(sys.modules["potstill.run.markers"].put_in_place))
        patch.setattr("potstill.ledger.append", dying(ledger.append))
        with pytest.raises(Killed):
            run_recipe(recipe(), tmp_path / "run")
    assert unbroken(rooms, recipe(), tmp_path / "run") == expected
    assert verify(tmp_path / "run") == []


def test_sigkill_of_a_real_process(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(
        textwrap.dedent("""
            import os, signal, sys
            from pathlib import Path
            from potstill.run import folder
            home = Path(sys.argv[1])
            home.mkdir()
            with folder.locked(home):
                os.kill(os.getpid(), signal.SIGKILL)
        """),
        encoding="utf-8",
    )
    ended = subprocess.run([sys.executable, str(script), str(tmp_path / "run")], check=False, env=dict(os.environ))
    assert ended.returncode == -signal.SIGKILL
    assert (tmp_path / "run" / ".lock").read_text(encoding="utf-8").isdigit()
    with locked(tmp_path / "run"):  # the dead process holds nothing
        pass


def test_two_processes_do_not_run_one_folder(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        locked(folder),
        pytest.raises(PotstillError, match=rf"another potstill process \(pid {os.getpid()}\) is working on this run"),
    ):
        run_recipe(recipe(), folder)


def test_folders_that_are_no_place_for_a_run(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x", encoding="utf-8")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "recipe.yaml").write_text("name: small", encoding="utf-8")
    other = run_recipe(recipe(name="other"), tmp_path / "other", until="prompts")
    for place, words in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "full", "no run"),
        (tmp_path / "own", "no run"),
        (other, "'other'"),
    ):
        with pytest.raises(RecipeError, match=words):
            run_recipe(recipe(), place)
    assert (tmp_path / "full" / "thesis.tex").exists()


def test_a_damaged_marker_names_itself(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run")
    marker_path(folder, "train").write_text("{", encoding="utf-8")
    with pytest.raises(PotstillError, match=r"train\.json: not a marker"):
        run_recipe(recipe(), folder)


def test_run_loads_a_recipe_file_and_takes_overrides(
    rooms: Rooms, recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe()
    (tmp_path / "recipe.yaml").write_text(json.dumps(RECIPE), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    folder = run("recipe.yaml", overrides=["train.epochs=1"])
    assert folder == Path("runs/small")
    assert read_recipe(folder).train.epochs == 1
    lines = Lines()
    run(Path("recipe.yaml"), reporter=lines)
    assert lines.said[0].startswith("the recipe has changed")


def test_the_recipe_in_the_folder_is_the_recipe(rooms: Rooms, recipe: Make, tmp_path: Path) -> None:
    folder = run_recipe(recipe(), tmp_path / "run", until="prompts")
    assert resolved(read_recipe(folder)) == resolved(recipe())
    assert recipe_from(dict(resolved(recipe())), tmp_path, "again").name == "small"


def test_a_bare_word_is_a_packaged_recipe_unless_a_file_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_recipe("nothing") == Path("nothing")
    assert find_recipe("some/recipe.yaml") == Path("some/recipe.yaml")
    packaged = find_recipe("quickstart")
    if packaged.is_file():
        assert packaged.name == "recipe.yaml"
    (tmp_path / "quickstart").write_text("name: mine", encoding="utf-8")
    assert find_recipe("quickstart") == Path("quickstart")


def test_a_folder_that_cannot_be_made_says_which_and_what_to_do(recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecipeError, match=r"file/run: cannot be made \(Not a directory\); choose another .* --out"):
        run_recipe(recipe(), tmp_path / "file" / "run")
