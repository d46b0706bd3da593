"""`potstill guard simulate`: a log with known campaigns in it, to try a scan on."""

from pathlib import Path
from typing import Annotated

import typer

from potstill.cli.arguments import verb


@verb
def guard_simulate(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="New folder for the log and the truth.")],
    seed: Annotated[int, typer.Option("--seed", help="The same seed gives the same log.")] = 0,
    days: Annotated[int, typer.Option("--days", help="Days of traffic.")] = 30,
    benign: Annotated[int, typer.Option("--benign", help="Benign accounts, hard negatives among them.")] = 3_000,
    campaign: Annotated[
        list[str] | None,
        typer.Option(
            "--campaign", metavar="FAMILY[:accounts=N,cover=SHARE,exchanges=N]", help="A campaign; may be repeated."
        ),
    ] = None,
    scale: Annotated[
        float, typer.Option("--scale", help="Of the published size, for campaigns that give none.")
    ] = 0.01,
    prompts: Annotated[
        Path | None,
        typer.Option("--prompts", metavar="PATH", help="Texts of prompts.", show_default="a built-in grammar"),
    ] = None,
    arrivals: Annotated[
        Path | None,
        typer.Option(
            "--arrivals", metavar="PATH", help="Trace of arrivals and tokens (CSV).", show_default="built-in shapes"
        ),
    ] = None,
) -> None:
    """Simulate a log: made-up customers, honest ones that look odd, and campaigns, with the truth beside it.

    logs/ has Parquet files in the event's own fields, which `potstill guard events` reads; truth.parquet says who is
    who.
    Families: fleet, rubric_grading, restated_reasoning, rewritten_questions, agentic, release_shift, proxy_network,
    thinking_language, failover_pools, variant_sweep, forwarding, adaptive. Nobody in it is real.

    \b
    Examples:
      potstill guard simulate --out month --campaign fleet:accounts=20,cover=0.5 --campaign release_shift
      potstill guard simulate --out day --days 1 --benign 300 --seed 7 --campaign proxy_network:accounts=50,cover=0.9
    """
    from potstill.guard.simulate import Options, parse_campaign, simulate
    from potstill.progress import Terminal

    orders = tuple(parse_campaign(one) for one in campaign or ())
    made = simulate(Options(seed, days, benign, orders, scale, prompts, arrivals), out, Terminal())
    typer.echo(f"{made.events:,} events of {made.accounts:,} accounts, {made.campaign_accounts:,} of them in campaigns")
    typer.echo(f"log: {made.logs}; who is who: {made.folder / 'truth.parquet'}")
