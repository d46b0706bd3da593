"""The simulator: a log of made-up customers and campaigns, with the truth beside it, to try detectors on."""

from potstill.guard.simulate.options import Campaign, Options, parse_campaign
from potstill.guard.simulate.run import Simulated, simulate

__all__ = ["Campaign", "Options", "Simulated", "parse_campaign", "simulate"]
