"""The report in a real headless Chromium: nothing is fetched, nothing errs, nothing overflows, light and dark.

Set POTSTILL_SCREENSHOTS to a folder to keep the screenshots that the tests take.
"""

import asyncio
import base64
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sample_run import sample_evaluation, write_sample_run

from potstill.evaluate.report import write_report
from potstill.records import StageState

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--no-default-browser-check",
)  # fmt: skip
PHONE, DESKTOP = (390, 844), (1280, 2400)
PAPER = (688, 970)  # A4 without its margins, in CSS pixels
START_S, STEP_S = 60, 60


@dataclass
class Visit:
    """What one load of a page did: its requests, its errors, its width, and how it looked."""

    requests: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    screenshot: bytes = b""
    whole_page: bytes = b""


@pytest.fixture(scope="module")
def chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        path = shutil.which(name)
        if path:
            return path
    message = "no Chromium on PATH (looked for chromium, chromium-browser, google-chrome)"
    if os.environ.get("POTSTILL_REQUIRE_BROWSER") == "1":
        pytest.fail(f"{message}, and POTSTILL_REQUIRE_BROWSER=1 asks for one")
    pytest.skip(message)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(write_sample_run(tmp_path_factory.mktemp("runs") / "glossary"))


@pytest.fixture(scope="module")
def devtools(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running Chromium; gives the address of its DevTools."""
    profile = tmp_path_factory.mktemp("profile")
    command = [chromium, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-port=0", "about:blank"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            port_file, deadline = profile / "DevToolsActivePort", time.monotonic() + START_S
            while not port_file.exists() or "\n" not in port_file.read_text():
                assert process.poll() is None, f"Chromium ended with {process.returncode}"
                assert time.monotonic() < deadline, f"Chromium did not open its DevTools within {START_S} s"
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port_file.read_text().splitlines()[0]}"
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def visit(
    devtools: str, page: Path, size: tuple[int, int], scheme: str, scripts: dict[str, str], media: str = "screen"
) -> Visit:
    """Open a page at a size and in a colour scheme, and evaluate one JavaScript expression for each of `scripts`."""
    return asyncio.run(asyncio.wait_for(_visit(devtools, page, size, scheme, scripts, media), STEP_S))


async def _visit(
    devtools: str, page: Path, size: tuple[int, int], scheme: str, scripts: dict[str, str], media: str
) -> Visit:
    seen, loaded, answers = Visit(), asyncio.Event(), dict[int, asyncio.Future[Any]]()
    async with aiohttp.ClientSession() as session:
        target = await (await session.put(f"{devtools}/json/new?about:blank")).json()
        async with session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0) as socket:

            async def listen() -> None:
                async for message in socket:
                    event = message.json()
                    if "id" in event:
                        answers[event["id"]].set_result(event)
                    elif event["method"] == "Page.loadEventFired":
                        loaded.set()
                    else:
                        _note(seen, event["method"], event["params"])

            async def call(method: str, **params: Any) -> Any:
                number = len(answers) + 1
                answers[number] = asyncio.get_running_loop().create_future()
                await socket.send_json({"id": number, "method": method, "params": params})
                answer = await answers[number]
                assert "error" not in answer, f"{method}: {answer}"
                return answer["result"]

            listening = asyncio.create_task(listen())
            for domain in ("Page", "Network", "Runtime", "Log"):
                await call(f"{domain}.enable")
            width, height = size
            mobile = size == PHONE
            metrics = {"width": width, "height": height, "deviceScaleFactor": 2 if mobile else 1, "mobile": mobile}
            await call("Emulation.setDeviceMetricsOverride", **metrics)
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            await call("Emulation.setEmulatedMedia", media=media, features=features)
            await call("Page.navigate", url=page.as_uri())
            await loaded.wait()
            for name, expression in scripts.items():
                result = await call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
                assert "exceptionDetails" not in result, f"{name}: {result}"
                seen.values[name] = result["result"].get("value")
            for whole in (False, True):
                shot = await call("Page.captureScreenshot", captureBeyondViewport=whole)
                setattr(seen, "whole_page" if whole else "screenshot", base64.b64decode(shot["data"]))
            listening.cancel()
        await (await session.get(f"{devtools}/json/close/{target['id']}")).read()
    return seen


def _note(seen: Visit, method: str, params: dict[str, Any]) -> None:
    """Keep what a page must not do."""
    if method == "Network.requestWillBeSent":
        seen.requests.append(params["request"]["url"])
    elif method == "Runtime.exceptionThrown":
        seen.errors.append(str(params["exceptionDetails"]))
    elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
        seen.errors.append(str(params["entry"]))
    elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
        seen.errors.append(str(params["args"]))


SCRIPTS = {
    "width": "[document.documentElement.scrollWidth, window.innerWidth]",
    "paper": "getComputedStyle(document.body).backgroundColor",
    "ink": "getComputedStyle(document.body).color",
    "ticks": "[...new Set([...document.querySelectorAll('.plot svg text')].map(t => getComputedStyle(t).fill))]",
    "small": "[...document.querySelectorAll('.plot svg text')].filter(t => t.getClientRects().length)"
    ".map(t => parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a)"
    ".reduce((a, b) => Math.min(a, b), 99)",
    "clipped": "[...document.querySelectorAll('.tiles .value, h1, h2, .word')]"
    ".filter(e => e.scrollWidth > e.clientWidth + 1).map(e => e.textContent)",
    "duplicate_ids": "[...document.querySelectorAll('[id]')].map(e => e.id)"
    ".filter((id, at, all) => all.indexOf(id) !== at)",
    "scripts": "document.scripts.length + document.querySelectorAll('img, iframe, object, embed').length",
    "outside": "[...document.querySelectorAll('.plot svg')].filter(s => s.getClientRects().length).flatMap(s => "
    "[...s.querySelectorAll('text')].filter(t => { const a = t.getBoundingClientRect(), b = s.getBoundingClientRect(); "
    "return a.left < b.left - 1 || a.right > b.right + 1 || a.top < b.top - 1 || a.bottom > b.bottom + 1 })"
    ".map(t => t.textContent))",
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_report_is_self_contained_and_fits(devtools: str, report: Path, size: tuple[int, int], scheme: str) -> None:
    seen = visit(devtools, report, size, scheme, SCRIPTS)
    keep(seen, f"{'phone' if size == PHONE else 'desktop'}-{scheme}")
    assert report.as_uri() in seen.requests
    assert [url for url in seen.requests if not url.startswith(("file:", "data:"))] == []
    assert seen.errors == []
    scroll_width, inner_width = seen.values["width"]
    assert inner_width == size[0]
    assert scroll_width <= inner_width, "the page scrolls sideways"
    assert seen.values["clipped"] == []
    assert seen.values["outside"] == []
    assert seen.values["duplicate_ids"] == []
    assert seen.values["scripts"] == 0
    assert seen.values["small"] >= 10, "text in a figure is too small to read"
    light, dark = brightness(seen.values["paper"]), brightness(seen.values["ink"])
    assert (light > 200 and dark < 60) if scheme == "light" else (light < 60 and dark > 200)
    for colour in seen.values["ticks"]:
        assert abs(brightness(colour) - light) > 80, f"{colour} on {seen.values['paper']}"
    assert seen.screenshot.startswith(b"\x89PNG")
    assert len(seen.whole_page) > 50_000


def test_it_prints_whole_and_on_white(devtools: str, report: Path) -> None:
    """Dark or not: paper is white, what is folded on a screen is there, and no table runs off the sheet."""
    scripts = {
        "paper": SCRIPTS["paper"],
        "off": "[...document.querySelectorAll('table, pre, .plot')].filter(e => e.getClientRects().length && "
        "e.getBoundingClientRect().right > innerWidth + 1).map(e => e.textContent.trim().slice(0, 40))",
        "folded": "[...document.querySelectorAll('details.print')].filter(d => d.lastElementChild"
        ".getBoundingClientRect().height < 10).length",
        "details": "document.querySelectorAll('details.print').length",
    }
    seen = visit(devtools, report, PAPER, "dark", scripts, media="print")
    keep(seen, "print")
    assert brightness(seen.values["paper"]) == 255
    assert seen.values["off"] == []
    assert seen.values["details"] > 0
    assert seen.values["folded"] == 0


def test_the_watch_sees_what_it_watches_for(devtools: str, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text(
        '<!DOCTYPE html><img src="https://example.invalid/x.png"><p style="width: 3000px">wide</p>'
        "<script>console.error('seen')</script>",
        encoding="utf-8",
    )
    seen = visit(devtools, page, DESKTOP, "light", {"width": SCRIPTS["width"]})
    assert "https://example.invalid/x.png" in seen.requests
    assert any("seen" in error for error in seen.errors)
    assert seen.values["width"][0] > seen.values["width"][1]


def test_half_empty_report_fits_too(devtools: str, tmp_path: Path) -> None:
    bare = dict.fromkeys(sample_evaluation())
    page = write_report(write_sample_run(tmp_path / "bare", bare))
    seen = visit(devtools, page, PHONE, "light", SCRIPTS)
    keep(seen, "bare")
    assert seen.errors == []
    assert seen.values["width"][0] <= seen.values["width"][1]


def test_half_done_report_fits_too(devtools: str, tmp_path: Path) -> None:
    folder = write_sample_run(tmp_path / "half")
    (folder / "evaluation.json").unlink()
    stages = [
        StageState("terms", "done", "done in 0.1 s, 2026-03-02T09:41:00+00:00"),
        StageState("collect", "stale", "stale: prompts changed (was done in 71.2 s, 2026-03-02T09:42:00+00:00)"),
        StageState("train", "stopped", "stopped", ("step 132 of 200, loss 0.6000, 171 s",)),
        StageState("evaluate", "not started", "not started"),
    ]
    seen = visit(devtools, write_report(folder, stages), PHONE, "dark", SCRIPTS)
    keep(seen, "half-done")
    assert seen.errors == []
    assert seen.values["width"][0] <= seen.values["width"][1]
    assert seen.values["duplicate_ids"] == []


def test_command_line_dumps_and_draws_the_page(chromium: str, report: Path, tmp_path: Path) -> None:
    """No script and no DevTools: what a person's own browser makes of the file."""
    picture = tmp_path / "report.png"
    common = [chromium, *FLAGS, "--virtual-time-budget=2000"]
    run = {"capture_output": True, "timeout": STEP_S, "check": True}
    first = [f"--user-data-dir={tmp_path / 'first'}", f"--window-size={DESKTOP[0]},{DESKTOP[1]}"]
    subprocess.run([*common, *first, f"--screenshot={picture}", report.as_uri()], **run)
    second = [f"--user-data-dir={tmp_path / 'second'}", "--dump-dom"]
    page = subprocess.run([*common, *second, report.as_uri()], **run).stdout.decode()
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "<h1>glossary</h1>" in page
    assert "<script" not in page
    assert "<img" not in page


def brightness(colour: str) -> float:
    """Mean of red, green and blue of a computed colour."""
    return sum(float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3]) / 3


def keep(seen: Visit, name: str) -> None:
    folder = os.environ.get("POTSTILL_SCREENSHOTS")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.png").write_bytes(seen.screenshot)
        (Path(folder) / f"{name}-whole.png").write_bytes(seen.whole_page)
