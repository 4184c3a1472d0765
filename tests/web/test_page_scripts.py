"""Which scripts a page's HTML names."""

from __future__ import annotations

from pathlib import Path

from lib.web.page_scripts import manifest_in, scripts_of

MANIFEST = {
    "index.html": {"file": "assets/index.js", "imports": ["_vendor.js"], "dynamicImports": ["Page.tsx"]},
    "_vendor.js": {"file": "assets/vendor.js"},
    "_kit.js": {"file": "assets/kit.js", "imports": ["_vendor.js", "_round.js"]},
    "_round.js": {"file": "assets/round.js", "imports": ["_kit.js"]},
    "Page.tsx": {"file": "assets/Page.js", "imports": ["index.html", "_kit.js", "_vendor.js"]},
    "Form.tsx": {"file": "assets/Form.js", "imports": ["_kit.js"], "dynamicImports": ["Later.tsx"]},
    "Later.tsx": {"file": "assets/Later.js"},
}


def test_a_module_comes_with_all_that_it_imports():
    """Each file once, also where imports go round; nothing that the entry has, nothing that comes later."""
    assert scripts_of(["Page.tsx", "Form.tsx"], MANIFEST) == [
        "assets/Page.js",
        "assets/Form.js",
        "assets/kit.js",
        "assets/round.js",
    ]


def test_what_the_build_does_not_have_is_left_out(tmp_path: Path):
    """The app finds it by itself: a page of an older build, or of none, is served all the same."""
    assert scripts_of(["Gone.tsx", "Later.tsx"], MANIFEST) == ["assets/Later.js"]
    assert scripts_of(["Page.tsx"], manifest_in(tmp_path)) == []
