"""Lets `python -m potstill` be the command line."""

from potstill.cli import main

main()
