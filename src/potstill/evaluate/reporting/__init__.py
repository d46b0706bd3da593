"""What the report shows, made ready to print; `potstill.evaluate.report` puts it into the page."""
