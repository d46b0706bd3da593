"""What serving the student will cost: the recipe's `serving:` section, which only the plan's pilot reads."""

from pydantic import Field

from potstill.config.sections import Prices, Section


class Serving(Section):
    """What the student costs once it is made; None means that the recipe does not say."""

    usd_per_month: float | None = Field(default=None, ge=0)  # of the machine that serves it, however much it is asked
    price_per_million: Prices | None = None  # of its tokens, where they are paid for one by one
    training_usd_per_hour: float | None = Field(default=None, ge=0)  # of the machine that trains it
    months: float = Field(default=12, gt=0)  # of service over which answers and training are to be earned back
