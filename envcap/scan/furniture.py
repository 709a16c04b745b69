"""Knows the files of an environment that are nobody's content: made by venv, virtualenv, uv, pip or Python itself.

They are left out of the image and counted by reason. So are the settings of installers in the environment's own folder
(pip documentation, "Configuration": `site`): they name indexes of this machine, often with a password.

Sources: CPython's `Lib/venv`, virtualenv's and uv's activators, PEP 3147 (`__pycache__`), PEP 405 (`pyvenv.cfg`),
pip's AdjacentTempDirectory (`~name`).
"""

import re

from envcap.scan.files import TreeFile

INTERPRETER = "interpreter"
VENV = "venv"
BYTECODE = "bytecode"
CACHE = "cache"
INSTALLER = "installer"

_INTERPRETER = re.compile(r"bin/(?:python|pypy)(?:3(?:\.\d+)?t?)?\Z")
_VENV = re.compile(
    r"(?:pyvenv\.cfg|\.gitignore|\.lock|CACHEDIR\.TAG"
    r"|bin/(?:activate(?:\.(?:csh|fish|nu|ps1|xsh|bat))?|Activate\.ps1|activate_this\.py"
    r"|deactivate\.(?:bat|nu)|pydoc\.bat)"
    r"|lib(?:64)?/(?:python|pypy)3\.\d+t?/site-packages/_virtualenv\.(?:py|pth))\Z"
)
_SETTINGS = re.compile(r"(?:pip\.(?:conf|ini)|uv\.toml|\.netrc|_netrc|\.pypirc|\.condarc|condarc)\Z")
_CACHED = re.compile(r"\.py[co](?:\.\d+)?\Z")
_CACHES = frozenset((".mypy_cache", ".pytest_cache", ".ruff_cache"))
_GENERATED = re.compile(
    rb"^from (?P<module>[\w.]+) import (?P<name>\w+)[ \t]*\r?$.*"
    rb"^[ \t]+(?:raise SystemExit|sys\.exit)\((?P<call>[\w.]+)\(\)\)",
    re.MULTILINE | re.DOTALL,
)
_EASY_INSTALL = re.compile(
    rb"^# EASY-INSTALL-(?:ENTRY-)?SCRIPT: '(?P<name>[A-Za-z0-9._-]+?)(?:[=<>!~].*?)?'", re.MULTILINE
)


def furniture_reason(path: str, file: TreeFile) -> str:
    """Return why a file is the environment's own (`interpreter`, `venv` or `installer`), or an empty string."""
    if path == "lib64" and file.is_link and file.target == "lib":
        return VENV
    if _INTERPRETER.match(path):
        return INTERPRETER
    if _SETTINGS.match(path):
        return INSTALLER
    return VENV if _VENV.match(path) else ""


def is_bytecode(path: str, has_source: bool) -> bool:  # noqa: FBT001 - the answer to one question
    """Tell whether a file is bytecode that Python can make again.

    In `__pycache__` it always is: Python ignores it there without its source (PEP 3147). Beside the source's place,
    a `.pyc` alone is a sourceless module: a real file.
    """
    if not _CACHED.search(path):
        return False
    return "/__pycache__/" in f"/{path}" or has_source


def cache_reason(path: str) -> str:
    """Return `cache` or `installer` for what tools leave behind and nobody lists, or an empty string."""
    parts = path.split("/")
    if not _CACHES.isdisjoint(parts):
        return CACHE
    # numba keeps its index and data files beside the bytecode.
    if len(parts) > 1 and parts[-2] == "__pycache__" and parts[-1].endswith((".nbi", ".nbc")):
        return CACHE
    if "site-packages" in parts[:-1] and parts[parts.index("site-packages") + 1].startswith("~"):
        return INSTALLER  # pip's renamed leftovers of an interrupted uninstall
    return ""


def entry_point_of_script(data: bytes) -> str:
    """Return the `module:attribute` that a generated script calls, or an empty string for any other script."""
    if not data.startswith(b"#!"):
        return ""
    match = _GENERATED.search(data)
    if match is None or match["call"].split(b".")[0] != match["name"]:
        return ""
    return f"{match['module'].decode('ascii', 'replace')}:{match['call'].decode('ascii', 'replace')}"


def requirement_of_script(data: bytes) -> str:
    """Return the distribution that a script made by easy_install starts, or an empty string."""
    match = _EASY_INSTALL.search(data) if data.startswith(b"#!") else None
    return match["name"].decode("ascii") if match else ""
