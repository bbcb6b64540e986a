"""The faces of an explanation: text, LaTeX, HTML, pictures and files, and the places of nodes in them."""

from __future__ import annotations

import io
import itertools
import json
import xml.etree.ElementTree as ET

import pytest

import retrograd as torch
from retrograd import glass, nn
from retrograd.glass.layout import arrange
from retrograd.glass.render_text import amount, show, step_lines, text, tree


def network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 5))
    x, y = torch.randn(16, 12), torch.randint(0, 5, (16,))
    return glass.explain(lambda: nn.functional.cross_entropy(net(x), y), module=net)


def small():
    x = torch.tensor(3.0, requires_grad=True)
    return glass.explain(x * x + x)


def test_text_has_every_node_and_every_edge():
    seen = small()
    shown = text(seen)
    assert "x*x + x = 12: 2 operations, 1 leaf; 0 B kept" in shown
    assert "mul: swap multiplier" in shown
    assert "14.29%" in shown  # 1 of 7
    assert "dL/dx = 1 * 3 = 3" in shown
    assert seen.to_dict() == small().to_dict()


def test_a_long_table_is_cut_where_it_is_printed():
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(150):
        y = y * 1.01
    seen = glass.explain(y)
    assert "... and 101 rows more" in str(seen)
    assert "rows more" not in text(seen)


def test_a_tree_from_the_result_down():
    assert tree(small()).splitlines() == [
        "x*x + x  value 12  gradient 1",
        "  x*x  value 9  gradient 1",
        "    x  value 3  gradient 7",
        "    x  value 3  gradient 7",
        "  x  value 3  gradient 7",
    ]


def test_show_is_plain_where_nobody_looks(capsys):
    show(small(), steps=True)
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert step_lines(small())[-1] in shown


def test_show_in_colour(capsys):
    pytest.importorskip("rich")
    bad = torch.tensor(2.0, requires_grad=True)
    glass.explain(bad * bad, names={"[red]x[/red]": bad}).show()
    show(glass.explain(bad * bad, names={"[red]x[/red]": bad}), detail=True, color=True)
    shown = capsys.readouterr().out
    assert "[red]x[/red]" in shown  # text, never markup
    assert "\x1b[" in shown


def test_large_tensors_say_what_is_known_of_them():
    shown = text(network(), detail=True)
    assert "[16x20] norm" in shown
    assert "block diagonal" in shown
    assert "numerator layout" in shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3 GiB")])
def test_amounts(count, shown):
    assert amount(count) == shown


def test_latex_is_balanced():
    for seen in (small(), network(), small().forward("x")):
        for document in (False, True):
            source = seen.to_latex(document=document)
            assert source.count("{") == source.count("}")
            assert source.count(r"\begin") == source.count(r"\end")
    assert r"\Rightarrow" in small().to_latex()  # where the gradients of x meet
    assert r"\documentclass" in small().to_latex(document=True)


def test_html_loads_and_runs_nothing():
    page = network()._repr_html_()
    for forbidden in ("<script", "http:", "https:", "src=", "onload", "<link"):
        assert forbidden not in page
    assert "aria-label='heat map'" in page
    ET.fromstring(page.replace("<style>", "<x><style>", 1).replace("<br>", "<br/>") + "</x>")


def test_layers_follow_the_edges_and_long_edges_pass_the_boxes():
    seen = network()
    layout = arrange(seen)
    level = {k: i for i, layer in enumerate(layout.layers) for k in layer}
    assert all(level[e.source] < level[e.target] for e in seen.edges)
    assert sorted(level) == [n.id for n in seen.nodes]
    for layer in layout.layers:
        heights = sorted(layout.place[k][1] for k in layer)
        assert all(b - a >= 1 - 1e-9 for a, b in itertools.pairwise(heights))
    for edge in seen.edges:
        way = layout.ways[edge.id]
        assert [x for x, _ in way] == list(range(level[edge.source] + 1, level[edge.target]))
        for x, y in way:
            assert all(abs(layout.place[k][1] - y) > 0.7 for k in layout.layers[int(x)])


def test_a_chain_is_straight():
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(6):
        y = torch.tanh(y * 1.5)
    seen = glass.explain(y)
    layout = arrange(seen)
    heights = [layout.place[n.id][1] for n in seen.nodes if n.kind == "operation"]
    assert max(heights) - min(heights) < 0.3


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_pictures(kind, tmp_path):
    pytest.importorskip("matplotlib", reason="pictures come with the plots extra")
    path = tmp_path / f"seen.{kind}"
    network().save(path, heat=True)
    content = path.read_bytes()
    assert content.startswith({"svg": b"<?xml", "png": b"\x89PNG", "pdf": b"%PDF"}[kind])
    assert len(content) > 10_000


def test_pictures_are_the_same_each_time():
    pytest.importorskip("matplotlib", reason="pictures come with the plots extra")
    from retrograd.glass.render_picture import save

    first, second = io.BytesIO(), io.BytesIO()
    save(small(), first, "svg")
    save(small(), second, "svg")
    assert first.getvalue() == second.getvalue()


def test_names_in_pictures_are_only_text(tmp_path):
    pytest.importorskip("matplotlib", reason="pictures come with the plots extra")
    x = torch.tensor(2.0, requires_grad=True)
    for bad in ("<script>alert(1)</script>", r"$\frac{1}{$", "a\x00b\x1b[31m", "]]>&'\""):
        seen = glass.explain(x * x, names={bad: x})
        path = tmp_path / "seen.svg"
        seen.save(path)
        root = ET.fromstring(path.read_bytes())
        assert not [e for e in root.iter() if e.tag.endswith("script")]
        assert "\x1b" not in str(seen)
        assert "\x1b" not in seen.to_latex()


def test_a_picture_that_nobody_could_read_is_refused(tmp_path):
    x = torch.tensor(1.0, requires_grad=True)
    y = x
    for _ in range(300):
        y = y * 1.1
    with pytest.raises(ValueError, match=r"at most 400\); fold"):
        glass.explain(y).save(tmp_path / "seen.png")


@pytest.mark.parametrize("suffix", [".json", ".tex", ".html", ".txt"])
def test_files(suffix, tmp_path):
    path = tmp_path / f"seen{suffix}"
    small().save(path)
    content = path.read_text(encoding="utf-8")
    if suffix == ".json":
        assert glass.Explanation.from_dict(json.loads(content)).to_dict() == small().to_dict()
    else:
        assert "x" in content


def test_a_suffix_that_is_not_known_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"'seen.exe' ends with none of"):
        small().save(tmp_path / "seen.exe")
