"""How sure a figure is, in numpy alone: what evaluating and guarding both need.

Every interval is a two-sided 95 % one, so each of its ends is a one-sided 97.5 % bound.
"""

from potstill.stats.agreement import cohen_kappa, krippendorff_alpha
from potstill.stats.calibrated import corrected_share, fieller, prediction_powered, student_t
from potstill.stats.comparisons import mcnemar, sign_flip, smallest_p
from potstill.stats.controlled import Controlled, share_at_zero
from potstill.stats.equivalence import Verdict, within_margin
from potstill.stats.groups import differs_from_rest
from potstill.stats.interval import Interval
from potstill.stats.intervals import (
    cluster_mean,
    exponential,
    median_ratio,
    needed_alike,
    needed_n,
    ratio_of_sums,
    statistic_of_sums,
    statistic_of_weights,
)
from potstill.stats.multiplicity import benjamini_hochberg, holm, simultaneous
from potstill.stats.power_law import PowerLaw, clearly_falls, extrapolated, fit_power_law
from potstill.stats.proportions import clopper_pearson, wilson

__all__ = [
    "Controlled",
    "Interval",
    "PowerLaw",
    "Verdict",
    "benjamini_hochberg",
    "clearly_falls",
    "clopper_pearson",
    "cluster_mean",
    "cohen_kappa",
    "corrected_share",
    "differs_from_rest",
    "exponential",
    "extrapolated",
    "fieller",
    "fit_power_law",
    "holm",
    "krippendorff_alpha",
    "mcnemar",
    "median_ratio",
    "needed_alike",
    "needed_n",
    "prediction_powered",
    "ratio_of_sums",
    "share_at_zero",
    "sign_flip",
    "simultaneous",
    "smallest_p",
    "statistic_of_sums",
    "statistic_of_weights",
    "student_t",
    "wilson",
    "within_margin",
]
