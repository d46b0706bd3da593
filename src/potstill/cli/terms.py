"""`potstill terms`: the rules about terms, what they say of a teacher, and what changed in them."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import verb
from potstill.errors import TermsStopped

terms = typer.Typer(
    name="terms",
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Show and compare the rules about terms, and ask them about a teacher.",
)

RulesOption = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="PATH", help="Rules of your own, a file or a folder; may be repeated."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]


@terms.command("list")
@verb
def terms_list(rules: RulesOption = None) -> None:
    """List the rules by the file that they stand in: verdict, last check, what they apply to, date of the document.

    An exclamation mark stands behind a check that is longer ago than the rule's re-check age.

    Example: potstill terms list
    """
    from datetime import date

    from potstill.terms.reading import listed
    from potstill.terms.rules import in_force
    from potstill.terms.rules import rules as all_rules

    with in_force(rules or ()):
        for line in listed(all_rules(), date.today()):
            typer.echo(line)


@terms.command("show")
@verb
def terms_show(
    rule: Annotated[str, typer.Argument(metavar="ID", help="The rule's name, as `potstill terms list` has it.")],
    rules: RulesOption = None,
) -> None:
    """Show all that one rule says.

    Example: potstill terms show llama3.1
    """
    from datetime import date

    from potstill.terms.decision import NO_ADVICE
    from potstill.terms.reading import named, shown
    from potstill.terms.rules import in_force
    from potstill.terms.rules import rules as all_rules

    with in_force(rules or ()):
        for line in (*shown(named(rule, all_rules()), date.today()), NO_ADVICE):
            typer.echo(line)


@terms.command("check")
@verb
def terms_check(
    model: Annotated[
        str,
        typer.Option("--model", metavar="REF", help="hub:ORG/NAME, path:DIR or pypi:…; the name at an endpoint."),
    ],
    endpoint: Annotated[str | None, typer.Option("--endpoint", metavar="URL", help="Base URL of its server.")] = None,
    license_id: Annotated[
        str | None, typer.Option("--license", metavar="ID", help="Of the weights, such as apache-2.0.")
    ] = None,
    student: Annotated[
        str | None,
        typer.Option("--student", metavar="REF", help="A model, or pruned.", show_default="a model of another family"),
    ] = None,
    use: Annotated[
        list[str] | None,
        typer.Option("--use", metavar="KEY=VALUE", help="A fact of the recipe's use:, such as commercial=false."),
    ] = None,
    rules: RulesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask what the terms of a teacher say, without a recipe. Exit code 4 where they would stop a run.

    \b
    Examples:
      potstill terms check --model hub:meta-llama/Llama-3.1-8B-Instruct
      potstill terms check --model gpt-4.1 --endpoint https://api.openai.com/v1 --use distributed=false
    """
    import json

    from potstill.terms.question import Question, answer, as_data, in_words

    asked = Question(model, endpoint, license_id, student, tuple(use or ()), tuple(rules or ()))
    decision = answer(asked)
    if as_json:
        typer.echo(json.dumps(as_data(decision), ensure_ascii=False, indent=2))
    else:
        for line in in_words(decision):
            typer.echo(line)
    if not decision.cleared:
        raise TermsStopped(f"the terms of {decision.teacher} would stop a run: {decision.remedy}")


@terms.command("diff")
@verb
def terms_diff(
    old: Annotated[str, typer.Argument(metavar="OLD", help="A file or folder of rules, or package: this release's.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="The same.")],
    as_json: JsonOption = False,
) -> None:
    """Say what changed between two sets of rules: verdicts first, then other fields, then rules that came or went.

    Example: potstill terms diff earlier/rules package
    """
    import json

    from potstill.terms.changes import compare, rules_of

    found = compare(rules_of(old), rules_of(new))
    if as_json:
        typer.echo(json.dumps(found.data(), ensure_ascii=False, indent=2))
    else:
        for line in found.lines():
            typer.echo(line)


@terms.command("schema")
@verb
def terms_schema() -> None:
    """Print the JSON Schema of a file of rules, for editors and reviewers.

    Example: potstill terms schema
    """
    from importlib.resources import files

    typer.echo((files("potstill.terms") / "rules.schema.json").read_text(encoding="utf-8").rstrip())
