"""One recipe in one folder: plan it, run it, see where it stands, compare the models, verify that nothing changed."""

from potstill.run.compare import Comparison, Side, compare
from potstill.run.despite import export_run
from potstill.run.folder import default_folder, find_recipe
from potstill.run.pilot import Pilot, run_pilot
from potstill.run.pipeline import run, run_recipe
from potstill.run.plan import Plan, plan
from potstill.run.status import status
from potstill.run.verify import verify

__all__ = [
    "Comparison", "Pilot", "Plan", "Side", "compare", "default_folder", "export_run", "find_recipe", "plan", "run",
    "run_pilot", "run_recipe", "status", "verify",
]  # fmt: skip
