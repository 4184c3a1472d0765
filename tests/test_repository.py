"""What must stay true of the repository itself: its files, its scripts, its lock files and the shape of its code."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
COMMAND_LIMIT_SECONDS = 60
FILE_MAX_BYTES = 1_000_000
FUNCTION_MAX_LINES = 50

LOCK_FILES = ("requirements.txt", "requirements-demo.txt", "requirements-dev.txt")
# Written in halves, so that this file does not hold what it looks for.
REGISTRY_HOSTS = tuple(
    f"{name}.{domain}"
    for name, domain in (
        ("pypi", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("yarnpkg", "com"),
        ("deb.debian", "org"),
        ("security.debian", "org"),
        ("proxy.golang", "org"),
        ("crates", "io"),
    )
)
UNFINISHED = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=COMMAND_LIMIT_SECONDS)


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Git, also where the checkout belongs to another user."""
    return _run("git", "-c", f"safe.directory={ROOT}", *arguments)


def _tracked() -> list[Path]:
    """Every file that is committed or would be."""
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    assert listed.returncode == 0, listed.stderr
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _texts() -> Iterator[tuple[str, str]]:
    for path in _tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def _is_ignored(name: str) -> bool:
    answer = _git("check-ignore", "--quiet", "--no-index", name)
    assert answer.returncode in {0, 1}, answer.stderr
    return answer.returncode == 0


def _sources(*places: str) -> Iterator[tuple[str, ast.Module]]:
    for place in places:
        for path in sorted((ROOT / place).rglob("*.py")) if (ROOT / place).is_dir() else [ROOT / place]:
            if path.is_file():
                yield str(path.relative_to(ROOT)), ast.parse(path.read_text(encoding="utf-8"))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _programs() -> list[Path]:
    """Everything under scripts/ that is run; names that begin with `_` are only sourced or imported."""
    return [path for path in _tracked() if path.parent == ROOT / "scripts" and not path.name.startswith(("_", "."))]


def _named(requirements: str) -> set[str]:
    """The packages that an .in file names itself, as lock files spell them."""
    lines = (line.split("#")[0].strip() for line in (ROOT / requirements).read_text(encoding="utf-8").splitlines())
    names = (re.split(r"[\[<>=!~; ]", line)[0] for line in lines if line and not line.startswith("-"))
    return {re.sub(r"[-_.]+", "-", name).lower() for name in names}


def _locked(lock_file: str) -> dict[str, str]:
    """Package → what follows its name up to the hashes: exact version and, for some, the platforms it is for."""
    text = (ROOT / lock_file).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9][a-z0-9-]*)(?:\[[^\]]*\])?(==.+?) \\$", text, re.MULTILINE))


def test_no_file_names_a_package_registry():
    """Where packages come from is the machine's choice: no file that we commit names a registry's host."""
    named = [(name, host) for name, text in _texts() for host in REGISTRY_HOSTS if host in text]

    assert named == []


def test_nothing_is_left_unfinished():
    """No file carries a note that something is still to be written; lock files, being hashes, are not read."""
    unfinished = [
        f"{name}:{number}"
        for name, text in _texts()
        if not name.endswith("lock.json") and name not in LOCK_FILES
        for number, line in enumerate(text.splitlines(), start=1)
        if UNFINISHED.search(line)
    ]

    assert unfinished == []


def test_no_file_is_large():
    """A clone stays small: no committed file is larger than 1 MB."""
    large = [str(path.relative_to(ROOT)) for path in _tracked() if path.stat().st_size > FILE_MAX_BYTES]

    assert large == []


@pytest.mark.parametrize("name", [".env.secrets", ".venv/bin/python", "frontend/dist/index.html", "x.sqlite"])
def test_git_ignores_what_must_never_be_committed(name: str):
    """Secrets, ledgers and everything built stay out of the repository."""
    assert _is_ignored(name)


@pytest.mark.parametrize("name", ["lib/core/money.py", "lib/store/sqlite.py", "frontend/src/lib/money.ts", ".ci/run"])
def test_git_does_not_ignore_sources(name: str):
    """Common ignore lists hide `lib/`; ours does not."""
    assert not _is_ignored(name)


@pytest.mark.parametrize("program", _programs(), ids=lambda path: path.name)
def test_every_script_explains_itself(program: Path):
    """`scripts/NAME --help` prints what it is for, does nothing and succeeds."""
    first_line = program.read_text(encoding="utf-8").split("\n", 1)[0]
    python = program.suffix == ".py" or "python" in first_line

    helped = _run(*([sys.executable] if python else []), str(program), "--help")

    assert first_line.startswith("#!") or python, "neither a program nor a Python module"
    assert helped.returncode == 0, helped.stderr
    assert helped.stdout.strip() != ""


def test_functions_fit_on_a_screen():
    """No function of the server is longer than 50 lines."""
    long = [
        f"{name}:{function.lineno} {function.name}"
        for name, tree in _sources("lib", "server.py")
        for function in _functions(tree)
        if (function.end_lineno or 0) - function.lineno + 1 > FUNCTION_MAX_LINES
    ]

    assert long == []


def test_the_core_asks_no_clock():
    """`lib.core` may use dates as values, but never asks what time it is: time is an argument."""
    clocks = {"now", "utcnow", "today"}

    asked = [
        f"{name}:{node.lineno}"
        for name, tree in _sources("lib/core")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in clocks
    ]

    assert asked == []


def test_every_test_states_its_claim():
    """A test's docstring is its claim, so each has one."""
    silent = [
        f"{name}:{function.lineno} {function.name}"
        for name, tree in _sources("tests")
        for function in _functions(tree)
        if function.name.startswith("test_") and ast.get_docstring(function) is None
    ]

    assert silent == []


def test_every_module_of_lib_has_its_ring():
    """The import contract names every module of lib/, so no new one escapes it."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [rings] = [contract for contract in settings["tool"]["importlinter"]["contracts"] if contract["type"] == "layers"]
    ringed = {name for ring in rings["layers"] for name in re.findall(r"\w+", ring)} | set(rings["exhaustive_ignores"])

    there = {path.stem for path in (ROOT / "lib").glob("*.py")} - {"__init__"}
    there |= {path.parent.name for path in (ROOT / "lib").glob("*/__init__.py")}

    assert there - ringed == set()


@pytest.mark.parametrize(
    ("requirements", "lock_file"), [(name.replace(".txt", ".in"), name) for name in LOCK_FILES], ids=LOCK_FILES
)
def test_every_named_package_is_locked(requirements: str, lock_file: str):
    """What an .in file names is pinned in its lock file: `scripts/lock` was run after the change."""
    assert _named(requirements) - set(_locked(lock_file)) == set()


def test_lock_files_hold_versions_with_hashes():
    """Every locked package has an exact version and at least one hash; nothing else, such as an address, is in it."""
    for lock_file in LOCK_FILES:
        text = (ROOT / lock_file).read_text(encoding="utf-8")
        blocks = [
            block for block in re.split(r"^(?=\S)", text, flags=re.MULTILINE) if block and not block.startswith("#")
        ]

        assert len([block for block in blocks if "==" in block and "--hash=sha256:" in block]) == len(blocks) > 0
        assert "://" not in text


def test_all_lock_files_agree():
    """What is tested is what is run: each lock file holds the narrower one, at the same versions."""
    runtime, demo, dev = (_locked(name) for name in LOCK_FILES)

    assert runtime.items() <= demo.items()
    assert demo.items() <= dev.items()
