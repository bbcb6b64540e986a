"""The page in a browser: numbers, stepping, folding, size, and that nothing leaves it and nothing foreign runs in it."""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import time

import pytest

import retrograd as torch
from retrograd import glass, torchvision
from retrograd.glass.page import as_json, page, policy
from retrograd.glass.report import gather, report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SCREENSHOTS = os.environ.get("RETROGRAD_SCREENSHOTS")  # a directory: where to keep a picture of each page


def until(tab, condition, seconds=10):
    """Wait for a condition in the page; by asking again, since the page lets no text be run as code."""
    deadline = time.monotonic() + seconds
    while not tab.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def circuit():
    w0, x0, w1, x1, w2 = (torch.tensor(v, requires_grad=True) for v in (2.0, -1.0, -3.0, -2.0, -3.0))
    return glass.explain(1 / (1 + torch.exp(-(w0 * x0 + w1 * x1 + w2))))


def chain(length):
    x = torch.ones(3, requires_grad=True)
    for _ in range(length // 2):
        x = torch.tanh(x * 0.999)
    return glass.explain(x.sum())


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is an extra")
    if CHROMIUM is None:
        if os.environ.get("RETROGRAD_BROWSER") == "required":
            pytest.fail("RETROGRAD_BROWSER=required, and there is no chromium")
        pytest.skip("there is no chromium")
    flags = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with playwright.sync_playwright() as driver:
        made = driver.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield made
        made.close()


@pytest.fixture
def show(browser, tmp_path, request):
    """Open a page of what is given; at the end nothing may have gone wrong in it, and nothing been asked for."""
    opened = []

    def open_page(data, *, title="t", **options):
        file = tmp_path / "report.html"
        file.write_text(page(data, title=title), encoding="utf-8")
        tab = browser.new_page(viewport={"width": 1280, "height": 760}, **options)
        wrong, asked = [], []
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("request", lambda r: asked.append(r.url))
        tab.goto(file.as_uri())
        until(tab, "Boolean(document.documentElement.dataset.painted)")
        opened.append((tab, wrong, asked))
        return tab

    yield open_page
    for tab, wrong, asked in opened:
        if SCREENSHOTS:
            pathlib.Path(SCREENSHOTS).mkdir(parents=True, exist_ok=True)
            name = re.sub(r"\W+", "-", request.node.name)
            tab.screenshot(path=pathlib.Path(SCREENSHOTS) / f"{name}.png")
        tab.close()
        assert wrong == []
        assert len(asked) == 1, asked  # the file itself


def node_of(data, expression):
    return next(n["id"] for n in data["graph"]["nodes"] if n["label"] == expression or n["expression"] == expression)


def test_a_click_shows_upstream_local_and_downstream(show):
    data = gather(circuit())
    tab = show(data)
    inverse = next(n for n in data["graph"]["nodes"] if n["id"] == data["graph"]["output"])
    tab.click(f'[data-node="{inverse["id"]}"]')
    panel = tab.locator(".panel")
    text = panel.inner_text().replace("\u2212", "-")
    value = re.search(r"value\s+([\d.]+)", text)
    assert float(value[1]) == pytest.approx(0.73105858, abs=1e-7)
    card = tab.locator(".panel .card", has_text="1 + exp").first.inner_text().replace("\u2212", "-")
    found = dict(re.findall(r"(upstream|local|downstream)\s+(-?[\d.]+)", card))
    assert found["upstream"] == "1"
    assert float(found["local"]) == pytest.approx(-0.53444665, abs=1e-7)
    assert float(found["downstream"]) == pytest.approx(-0.53444665, abs=1e-7)


@pytest.mark.parametrize("name", ["w0", "x0", "w1", "x1", "w2"])
def test_the_gradients_of_the_circuit(show, name):
    expected = {"w0": -0.19661193, "x0": 0.39322387, "w1": -0.39322387, "x1": -0.5898358, "w2": 0.19661193}
    data = gather(circuit())
    tab = show(data)
    tab.click(f'[data-node="{node_of(data, name)}"]')
    shown = tab.locator(".panel dl.rows .number.gradient").first.inner_text().replace("\u2212", "-")
    assert float(shown) == pytest.approx(expected[name], abs=1e-7)


CIRCUIT = json.loads((pathlib.Path(__file__).parent / "circuit.json").read_text())


def read(tab, node):
    """Choose a node; give its value and gradient as they stand in the panel, and (upstream, local, downstream) of each way back."""

    def rows(element):
        text = element.inner_text().replace("\u2212", "-")
        return {k: float(v) for k, v in re.findall(r"^(\w+)\s+(-?[\d.]+(?:e-?\d+)?)$", text, re.M)}

    tab.locator(f'[data-node="{node}"]').dispatch_event("click")
    cards = tab.locator(".panel .card dl.product")
    ways = [w for k in range(cards.count()) if "downstream" in (w := rows(cards.nth(k)))]  # not those to a constant
    return rows(tab.locator(".panel > dl.rows").first), [(w["upstream"], w["local"], w["downstream"]) for w in ways]


@pytest.mark.parametrize("folded", [False, True])
def test_every_number_of_the_circuit_stands_in_the_page(show, folded):
    leaves = {k: torch.tensor(v, dtype=torch.float64, requires_grad=True) for k, v in CIRCUIT["inputs"].items()}
    w0, x0, w1, x1, w2 = leaves.values()
    seen = glass.explain(1 / (1 + torch.exp(-(w0 * x0 + w1 * x1 + w2))), names=leaves)
    if folded:
        seen = seen.fold("sigmoid", "1 / (1 + exp(-z))")
    data = gather(seen)
    tab = show(data)
    wanted = {n["node"]: (n["value"], n["upstream"]) for n in CIRCUIT["nodes"]}
    wanted.update({k: (v, CIRCUIT["gradients"][k]) for k, v in CIRCUIT["inputs"].items()})
    slopes = {n["node"]: [n["local"]] for n in CIRCUIT["nodes"] if "local" in n}
    factors = {k: (CIRCUIT["inputs"][k[:2]], CIRCUIT["inputs"][k[3:]]) for k in ("w0*x0", "w1*x1")}
    whole = CIRCUIT["as_one_sigmoid"]
    by_label = {n["label"] or n["name"]: n["id"] for n in data["graph"]["nodes"]}
    if folded:
        for gone in ("-(...)", "exp(...)", "1 + exp(...)", "1 / (...)"):
            del wanted[gone]
            assert gone not in by_label
        slopes = {}
    else:
        assert set(wanted) <= set(by_label)
    for label, (value, gradient) in wanted.items():
        rows, ways = read(tab, by_label[label])
        assert rows["value"] == pytest.approx(value, abs=1e-7)
        assert rows["gradient"] == pytest.approx(gradient, abs=1e-7)
        local = slopes.get(label) or list(factors.get(label, ()))[::-1] or [1.0] * len(ways)
        assert len(ways) == (0 if label in leaves else len(local))
        for way, slope in zip(ways, local, strict=False):
            assert way == pytest.approx((gradient, slope, gradient * slope), abs=1e-7)
    if folded:
        rows, ways = read(tab, data["graph"]["output"])
        assert rows["value"] == pytest.approx(whole["value"], abs=1e-7)
        assert ways == [pytest.approx((whole["upstream"], whole["local"], whole["local"]), abs=1e-7)]


def test_an_edge_can_be_chosen(show):
    data = gather(circuit())
    tab = show(data)
    edge = data["graph"]["nodes"][data["graph"]["output"]]["edges"][0]
    tab.locator(f'[data-edge="{edge}"] .touch').dispatch_event("click")
    assert tab.locator(".panel .card.chosen").get_attribute("data-card") == str(edge)


def test_stepping_shows_values_first_and_gradients_later(show):
    data = gather(circuit())
    tab = show(data)
    output = f'[data-node="{data["graph"]["output"]}"]'
    tab.click("text=Step")
    assert tab.locator(f"{output} text.value").is_hidden()
    steps = data["graph"]["steps"]
    forward = sum(step["phase"] == "forward" for step in steps)
    for _ in range(forward - 1):
        tab.click("text=Step")
    assert tab.locator(f"{output} text.value").is_visible()
    assert tab.locator(f"{output} text.gradient").is_hidden()
    tab.click("text=Step")
    assert "backward" in tab.locator(".stepper .note").inner_text()
    assert tab.locator(f"{output} text.gradient").is_visible()
    assert tab.locator(".told").inner_text().replace("\u2212", "-") == steps[forward]["text"].replace("\u2212", "-")
    tab.click('[aria-label="To the end"]')
    assert tab.locator("svg.graph text.gradient:visible").count() >= 10


def test_the_keyboard_moves_along_edges_and_folds(show):
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    data = gather(glass.explain(net(torch.ones(2, 3)).sum()))
    for node in data["graph"]["nodes"]:
        node["module"] = "block" if node["inputs"] and node["id"] != data["graph"]["output"] else ""
    tab = show(data)
    tab.focus("svg.graph")
    tab.keyboard.press("ArrowRight")
    first = tab.locator(".panel h3").inner_text()
    for _ in range(6):
        tab.keyboard.press("ArrowRight")
        tab.keyboard.press("ArrowDown")
    assert tab.locator(".panel h3").inner_text() != first
    tab.locator(".node:not(.folded)[data-node]").first.wait_for()
    inside = next(n["id"] for n in data["graph"]["nodes"] if n["module"] == "block")
    tab.locator(f'[data-node="{inside}"]').dispatch_event("click")
    tab.focus("svg.graph")
    tab.keyboard.press("Enter")
    tab.locator('.folded[data-group="block"]').wait_for(state="attached")
    assert tab.locator(f'[data-node="{inside}"]').count() == 0
    tab.keyboard.press("Enter")
    tab.locator(f'[data-node="{inside}"]').wait_for(state="attached")


def test_five_thousand_nodes_are_painted_within_two_seconds_and_fold(show):
    tab = show(gather(chain(5000)))
    assert float(tab.evaluate("document.documentElement.dataset.painted")) < 2000
    assert tab.locator(".node").count() < 60
    tab.locator(".node.folded").first.dispatch_event("click")
    tab.locator(".node.folded").nth(2).dispatch_event("click")
    until(tab, "document.querySelectorAll('.group').length === 2")
    tab.click('text="Unfold all"')
    until(tab, "document.querySelectorAll('.node').length > 5")
    drawn = tab.locator(".node").count()
    assert drawn < 600  # what is in sight, not all of it
    tab.click('text="Fold all"')
    until(tab, "document.querySelectorAll('.group').length === 0")


def test_a_deep_network_unfolds_by_module(show):
    net = torchvision.models.alexnet(num_classes=10)
    with glass.watch() as seen:
        loss = torch.nn.functional.cross_entropy(net(torch.randn(1, 3, 63, 63)), torch.tensor([1]))
    data = gather(glass.explain(loss, watched=seen))
    tab = show(data)
    for name, size in (("features", "34 nodes"), ("avgpool", "1 node"), ("classifier", "15 nodes")):
        assert tab.locator(".node.folded", has_text=f"▸ {name}").locator("text=/nodes?$/").text_content() == size
    tab.click('text="Unfold all"')
    until(tab, "document.querySelectorAll('.node.folded').length === 0")
    tab.click('[aria-label="Show all (0)"]')
    conv = next(n["id"] for n in data["graph"]["nodes"] if n["op"] == "conv")
    tab.locator(f'[data-node="{conv}"]').dispatch_event("click")
    text = tab.locator(".panel").inner_text()
    assert "upstream" in text and "downstream" in text


HOSTILE = "</script><img src=x onerror=document.title='owned'><script>document.title='owned'</script>"


def test_names_made_to_attack_are_text(show):
    x = torch.ones(2, requires_grad=True)
    data = gather(glass.explain((x * x).sum()))
    data["graph"]["nodes"][0]["label"] = HOSTILE
    data["graph"]["nodes"][0]["expression"] = data["graph"]["nodes"][0]["module"] = HOSTILE
    for edge in data["graph"]["edges"]:
        edge["rule_latex"] = r"\href{javascript:alert(1)}{x} \def\x{\x\x}\x" + HOSTILE
    data["findings"] = [{"severity": "error", "title": HOSTILE, "text": HOSTILE, "node": 0, "repair": HOSTILE}]
    data["record"] = {
        "losses": [[0, 1.0], [1, 0.5]],
        "series": [{"group": HOSTILE, "name": HOSTILE, "x": [0, 1], "y": [1, 2]}],
    }
    tab = show(data, title=HOSTILE)
    for node in range(len(data["graph"]["nodes"])):
        tab.locator(f'[data-node="{node}"]').dispatch_event("click")
    for name in ("findings", "training", "graph"):
        tab.click(f"#tab-{name}")
    tab.wait_for_timeout(100)
    assert tab.title() == HOSTILE
    assert tab.locator("img").count() == 0
    assert tab.locator("main script").count() == 0
    assert tab.locator("a[href]").count() == 0


def test_the_other_sections(show):
    data = {
        "findings": [
            {"severity": "warning", "title": "dead units", "text": "Half are dead.", "evidence": "0.5", "repair": "He"}
        ],
        "record": {
            "losses": [[i, 1 / (i + 1)] for i in range(50)],
            "series": [
                {"group": "update ratio", "name": f"{k}.weight", "x": list(range(50)), "y": [1e-3 * (k + 1)] * 50}
                for k in range(12)
            ],
            "profiles": [
                {
                    "name": "variance",
                    "layers": ["0", "1", "2"],
                    "steps": [0, 10],
                    "values": [[1, 0.5, 0.2], [1, 1, 1]],
                    "predicted": [1, 1, 1],
                    "log": True,
                }
            ],
            "histograms": [{"name": "0.weight", "step": 3, "edges": [-1, 0, 1], "counts": [3, 5]}],
        },
        "summary": {"columns": ["layer", "parameters"], "rows": [["0 Linear", 1234567]]},
        "kernels": [
            {
                "name": "k",
                "loops": "64 x 32",
                "us": 1.5,
                "flops": 100,
                "bytes": 4096,
                "nodes": [],
                "statements": ["a = b"],
            }
        ],
        "memory": {"timeline": [1, 5, 2], "rows": [["peak", 5]]},
    }
    tab = show(data)
    seen = tab.locator("#part-findings").inner_text()
    assert "dead units" in seen and "Half are dead." in seen
    for name, inside in (
        ("training", "canvas"),
        ("layers", "svg .bar"),
        ("summary", "td"),
        ("kernels", "td"),
        ("memory", "canvas"),
    ):
        tab.click(f"#tab-{name}")
        tab.locator(f"#part-{name} {inside}").first.wait_for(state="visible")


def test_dark_and_narrow(show):
    tab = show(gather(circuit()), color_scheme="dark")
    tab.set_viewport_size({"width": 390, "height": 800})
    dark = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", dark)[:3])) < 150
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_policy_names_the_bundle_and_nothing_else():
    assert "default-src 'none'" in policy() and "connect-src 'none'" in policy()
    assert "connect-src 'self'" in policy(live=True)
    assert "unsafe-eval" not in policy() and "http" not in policy()


def test_json_cannot_end_its_element():
    text = as_json({"a": "</script><!--\u2028", "b": "\ud800"})
    assert "<" not in text and "\u2028" not in text
    with contextlib.suppress(UnicodeEncodeError):
        assert json.loads(text)["a"] == "</script><!--\u2028"


def test_a_report_is_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "report.html"
    assert report(target, circuit()) == target
    before = target.read_text(encoding="utf-8")
    with pytest.raises(TypeError, match="must be what retrograd.glass gives"):
        report(target, object())
    with pytest.raises(TypeError, match="something to show"):
        report(target)
    assert target.read_text(encoding="utf-8") == before
    assert [p.name for p in target.parent.iterdir()] == ["report.html"]


def test_compiled_kernels_are_linked_to_the_nodes_of_their_lines():
    net = torch.nn.Linear(4, 3)
    x = torch.ones(5, 4)

    def step(x):
        return torch.tanh(net(x)).sum()

    compiled = torch.compile(step)
    for _ in range(4):
        compiled(x)
    data = gather(glass.explain(step(x)), compiled=compiled)
    assert data["kernels"] and any(kernel["nodes"] for kernel in data["kernels"])
    assert data["memory"]["timeline"]
