"""Screens the answers that were collected: which of them are used, and of the others every reason why not."""

from potstill.collect.screening.stage import screen

__all__ = ["screen"]
