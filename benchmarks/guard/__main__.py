"""How well guard finds simulated campaigns, and at what cost: `python benchmarks/guard [RESULTS]` does all of it.

`detection RESULTS [PIECE...] [PERMUTATIONS]` runs pieces (calibration, cover-0.5, ...) that RESULTS does not have yet,
and prints what all that are there come to; `speed EVENTS...` prints time and memory of a scan and of its steps. Where
GUARD_DATA names a folder, a month with its prompts and arrivals is among all of it.
"""

import os
import sys
from pathlib import Path

import piece
import speed
import summary

COVERS = tuple(f"cover-{cover}" for cover in piece.COVERS)
BESIDE = ("metadata-0.5", "data-0.5")


def detection(results: Path, names: list[str], permutations: int = piece.PERMUTATIONS) -> None:
    for name in names:
        made = piece.measured(name, results, permutations)
        print(f"{name}: {made['events']:,} events, simulated in {made['simulate_s']:.0f} s, scanned in "
              f"{made['scan_s']:.0f} s", flush=True)  # fmt: skip
    there = {
        name: piece.measured(name, results)
        for name in ("calibration", *COVERS, *BESIDE) if (results / f"{name}.json").exists()
    }  # fmt: skip
    if "calibration" not in there:
        print("no calibration month yet, so no threshold")
        return
    months = {float(name.removeprefix("cover-")): there[name] for name in COVERS if name in there}
    for line in summary.lines(there["calibration"], months, {name: there[name] for name in BESIDE if name in there}):
        print(line)
    if "data-0.5" not in there:
        print(f"no month with real prompts: GUARD_DATA=DIR names {piece.WANTED}")


def everything() -> list[str]:
    """The pieces of a whole run, those first that the issue's figure rests on."""
    wanted = ["calibration", "cover-0.5", "cover-0.25", "cover-0.0"]
    wanted += [name for name in COVERS if name not in wanted] + ["metadata-0.5"]
    return wanted + (["data-0.5"] if os.environ.get("GUARD_DATA") else [])


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["speed"]:
        speed.main(arguments[1:])
    elif arguments[:1] == ["detection"]:
        numbers = [int(one) for one in arguments[2:] if one.isdecimal()]
        detection(Path(arguments[1]), [one for one in arguments[2:] if not one.isdecimal()], *numbers)
    else:
        detection(Path(arguments[0] if arguments else "build/benchmark-guard"), everything())
        speed.main(["1000000"])
        speed.main(["--scan", "1000000", "4000000", "16000000"])


if __name__ == "__main__":
    main()
