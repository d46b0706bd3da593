"""What a model folder is bound by: its card, its LICENSE files, and ancestors of ancestors wherever they are named."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from potstill.config import recipe_from
from potstill.errors import RecipeError
from potstill.terms import Decision, decide
from potstill.terms.config_families import family_of
from potstill.terms.weights import weights_route, weights_rules

MIT = (
    "Permission is hereby granted, free of charge, to any person obtaining a copy of this software, … the rights to "
    "use, copy, modify, merge, publish, distribute, sublicense … The above copyright notice and this permission notice "
    "shall be included in all copies."
)
LLAMA2 = "LLAMA 2 COMMUNITY LICENSE AGREEMENT … “Llama Materials” means, collectively, …"
QWEN = "Qwen LICENSE AGREEMENT\n\nQwen LICENSE AGREEMENT Release Date: September 19, 2024 … Materials"


def folder(place: Path, front: str | None = None, **files: str | dict[str, Any]) -> Path:
    """A model folder; of a file's name two underscores stand for a dot."""
    place.mkdir(parents=True, exist_ok=True)
    if front is not None:
        (place / "README.md").write_text(f"---\n{front}\n---\n", encoding="utf-8")
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (place / name.replace("__", ".")).write_text(text, encoding="utf-8")
    return place


def ask(place: Path, license_id: str | None = None) -> Decision:
    data = {
        "name": "s",
        "teacher": {"model": f"path:{place}", "license": license_id},
        "prompts": {"source": "prompts.jsonl"},
        "student": {"kind": "model", "model": "hub:somebody/small"},
    }
    return decide(recipe_from(data, Path("/"), "recipe.yaml"))


def ids(decision: Decision) -> set[str]:
    return {rule for _, rule, _ in decision.layers}


# --- licence texts


@pytest.mark.parametrize("name", ["LICENSE", "LICENCE.txt", "license.md", "COPYING", "LICENSE-MODEL"])
def test_a_text_speaks_where_there_is_no_card(tmp_path: Path, name: str) -> None:
    place = folder(tmp_path / "m")
    (place / name).write_text(MIT)
    decision = ask(place)
    assert (decision.rule, decision.cleared) == ("mit", True)
    assert f"{name} of path:m" in decision.layers[0][0]


def test_the_licence_of_the_code_is_not_that_of_the_weights(tmp_path: Path) -> None:
    place = folder(tmp_path / "m")
    (place / "LICENSE-CODE").write_text(MIT)
    assert ask(place).verdict == "unknown"


def test_a_text_that_contradicts_the_card_makes_both_count(tmp_path: Path) -> None:
    decision = ask(folder(tmp_path / "m", "license: mit", LICENSE=LLAMA2))
    assert ids(decision) == {"mit", "llama2"}
    assert (decision.rule, decision.cleared) == ("llama2", False)
    assert "license:mit" in decision.message
    assert "LICENSE of path:m" in decision.message


def test_a_text_that_says_what_the_card_says_is_no_second_layer(tmp_path: Path) -> None:
    assert len(ask(folder(tmp_path / "m", "license: mit", LICENSE=MIT)).layers) == 1


def test_a_text_answers_for_a_card_that_gives_only_a_title(tmp_path: Path) -> None:
    titled = folder(tmp_path / "titled", "license: other\nlicense_name: our-own-terms", LICENSE=QWEN)
    assert ids(ask(titled)) == {"qwen-license-2024"}
    # An id that no rule knows is a licence of its own, which a text beside it does not answer for.
    own = folder(tmp_path / "own", "license: our-own-terms", LICENSE=QWEN)
    assert ids(ask(own)) == {"none", "qwen-license-2024"}
    assert not ask(own).cleared


def test_a_text_that_nobody_knows_is_told(tmp_path: Path) -> None:
    decision = ask(folder(tmp_path / "m", "license: mit", LICENSE__txt="You may look at it."))
    assert decision.cleared
    assert any("LICENSE.txt" in warning and "no text that Potstill knows" in warning for warning in decision.warnings)
    bare = ask(folder(tmp_path / "bare", LICENSE="You may look at it."))
    assert (bare.verdict, bare.cleared) == ("unknown", False)


# --- ancestors


@pytest.mark.parametrize(
    "where",
    [
        {"front": "license: mit\nbase_model: meta-llama/Llama-2-7b-hf\nbase_model_relation: quantized"},
        {"front": "license: mit\nbase_model: [somebody/Llama-2-7b-GGUF]"},  # a copy of it, by its name
        {"front": "license: mit", "adapter_config__json": {"base_model_name_or_path": "meta-llama/Llama-2-7b-hf"}},
        {"front": "license: mit", "adapter_config__json": {"base_model_name_or_path": "/models/Llama-2-7b-hf"}},
        {"front": "license: mit", "config__json": {"_name_or_path": "meta-llama/Llama-2-7b-hf"}},
        {"front": "license: mit", "config__json": {"_name_or_path": "/srv/models/llama2-7b-chat"}},
        {
            "front": "license: mit",
            "mergekit_config__yml": "merge_method: ties\nbase_model: Qwen/Qwen2.5-7B\nmodels:\n"
            "  - model: Qwen/Qwen2.5-7B\n  - model: meta-llama/Llama-2-7b-hf+somebody/adapter\n",
        },
        {
            "front": "license: mit",
            "mergekit_config__yml": "slices:\n  - sources:\n      - model: meta-llama/Llama-2-7b-hf\n",
        },
    ],
)
def test_an_ancestor_binds_wherever_it_is_named(tmp_path: Path, where: dict[str, Any]) -> None:
    decision = ask(folder(tmp_path / "m", **where))
    assert {"mit", "llama2"} <= ids(decision)
    assert not decision.cleared


def test_the_folders_own_name_is_an_ancestor_too(tmp_path: Path) -> None:
    decision = ask(folder(tmp_path / "DeepSeek-R1-Distill-Llama-8B", "license: mit"))
    assert "llama3.1" in ids(decision)
    assert "name_prefix:Llama" in decision.obligations
    assert "ancestor by the name path:DeepSeek-R1-Distill-Llama-8B" in decision.message


def test_an_ancestor_that_is_here_is_followed_to_its_own(tmp_path: Path) -> None:
    folder(tmp_path / "first", "license: apache-2.0\nbase_model: meta-llama/Llama-2-7b-hf")
    folder(tmp_path / "second", f"license: mit\nbase_model: {tmp_path / 'first'}")
    decision = ask(folder(tmp_path / "third", "license: mit\nbase_model: ../second"))
    assert ids(decision) == {"mit", "apache-2.0", "llama2"}
    assert not decision.cleared
    assert any("base_model of path:first" in name for name, _, _ in decision.layers)


def test_ancestors_that_go_round_in_circles_end(tmp_path: Path) -> None:
    folder(tmp_path / "first", "license: mit\nbase_model: ../second")
    decision = ask(folder(tmp_path / "second", "license: apache-2.0\nbase_model: ../first"))
    assert ids(decision) == {"mit", "apache-2.0"}
    assert decision.cleared


def test_an_ancestor_that_no_rule_knows_stops_until_the_recipe_answers(tmp_path: Path) -> None:
    place = folder(tmp_path / "m", "license: mit\nbase_model: ../not-here")
    assert (ask(place).verdict, ask(place).cleared) == ("unknown", False)
    assert "teacher.license" in ask(place).remedy
    assert ask(place, "apache-2.0").cleared


def test_a_snapshot_of_the_hubs_cache_is_known_by_its_repository(tmp_path: Path) -> None:
    place = tmp_path / "models--meta-llama--Llama-2-7b-hf" / "snapshots" / "0123abcd"
    decision = ask(folder(place, "license: mit"))
    assert ids(decision) == {"mit", "llama2"}
    assert any(name == "hub:meta-llama/Llama-2-7b-hf" for name, _, _ in decision.layers)


NAMED = ("README.md", "config.json", "adapter_config.json", "mergekit_config.yml", "LICENSE")
PIECES = st.sampled_from(
    ["---\n", "base_model: ", "license: ", "other", "[", "]", "{", "}", ": ", "\n", "- ", "&a ", "*a", "mit", "../..",
     "~x", "2026-99-99", '"', "model: ", "a/b", "\0", "Llama-2-7b"]
)  # fmt: skip


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(NAMED), st.one_of(st.binary(max_size=60), st.lists(PIECES, max_size=14).map("".join)))
def test_whatever_stands_in_a_folder_there_is_a_route(tmp_path: Path, name: str, content: bytes | str) -> None:
    place = tmp_path / "m"
    shutil.rmtree(place, ignore_errors=True)
    folder(place)
    (place / name).write_bytes(content if isinstance(content, bytes) else f"---\n{content}\n---\n".encode())
    assert weights_route(f"path:{place}").layers


@pytest.mark.parametrize("base", ["x" * 5000, "~nobody/model", "2026-99-99"])
def test_a_base_model_that_is_no_path_is_a_name(tmp_path: Path, base: str) -> None:
    assert ask(folder(tmp_path / "m", f"license: mit\nbase_model: {base}")).layers


def test_what_is_no_file_is_passed_over(tmp_path: Path) -> None:
    place = folder(tmp_path / "m", "license: mit")
    (place / "config.json").symlink_to("config.json")  # to itself
    (place / "LICENSE").mkdir()
    assert ask(place).cleared


def test_a_folder_that_cannot_be_read_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = folder(tmp_path / "m", "license: mit")

    def refuse(path: Path, *_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_text", refuse)  # whom root's tests do not meet otherwise
    with pytest.raises(RecipeError, match=r"teacher\.model: .*README\.md: cannot be read \(Permission denied\)"):
        ask(place)


# --- a name on the hub


def test_a_copy_by_name_is_said_to_be_one() -> None:
    route = weights_route("hub:unsloth/Meta-Llama-3.1-8B-Instruct-bnb-4bit")
    assert [layer.rule.id for layer in route.layers if layer.rule] == ["llama3.1"]
    assert any("taken for a copy of llama-3.1" in warning for warning in route.warnings)
    assert weights_route("hub:meta-llama/Llama-3.1-8B").warnings == ()


def test_a_tune_by_name_has_a_licence_of_its_own_that_is_asked_for() -> None:
    route = weights_route("hub:NousResearch/Hermes-3-Llama-3.1-8B")
    assert [layer.rule.id if layer.rule else None for layer in route.layers] == [None, "llama3.1"]
    assert "ancestor by the name" in route.layers[1].name


def test_only_a_name_excepts_no_student_from_a_ban(tmp_path: Path) -> None:
    assert "llama2" in weights_rules("hub:meta-llama/Llama-2-7b-hf")
    assert "llama2" not in weights_rules("hub:somebody/My-Llama-2-7b-tune")
    assert "llama2" not in weights_rules("hub:somebody/Llama-2-7b-GGUF")
    tuned = folder(tmp_path / "tuned", "license: llama2\nbase_model: meta-llama/Llama-2-7b-hf")
    assert "llama2" in weights_rules(f"path:{tuned}")


# --- what a config gives away


@pytest.mark.parametrize(
    ("config", "family"),
    [
        ({"model_type": "llama", "vocab_size": 128256}, "Llama 3 (its tokenizer)"),
        ({"model_type": "llama", "vocab_size": 49152}, None),  # SmolLM: an architecture proves nothing
        ({"model_type": "gemma3", "text_config": {"vocab_size": 262208}}, "Gemma"),
        ({"model_type": "qwen2", "vocab_size": 152064}, "Qwen 2 or 2.5"),
        ({"model_type": "qwen2", "vocab_size": 32000}, None),
        ({"model_type": "mistral", "vocab_size": 32000}, None),
        ({"model_type": 3}, None),
        ({}, None),
    ],
)
def test_a_config_tells_a_family_or_none(config: dict[str, Any], family: str | None) -> None:
    found = family_of(config)
    assert (found[0] if found else None) == family


def test_a_config_that_disagrees_with_the_card_warns(tmp_path: Path) -> None:
    config = {"model_type": "gemma2", "vocab_size": 256000}
    silent = ask(folder(tmp_path / "m", "license: mit", config__json=config))
    assert silent.cleared
    assert any("looks like Gemma" in warning for warning in silent.warnings)
    told = ask(folder(tmp_path / "n", "license: gemma\nbase_model: google/gemma-2-9b", config__json=config))
    assert not any("looks like" in warning for warning in told.warnings)
