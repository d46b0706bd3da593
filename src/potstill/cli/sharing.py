"""`potstill guard export-stix`: cases for others, as a STIX 2.1 bundle."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import verb


@verb
def guard_export_stix(
    scan: Annotated[Path, typer.Argument(metavar="SCAN", help="Folder of a scan.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where to write the bundle.")],
    key: Annotated[
        Path | None,
        typer.Option(
            "--key", metavar="FILE", help="Key of the sharing group.", show_default="$POTSTILL_GUARD_SHARE_KEY"
        ),
    ] = None,
    tlp: Annotated[str, typer.Option("--tlp", help="white, green, amber or red.")] = "amber",
    expires_days: Annotated[int, typer.Option("--expires-days", help="Days until the indicators expire.")] = 90,
) -> None:
    """Write the cases of a scan as a STIX 2.1 bundle, to share with other operators.

    In it are cases with evidence that nothing explains: numbers, kinds of evidence, and pseudonyms that are made anew
    with the sharing group's key, with a TLP marking and an expiry. No text of any prompt is, nor a template.

    \b
    Example:
      potstill guard export-stix scan --out bundle.json --key group.key --tlp amber
    """
    from datetime import UTC, datetime

    from potstill.guard.pseudonyms import read_key
    from potstill.guard.sharing import Terms, export_stix

    terms = Terms(read_key(key, "POTSTILL_GUARD_SHARE_KEY"), datetime.now(UTC), tlp, expires_days)
    count = export_stix(scan, out, terms)
    typer.echo(f"{count:,} {'case' if count == 1 else 'cases'}, TLP {tlp}, expiring after {expires_days} days: {out}")
