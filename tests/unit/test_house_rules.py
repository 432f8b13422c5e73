"""What reviewers would otherwise have to watch: sizes, words, and what may be called where."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(folder for folder in ROOT.iterdir() if (folder / "__init__.py").exists())
GENERATED = ROOT / "migrations" / "versions"
FILES = [
    file
    for package in PACKAGES
    for file in sorted(package.rglob("*.py"))
    if GENERATED not in file.parents and "samples" not in file.parts
]
OURS = [file for file in FILES if "tests" not in file.parts]
FILE_LINES = 400
FUNCTION_LINES = 40
ENVIRONMENT_READERS = re.compile(r"core/config\.py|hooks/.*|server/setup.*\.py|tests/.*|bench/.*")
UNWANTED = {"manager", "service", "handler", "helper", "util", "utils", "common"}
FRAMEWORK_NAMES = {"exception_handler"}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(), str(file))


def place(file: Path) -> str:
    return str(file.relative_to(ROOT))


def definitions(file: Path) -> Iterator[Definition]:
    return (node for node in ast.walk(tree(file)) if isinstance(node, Definition))


def dotted(node: ast.AST) -> str:
    """`os.environ` for the expression of that name."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def test_no_file_is_longer_than_400_lines() -> None:
    long = {place(file): lines for file in FILES if (lines := len(file.read_text().splitlines())) > FILE_LINES}
    assert not long


def test_no_function_is_longer_than_40_lines() -> None:
    long = {
        f"{place(file)}:{node.name}": lines
        for file in FILES
        for node in definitions(file)
        if not isinstance(node, ast.ClassDef) and (lines := length(node)) > FUNCTION_LINES
    }
    assert not long


def length(node: Definition) -> int:
    """Lines from `def` to the end, decorators left out."""
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_shell_is_ever_started() -> None:
    forbidden = {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
    forbidden |= {"asyncio.create_subprocess_shell"}
    found = [
        f"{place(file)}:{node.lineno}"
        for file in FILES
        for node in ast.walk(tree(file))
        if isinstance(node, ast.Call)
        and (
            dotted(node.func) in forbidden
            or any(word.arg == "shell" and getattr(word.value, "value", True) for word in node.keywords)
        )
    ]
    assert not found


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        place(file)
        for file in FILES
        for node in ast.walk(tree(file))
        if dotted(node) in {"os.environ", "os.getenv", "os.environb"}
    }
    assert not {reader for reader in readers if not ENVIRONMENT_READERS.fullmatch(reader)}


def test_empty_words_are_not_used_in_names() -> None:
    names = [(place(file), word) for file in OURS for word in words(file.stem)]
    names += [
        (f"{place(file)}:{node.name}", word) for file in OURS for node in definitions(file) for word in words(node.name)
    ]
    assert not [where for where, word in names if word in UNWANTED and where.rpartition(":")[2] not in FRAMEWORK_NAMES]


def words(name: str) -> list[str]:
    """`job_queue`, `JobQueue` -> job, queue."""
    return re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower())


def test_test_names_are_sentences() -> None:
    short = [
        f"{place(file)}:{node.name}"
        for file in FILES
        for node in definitions(file)
        if node.name.startswith("test_") and len(words(node.name)) < 4
    ]
    assert not short


def test_every_package_says_what_it_is() -> None:
    """Each package's own docstring, or that of the module a reader opens first."""
    told = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    text = "\n".join(file.read_text() for file in told if file.exists())
    assert not [package.name for package in PACKAGES if f"`{package.name}/`" not in text]


def test_every_module_of_ours_has_a_docstring() -> None:
    assert not [place(file) for file in OURS if file.read_text().strip() and not ast.get_docstring(tree(file))]


def test_every_package_is_shipped_and_checked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    ours = {package.name for package in PACKAGES} - {"tests", "bench"}
    shipped = {name.rstrip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert ours <= shipped
    assert ours <= set(project["tool"]["mypy"]["packages"])
    assert ours <= set(project["tool"]["importlinter"]["root_packages"])


def test_asyncssh_is_new_enough_to_be_safe() -> None:
    lock = (ROOT / "requirements.lock").read_text()
    found = re.search(r"^asyncssh==(\d+)\.(\d+)\.(\d+)", lock, re.M)
    assert found
    assert tuple(map(int, found.groups())) >= (2, 14, 2)
    assert '"asyncssh>=2.14.2"' in (ROOT / "pyproject.toml").read_text()


def test_lock_files_carry_hashes_and_no_addresses() -> None:
    locks = [ROOT / "requirements.lock", *(ROOT / "tests" / "samples").rglob("*lock*")]
    for lock in (lock for lock in locks if lock.is_file()):
        assert not re.search(r"[a-z]+://", lock.read_text()), f"{place(lock)} names an address"
    pinned = re.findall(r"^[a-z].*", (ROOT / "requirements.lock").read_text(), re.M)
    assert pinned
    assert all(line.endswith("\\") for line in pinned), "a requirement without a hash"
