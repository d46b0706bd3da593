"""How well guard finds simulated campaigns, and at what cost: `python benchmarks/guard [RESULTS]` does all of it.

`detection RESULTS [PIECE...] [PERMUTATIONS]` runs pieces (calibration, cover-0.5, ...) that RESULTS does not have yet,
and prints what all that are there come to; `speed EVENTS...` prints time and memory of a scan and of its steps.
"""

import sys
from pathlib import Path

import piece
import speed
import summary

PIECES = ("calibration", *(f"cover-{cover}" for cover in piece.COVERS))


def detection(results: Path, names: list[str], permutations: int = piece.PERMUTATIONS) -> None:
    for name in names:
        made = piece.measured(name, results, permutations)
        print(f"{name}: {made['events']:,} events, simulated in {made['simulate_s']:.0f} s, scanned in "
              f"{made['scan_s']:.0f} s", flush=True)  # fmt: skip
    there = [name for name in PIECES if (results / f"{name}.json").exists()]
    months = {float(name.removeprefix("cover-")): piece.measured(name, results) for name in there[1:]}
    if there[:1] != ["calibration"]:
        print("no calibration month yet, so no threshold")
        return
    for line in summary.lines(piece.measured("calibration", results), months):
        print(line)


def main() -> None:
    arguments = sys.argv[1:]
    if arguments[:1] == ["speed"]:
        speed.main(arguments[1:])
    elif arguments[:1] == ["detection"]:
        numbers = [int(one) for one in arguments[2:] if one.isdecimal()]
        detection(Path(arguments[1]), [one for one in arguments[2:] if not one.isdecimal()], *numbers)
    else:
        detection(Path(arguments[0] if arguments else "build/benchmark-guard"), list(PIECES))
        speed.main(["1000000"])
        speed.main(["--scan", "1000000", "4000000", "16000000"])


if __name__ == "__main__":
    main()
