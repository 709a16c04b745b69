"""Asks the scanned interpreter about itself, once, isolated: `-I -S -B`, standard library only, nothing written.

Source of the isolation: Python's command line documentation, `-I` (no PYTHON* variables, no user site, no current
folder), `-S` (no site module, hence no .pth file and no sitecustomize), `-B` (no bytecode in the base's library).
"""

import json
from pathlib import Path

from envcap.environment import InterpreterFacts
from envcap.errors import ScanError
from envcap.scan.runner import Completed, Runner

TIMEOUT = 30.0
"""Seconds that an interpreter gets: a cold network file system is slow, a hung wrapper script never ends."""

_SCRIPT = Path(__file__).with_name("probe_script.py")
_TEXTS = ("executable", "implementation", "version", "build", "soabi", "tags", "prefix", "base_prefix", "glibc")
_TABLES = ("paths", "markers", "config")
_PATHS = ("stdlib", "purelib", "platlib", "scripts", "data")


def probe_interpreter(executable: Path, *, run: Runner) -> InterpreterFacts:
    """Run the probe in `executable` and read its answer.

    Raises:
        ScanError: It doesn't start, fails, or answers with something else than the probe's JSON.
    """
    source = _SCRIPT.read_text(encoding="utf-8")
    completed = run([str(executable), "-I", "-S", "-B", "-c", source], timeout=TIMEOUT)
    if completed.returncode != 0:
        raise ScanError(
            f"The interpreter {executable} fails: exit status {completed.returncode} ({_last_line(completed)})",
            hint="check that it runs, and that it is Python 3.8 or newer",
        )
    try:
        answer = json.loads(completed.stdout)
    except (ValueError, RecursionError):
        raise _unexpected(executable, "text that is no JSON") from None
    return _read_answer(executable, answer)


def _read_answer(executable: Path, answer: object) -> InterpreterFacts:
    if not isinstance(answer, dict):
        raise _unexpected(executable, f"a {type(answer).__name__}")
    texts: dict[str, str] = {}
    for key in _TEXTS:
        value = answer.get(key)
        if not isinstance(value, str):
            raise _unexpected(executable, f"{type(value).__name__} in {key!r}")
        texts[key] = value
    tables = {key: _table(executable, key, answer.get(key)) for key in _TABLES}
    for key in _PATHS:
        if not tables["paths"].get(key, "").startswith("/"):
            raise _unexpected(executable, f"no absolute path in 'paths.{key}'")
    for key in ("executable", "prefix", "base_prefix"):
        if not texts[key].startswith("/"):
            raise _unexpected(executable, f"no absolute path in {key!r}")
    site_folders, user_site = answer.get("site_folders"), answer.get("user_site")
    if not isinstance(site_folders, list) or not all(isinstance(folder, str) for folder in site_folders):
        raise _unexpected(executable, "no list of texts in 'site_folders'")
    if not isinstance(user_site, str):
        raise _unexpected(executable, f"{type(user_site).__name__} in 'user_site'")
    return InterpreterFacts(
        executable=Path(texts["executable"]),
        implementation=texts["implementation"],
        version=texts["version"],
        build=texts["build"],
        soabi=texts["soabi"],
        tags=texts["tags"],
        prefix=Path(texts["prefix"]),
        base_prefix=Path(texts["base_prefix"]),
        paths=tables["paths"],
        markers=tables["markers"],
        glibc=texts["glibc"],
        config=tables["config"],
        site_folders=tuple(site_folders),
        user_site=user_site,
    )


def _table(executable: Path, name: str, value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise _unexpected(executable, f"no table of texts in {name!r}")
    return {str(key): str(item) for key, item in sorted(value.items())}


def _unexpected(executable: Path, found: str) -> ScanError:
    return ScanError(
        f"Unexpected answer of the interpreter {executable} (expected the probe's JSON object, found {found})",
        hint="check that it is a real Python interpreter and no wrapper that prints",
    )


def _last_line(completed: Completed) -> str:
    lines = completed.stderr.decode("utf-8", "replace").strip().splitlines()
    text = "".join(char if char.isprintable() else "?" for char in lines[-1]) if lines else "no message"
    return text[:200]
