"""The documents mention what there is: errors, routes, endings, scripts."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

import server
from lib.core.endings import Ending
from lib.core.errors import Code
from tests.deploy.guide import Block, guide, run_by_tests
from tests.world import ROOT

TESTS = {
    path: path.read_text()
    for path in (ROOT / "tests").rglob("*.py")
    if path != Path(__file__) and "node_modules" not in path.parts
}

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)")
OF_THE_FIRST_OUTLINE = {"lib/phoenix.py", "lib/topup_store.py", "lib/used_hashes.py"}
NAMED_PATH = re.compile(r"`\.?/?((?:lib|scripts|deploy|docs|tests|frontend/src)/[\w./-]+)`")


@pytest.mark.parametrize("code", list(Code), ids=lambda code: code.code)
def test_every_error_is_documented_and_provoked(code: Code):
    """A code is in docs/errors.md, and some test asks for it by its name."""
    assert f"`{code.code}`" in (ROOT / "docs" / "errors.md").read_text()
    named = re.compile(rf"\b{code.code}\b|Code\.{code.name}\b")
    assert any(named.search(text) for text in TESTS.values())


def test_every_route_is_documented():
    """Each route's path, its parameters in braces, is in docs/api.md."""
    page = (ROOT / "docs" / "api.md").read_text()
    shown = {path.replace("/{api}/", "/openai/") for path in server.app.openapi()["paths"]}

    assert {path for path in shown if path not in page} == set()
    assert len(shown) >= 10


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_is_in_the_table_of_who_pays(ending: Ending):
    """docs/money.md says what each ending costs."""
    assert f"`{ending.value}`" in (ROOT / "docs" / "money.md").read_text()


def test_every_public_document_is_reached_from_the_readme():
    """A page that no page leads to is not read."""
    pages = {path.name for path in [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")]} - {"README.md"}
    linked = "".join(path.read_text() for path in [*(ROOT / "docs").glob("*.md"), *ROOT.glob("*.md")])

    assert {page for page in pages if f"{page})" not in linked} == set()


@pytest.mark.parametrize("block", guide(), ids=lambda block: block.text.split("\n")[0][:40])
def test_every_block_of_the_guide_is_shell(block: Block):
    """bash understands what SETUP_GUIDE.md tells an operator to paste."""
    read = subprocess.run(["bash", "-n", "-c", block.text], capture_output=True, text=True, check=False)

    assert read.returncode == 0 and read.stderr == ""


def test_the_guide_s_marked_blocks_are_run():
    """Where a block says that it is tested it says where, and the deploy test runs all of these, in order."""
    assert [block.place for block in run_by_tests()] == ["server", "here", "server", "here", "server"]
    assert (ROOT / "SETUP_GUIDE.md").read_text().count("<!-- tested") == len(run_by_tests())
    assert (
        "secrets, deploy, check, sale, backup = run_by_tests()" in (ROOT / "tests/deploy/test_over_ssh.py").read_text()
    )


def anchors(page: Path) -> set[str]:
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_and_path_leads_somewhere(page: Path):
    """A link's file and heading are there, and so is every file of ours that a page names."""
    text = page.read_text()
    places = [((page.parent / name) if name else page, anchor) for name, anchor in LINK.findall(text)]

    assert [str(place) for place, _ in places if not place.exists()] == []
    assert [anchor for place, anchor in places if anchor and anchor not in anchors(place)] == []
    gone = [
        name for name in NAMED_PATH.findall(text) if not (ROOT / name).exists() and name not in OF_THE_FIRST_OUTLINE
    ]
    assert page.name == "WORKLOG.md" or gone == []


def test_the_map_names_every_module():
    """docs/architecture.md has each file and folder of lib, and each file of lib/core; what it names is there."""
    shown = (ROOT / "docs" / "architecture.md").read_text().split("```")[1]
    paths = [path for folder in (ROOT / "lib", ROOT / "lib" / "core") for path in folder.iterdir()]
    there = {f"{path.name}/" if path.is_dir() else path.name for path in paths if not path.name.startswith("_")}

    assert {name for name in there if name not in shown} == set()
    named = set(re.findall(r"^ +([a-z_0-9]+\.py) ", shown, re.MULTILINE))
    assert {name for name in named if not list((ROOT / "lib").rglob(name))} == set()
