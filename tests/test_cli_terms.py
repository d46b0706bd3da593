"""`potstill terms`: what its verbs print, in words and as JSON, and their exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from potstill import cli
from potstill.terms.rule_files import packaged

OPENAI = ("--endpoint", "https://api.openai.com/v1", "--model", "gpt-4.1")
LLAMA = ("--model", "hub:meta-llama/Llama-3.1-8B-Instruct")
CONTRACT: dict[str, Any] = {
    "id": "our-contract", "provider": "OpenAI", "kind": "terms", "applies_to": ["openai:gpt-4.1*"],
    "output_training": "allowed", "summary": "Signed in 2026.", "conditions": ["training is allowed"],
    "obligations": [], "document": "Contract 17", "version_or_date": "2026-03-01", "section": "4", "url": "our archive",
    "basis": "read: the signed text", "confidence": "high", "checked": "2026-03-02", "recheck_days": 30,
}  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("ours.yaml").write_text(yaml.safe_dump({"rules": [CONTRACT]}), encoding="utf-8")
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> tuple[list[str], str]:
    """Lines on standard output, and the text on standard error, of a command that ends with this code."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["terms", *arguments])
    shown = capsys.readouterr()
    assert ended.value.code == code, shown.err
    assert "Traceback" not in shown.err
    return shown.out.splitlines(), shown.err.strip()


def test_list_has_one_line_a_rule_under_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = told(capsys, "list")
    rows = {line.split()[0]: line for line in lines if line.startswith("  ")}
    assert set(rows) == {rule.id for rule in packaged()}
    for rule in packaged():
        row = rows[rule.id]
        assert f" {rule.output_training} " in row
        assert ", ".join(rule.applies_to) in row
        assert f"[{rule.version_or_date}]" in row
        assert (f"checked {rule.checked}" if rule.checked else "never compared") in row
    heads = [line for line in lines if line and not line.startswith("  ")]
    assert len(heads) == len({rule.origin for rule in packaged()})
    at = lines.index(next(line for line in heads if line.startswith("Meta (Llama) (meta.yaml): ")))
    assert lines[at + 1].split()[:2] == ["llama2", "prohibited"]


def test_list_puts_own_rules_first_and_marks_what_is_overdue(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = told(capsys, "list", "--rules", "ours.yaml")
    assert lines[0] == "your own (ours.yaml): they go before the others"
    assert lines[1].split()[:4] == ["our-contract", "allowed", "checked", "2026-03-02!"]


def test_show_has_all_that_a_rule_says(capsys: pytest.CaptureFixture[str]) -> None:
    for rule in packaged():
        lines, _ = told(capsys, "show", rule.id)
        text = "\n".join(lines)
        said = (rule.provider, rule.output_training, rule.document, rule.version_or_date, rule.section, rule.url,
                rule.basis, rule.confidence, rule.summary, rule.origin, rule.kind)  # fmt: skip
        for one in (*said, *rule.applies_to, *rule.conditions, *rule.obligations):
            assert one in text, rule.id
        assert lines[-1] == "Potstill gives no legal advice."
    lines, _ = told(capsys, "show", "our-contract", "--rules", "ours.yaml")
    assert "file: ours.yaml (your own)" in lines
    age = next(line for line in lines if line.startswith("age: "))
    assert age.startswith("age: compared with its document on 2026-03-02; ")
    assert age.endswith(" days ago: look at the document again")


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ("lama3.1", "did you mean llama3.1 or "),
        ("LLAMA4", "did you mean llama4"),
        ("vertex", "did you mean google-cloud-vertex-terms?"),
        ("zzzzzzzzzzz", "`potstill terms list` shows all"),
    ],
)
def test_show_names_what_a_wrong_id_could_have_meant(capsys: pytest.CaptureFixture[str], wrong: str, hint: str) -> None:
    lines, error = told(capsys, "show", wrong, code=1)
    assert lines == []
    assert error.startswith(f"potstill: no rule is called {wrong}; {hint}")


def test_check_of_a_cleared_teacher(capsys: pytest.CaptureFixture[str]) -> None:
    lines, error = told(capsys, "check", *LLAMA)
    assert error == ""
    assert lines[0].startswith("The teacher's terms clear this run: verdict conditional, rule llama3.1: ")
    assert any(line.startswith("  hub:meta-llama/Llama-3.1-8B-Instruct") and "llama3.1" in line for line in lines)
    assert any(line.startswith("obligations: name_prefix:Llama, ") for line in lines)
    assert any(line.startswith("warning: ") for line in lines)


def test_check_as_json_has_what_programs_need(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = told(capsys, "check", *LLAMA, "--json")
    data = json.loads("\n".join(lines))
    assert (data["verdict"], data["cleared"], data["rule"]) == ("conditional", True, "llama3.1")
    assert data["layers"] == [
        {"name": "hub:meta-llama/Llama-3.1-8B-Instruct", "rule": "llama3.1", "verdict": "conditional"}
    ]
    assert "name_prefix:Llama" in data["obligations"]
    assert data["missing_facts"] == []
    assert {"reason", "remedy", "warnings", "document", "version_or_date", "section", "url"} <= data.keys()


def test_check_asks_for_facts_by_name_and_takes_them(capsys: pytest.CaptureFixture[str]) -> None:
    lines, error = told(capsys, "check", *OPENAI, "--json", code=4)
    data = json.loads("\n".join(lines))
    assert data["missing_facts"] == ["use.competes_with_teacher_provider", "use.distributed"]
    assert not data["cleared"]
    assert error.startswith("potstill: the terms of gpt-4.1 at api.openai.com would stop a run: Give use.competes")
    facts = ("--use", "use.competes_with_teacher_provider=false", "--use", "distributed=no")
    assert told(capsys, "check", *OPENAI, *facts)[1] == ""
    lines, _ = told(capsys, "check", *OPENAI, "--use", "competes_with_teacher_provider=true", code=4)
    assert "The recipe says use.competes_with_teacher_provider: true." in lines[0]


def test_check_takes_a_licence_a_student_a_permission_and_rules(capsys: pytest.CaptureFixture[str]) -> None:
    told(capsys, "check", "--model", "hub:some/model", code=4)
    told(capsys, "check", "--model", "hub:some/model", "--license", "apache-2.0")
    qwen = ("check", "--model", "hub:Qwen/Qwen-7B-Chat")
    told(capsys, *qwen, code=4)
    told(capsys, *qwen, "--student", "pruned")
    told(capsys, *qwen, "--student", "hub:Qwen/Qwen1.5-0.5B")
    told(capsys, *qwen, "--student", "hub:Qwen/Qwen3-0.6B", code=4)
    Path("letter.txt").write_text("You may.")
    letter = ("permission.file=letter.txt", "permission.granted_by=Alibaba Qwen", "permission.date=2026-01-01")
    lines, _ = told(capsys, *qwen, *(word for one in letter for word in ("--use", one)))
    assert "cleared by the permission of Alibaba Qwen" in lines[0]
    lines, _ = told(capsys, "check", *OPENAI, "--rules", "ours.yaml")
    assert "Rule our-contract is the recipe's own (ours.yaml)." in lines[0]
    assert any("rule our-contract was last checked" in line for line in lines)  # after its own 30 days
    assert any(line.startswith("warning: rules of your own took part (ours.yaml); without them: ") for line in lines)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--model", "llama"), "'llama' is not a model reference; write hub:ORG/NAME"),
        ((*OPENAI, "--use", "commercial"), "--use commercial: write it as key=value, for example"),
        ((*OPENAI, "--use", "=true"), "--use =true: write it as key=value"),
        ((*OPENAI, "--use", "comercial=true"), "use.comercial: no such key"),
        ((*OPENAI, "--use", "commercial=perhaps"), "use.commercial: "),
        ((*OPENAI, "--use", "commercial=["), "--use commercial=[: the value is not valid YAML"),
        (
            (*OPENAI, "--use", "commercial=true", "--use", "commercial.x=1"),
            "--use commercial.x=1: commercial was given",
        ),
        (("--model", "m", "--endpoint", "api.openai.com"), "teacher.endpoint.base_url: "),
        (("--model", "path:nowhere"), "is not a folder"),
        ((*OPENAI, "--student", "pruned"), "student: pruned cuts layers from a local teacher"),
        ((*OPENAI, "--rules", "none.yaml"), "none.yaml: no such file or folder of rules"),
    ],
)
def test_check_says_in_one_line_what_is_wrong(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], says: str
) -> None:
    lines, error = told(capsys, "check", *arguments, code=2)
    assert lines == []
    assert len(error.splitlines()) == 1
    assert says in error


def test_diff_reads_files_folders_and_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "diff", "package", "package") == (["no rule differs"], "")
    Path("later").mkdir()
    later = CONTRACT | {"output_training": "conditional", "obligations": ["attribution"]}
    Path("later/ours.yaml").write_text(yaml.safe_dump({"rules": [later]}), encoding="utf-8")
    lines, _ = told(capsys, "diff", "ours.yaml", "later")
    assert lines == ["changed our-contract: allowed -> conditional (stricter)", "  obligations: + attribution"]
    lines, _ = told(capsys, "diff", "ours.yaml", "later", "--json")
    assert json.loads("\n".join(lines))["changed"][0]["fields"]["obligations"] == {"old": [], "new": ["attribution"]}
    lines, _ = told(capsys, "diff", "ours.yaml", "package")
    assert lines[-1].startswith("removed our-contract: allowed")
    assert len(lines) == len(packaged()) + 1
    _, error = told(capsys, "diff", "none", "package", code=1)
    assert error == "potstill: none: no such file or folder of rules"


def test_schema_is_the_one_that_the_rules_follow(capsys: pytest.CaptureFixture[str]) -> None:
    lines, _ = told(capsys, "schema")
    schema = jsonschema.Draft202012Validator(json.loads("\n".join(lines)))
    assert schema.is_valid({"rules": [CONTRACT]})
    assert not schema.is_valid({"rules": [{**CONTRACT, "output_training": "perhaps"}]})


def test_a_whole_decision_of_a_fresh_process_is_quick() -> None:
    script = (
        "import sys, time\n"
        "from potstill.terms.question import Question, answer\n"
        "asked = Question('anthropic/claude-x', 'https://openrouter.ai/api/v1')\n"
        "started = time.process_time()\n"
        "answer(asked)\n"
        "print(time.process_time() - started)\n"
        "assert not {'torch', 'transformers', 'numpy'} & sys.modules.keys()\n"
    )
    runs = [
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(3)
    ]
    assert min(float(one.stdout) for one in runs) < 0.05  # reads every file of rules
