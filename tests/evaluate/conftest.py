"""Says loudly, at the end of the test run, when the browser tests were skipped because no Chromium was found."""

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if "test_report_browser" in report.nodeid]
    if skipped:
        terminalreporter.section("BROWSER TESTS WERE SKIPPED", sep="!", yellow=True, bold=True)
        terminalreporter.line(
            f"WARNING: {len(skipped)} browser tests of the report did not run: no Chromium on PATH. Install one "
            "(Debian: apt-get install chromium), or set POTSTILL_REQUIRE_BROWSER=1 to fail instead of skipping.",
            yellow=True,
        )
