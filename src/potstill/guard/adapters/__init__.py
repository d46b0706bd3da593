"""One adapter a form of log: a row of it to the fields of the canonical event, and where else to look things up."""
