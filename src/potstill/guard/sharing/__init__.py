"""What leaves the scan: a STIX 2.1 bundle without a word of any prompt."""

from potstill.guard.sharing.bundle import Terms, bundle_of, export_stix

__all__ = ["Terms", "bundle_of", "export_stix"]
