"""The verbs of a run's evidence: its report, exporting despite its decision, checking it, and signing it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from potstill.cli.arguments import RunArgument, verb
from potstill.errors import PotstillError, RecipeError, TermsStopped

if TYPE_CHECKING:
    from potstill.run.signing import ExpectedIdentity, PublicKey

_Staging = Annotated[bool, typer.Option("--use-staging", help="Sigstore's staging instance, for trying it out.")]


@verb
def export(
    folder: RunArgument,
    despite: Annotated[
        str | None,
        typer.Option("--despite", metavar="REASON", help="Export a student that was refused, and say why."),
    ] = None,
) -> None:
    """Export the student of a run that has been evaluated.

    `potstill run` does so by itself where the decision is ship. Where it is no ship (exit code 3) or inconclusive (5)
    the student stays in the run, unless somebody says why it is to go out all the same: card, bills of materials and
    ledger carry the decision and that reason.

    Example: potstill export runs/quickstart --despite "for the demo on Friday, not for customers"
    """
    from potstill.progress import Terminal
    from potstill.run import export_run

    typer.echo(f"exported: {export_run(folder, despite, Terminal())}")


@verb
def verify(
    folder: RunArgument,
    public_key: Annotated[
        Path | None, typer.Option("--public-key", metavar="PEM", help="Also check that this key signed the run.")
    ] = None,
    identity: Annotated[
        str | None, typer.Option("--identity", metavar="WHO", help="Also check that this identity signed it.")
    ] = None,
    identity_provider: Annotated[
        str | None, typer.Option("--identity-provider", metavar="URL", help="Who vouches for the identity.")
    ] = None,
    staging: _Staging = False,
    terms: Annotated[
        bool, typer.Option("--terms", help="Exit code 4 if the run would not be cleared under today's rules.")
    ] = False,
) -> None:
    """Check that a run folder is as it was recorded.

    Hashes every recorded file again, walks the chain of the ledger, and lists files that no stage recorded. Exit code 1
    if anything is wrong. Then says whether the teacher's terms would still clear the run.

    \b
    Examples:
      potstill verify runs/quickstart
      potstill verify runs/quickstart --public-key public.pem
    """
    from potstill.run import verify as find_problems
    from potstill.run.recheck import recheck
    from potstill.run.verify import summary

    signer = _expected(public_key, identity, identity_provider, staging=staging)
    problems = find_problems(folder)
    if signer is not None and not problems:
        from potstill.run.signing import signature_problems

        problems = signature_problems(folder, signer)
    for problem in problems:
        typer.echo(problem)
    if problems:
        raise PotstillError(
            f"{folder}: {len(problems)} {'thing is' if len(problems) == 1 else 'things are'} not as recorded"
        )
    typer.echo(summary(folder))
    if signer is not None:
        typer.echo(f"{folder}: the signatures fit")
    found = recheck(folder)
    for line in found.lines:
        typer.echo(line)
    if terms and not found.cleared:
        raise TermsStopped(f"{folder}: not cleared under today's rules; the lines that start with `terms` say why")


@verb
def report(
    folder: RunArgument,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Where to write it.", show_default="RUN/report.html")
    ] = None,
) -> None:
    """Write the report of a run as it is now; of one that is half done, which half.

    An evaluated run has its report already, and the ledger vouches for that file, so it is left as it is.

    Example: potstill report runs/quickstart --out now.html
    """
    from potstill.run.report import report as write

    path, written = write(folder, out)
    typer.echo(f"report: {path}" if written else f"report: {path} (as the evaluation wrote it)")


@verb
def sign(
    folder: RunArgument,
    private_key: Annotated[
        Path | None, typer.Option("--private-key", "--key", metavar="PEM", help="An elliptic-curve key.")
    ] = None,
    password_env: Annotated[
        str | None, typer.Option("--password-env", metavar="NAME", help="Environment variable with its password.")
    ] = None,
    sigstore: Annotated[
        bool, typer.Option("--sigstore", help="Sign as yourself through Sigstore, in a browser.")
    ] = False,
    ambient: Annotated[
        bool, typer.Option("--use-ambient-credentials", help="With --sigstore: as the workload that this runs in.")
    ] = False,
    staging: _Staging = False,
) -> None:
    """Sign a run: each exported model folder, and where its ledger stands.

    Needs pip install 'potstill[sign]'. The signatures go to RUN/signatures; model_signing checks that of a model
    folder without Potstill.

    Example: potstill sign runs/quickstart --private-key private.pem
    """
    import os

    from potstill.run.signing import PrivateKey, SigstoreIdentity
    from potstill.run.signing import sign as sign_run

    if (private_key is not None) == sigstore:
        raise RecipeError("sign: give either --private-key PEM or --sigstore")
    if password_env is not None and password_env not in os.environ:
        raise RecipeError(f"--password-env {password_env}: there is no such environment variable")
    password = os.environ[password_env] if password_env is not None else None
    by = PrivateKey(private_key, password) if private_key is not None else SigstoreIdentity(ambient, staging)
    for path in sign_run(folder, by):
        typer.echo(f"signed: {path}")


def _expected(
    public_key: Path | None, identity: str | None, provider: str | None, *, staging: bool
) -> "PublicKey | ExpectedIdentity | None":
    """Who is to have signed, None where nobody asks."""
    if public_key is None and identity is None and provider is None:
        return None
    from potstill.run.signing import ExpectedIdentity, PublicKey

    if public_key is not None and identity is None and provider is None:
        return PublicKey(public_key)
    if public_key is None and identity is not None and provider is not None:
        return ExpectedIdentity(identity, provider, staging)
    raise RecipeError("verify: give either --public-key PEM, or --identity WHO with --identity-provider URL")
