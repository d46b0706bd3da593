"""What a stage's marker says of the code that ran."""

import shutil
from pathlib import Path

import pytest

import potstill
from potstill.run import versions


@pytest.mark.parametrize(
    "name", ["stats/__init__.py", "evaluate/report.html.j2", "evaluate/page/style.css", "terms/rules/google.yaml"]
)
def test_whatever_shapes_a_stages_output_is_in_the_sources_hash(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "potstill"
    shutil.copytree(Path(potstill.__file__).parent, copy)
    before = versions._source_hash()
    monkeypatch.setattr(potstill, "__file__", str(copy / "__init__.py"))
    assert versions._source_hash() == before  # wherever it lies
    (copy / "__pycache__").mkdir(exist_ok=True)
    (copy / "__pycache__" / "any.pyc").write_bytes(b"\0")
    assert versions._source_hash() == before
    with (copy / name).open("a") as file:
        file.write("\n")
    assert versions._source_hash() != before
