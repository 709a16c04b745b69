"""Where an interpreter came from: Debian's packages, a python-build-standalone archive, or nowhere public.

Nothing is run: dpkg's own files are read, and the marks that installers leave. A mark only names a candidate; that the
files are the archive's is proved by `standalone.compare_standalone`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from envcap.dpkg import DPKG_ROOT, parse_os_release, read_small, read_status
from envcap.environment import InterpreterFacts

_TAG = re.compile(r"\d{8}\Z")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BUILT = re.compile(r"\b([A-Z][a-z]{2}) +(\d{1,2}) (\d{4})\b")
_ARCHIVE = re.compile(
    r"cpython-(?P<version>[^+/]+)\+(?P<tag>\d{8})-(?P<triple>[\w.-]+?)-(?:freethreaded-)?(?P<flavor>install_only(?:_stripped)?)\."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DebianInterpreter:
    """An interpreter that a Debian package owns: its bytes are `[[system]]` rows.

    Attributes:
        package: `python3.11-minimal`.
        version: Debian version, such as `3.11.2-6+deb12u6`.
        architecture: `amd64`.
    """

    package: str
    version: str
    architecture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneInterpreter:
    """An interpreter that bears the marks of python-build-standalone.

    Attributes:
        version: `3.12.11`.
        triple: `x86_64-unknown-linux-gnu`.
        freethreaded: Built without the GIL (PEP 703).
        tag: Release, such as `20251007`, if an installer noted it, else empty.
        flavor: `install_only` or `install_only_stripped`, if an installer noted it, else empty.
        built: Day of compilation as the interpreter prints it, `20251007`, or empty: near the tag, not always equal.
    """

    version: str
    triple: str
    freethreaded: bool = False
    tag: str = ""
    flavor: str = ""
    built: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CapturedInterpreter:
    """An interpreter without a public artifact: its tree is captured.

    Attributes:
        reason: Why, as the rest of a sentence for the user.
    """

    reason: str


InterpreterOrigin = DebianInterpreter | StandaloneInterpreter | CapturedInterpreter


def identify_interpreter(facts: InterpreterFacts, *, os_release: str, dpkg_root: Path = DPKG_ROOT) -> InterpreterOrigin:
    """Tell where an interpreter came from.

    Args:
        facts: What the interpreter said.
        os_release: Text of `/etc/os-release` (os-release(5)), or an empty string.
        dpkg_root: dpkg's administrative folder (dpkg(1), FILES).
    """
    if facts.implementation != "cpython":
        return CapturedInterpreter(reason=f"it is {facts.implementation}, not CPython")
    standalone = identify_standalone(facts)
    if standalone is not None:
        return standalone
    package = _find_owner(facts, dpkg_root)
    if package is None:
        return CapturedInterpreter(reason="no package of the operating system owns it")
    release = parse_os_release(os_release)
    if release.get("ID") != "debian":
        system = release.get("NAME") or "an unknown system"
        return CapturedInterpreter(reason=f"its package {package['Package']} is of {system}, not of Debian")
    return DebianInterpreter(
        package=package["Package"],
        version=package.get("Version", ""),
        architecture=package.get("Architecture", ""),
    )


def identify_standalone(facts: InterpreterFacts) -> StandaloneInterpreter | None:
    """Look for the marks of python-build-standalone; return None if there are none.

    uv sets a variable, and every build was configured with the prefix `/install`.

    Source: python-build-standalone, `cpython-unix/build-cpython.sh`; uv, `crates/uv-python/src/sysconfig/mod.rs`.
    """
    configured = "--prefix=/install" in facts.config.get("CONFIG_ARGS", "").replace("'", " ").split()
    if not configured and facts.config.get("PYTHON_BUILD_STANDALONE") != "1":
        return None
    libc = "musl" if "musl" in facts.soabi else "gnu"
    triple = f"{facts.markers.get('platform_machine', '')}-unknown-linux-{libc}"
    noted = _read_archive_name(facts.base_prefix)
    built = _BUILT.search(facts.build)
    return StandaloneInterpreter(
        version=facts.version,
        triple=noted.get("triple", triple),
        freethreaded=facts.config.get("Py_GIL_DISABLED") == "1",
        tag=noted.get("tag") or _read_build_file(facts.base_prefix),
        flavor=noted.get("flavor", ""),
        built=f"{built[3]}{_MONTHS.index(built[1]) + 1:02}{int(built[2]):02}" if built and built[1] in _MONTHS else "",
    )


def _roots(base_prefix: Path) -> tuple[Path, ...]:
    # The full archives, and hatch, have the prefix one or two folders below what the installer made.
    return base_prefix, base_prefix.parent, base_prefix.parent.parent


def _read_build_file(base_prefix: Path) -> str:
    """Read the release that uv notes in `BUILD` (uv, `managed.rs`, `ensure_build_file`)."""
    for root in _roots(base_prefix)[:2]:
        text = read_small(root / "BUILD").strip()
        if _TAG.match(text):
            return text
    return ""


def _read_archive_name(base_prefix: Path) -> Mapping[str, str]:
    """Read the archive's name from the URL that hatch notes in `hatch-dist.json` (hatch, `python/core.py`)."""
    for root in _roots(base_prefix):
        try:
            noted = json.loads(read_small(root / "hatch-dist.json") or "{}")
        except (ValueError, RecursionError):
            continue
        source = noted.get("source") if isinstance(noted, dict) else None
        match = _ARCHIVE.search(unquote(source)) if isinstance(source, str) else None
        if match:
            return match.groupdict()
    return {}


def _find_owner(facts: InterpreterFacts, dpkg_root: Path) -> Mapping[str, str] | None:
    """Find the installed package whose file list names the executable (deb-packages: `info/PACKAGE[:ARCH].list`)."""
    python = "python" + ".".join(facts.version.split(".")[:2])
    executable = str(facts.executable)
    # A package may still say `/bin/python3` where `/bin` is a link to `/usr/bin`, and the other way round.
    spellings = {executable, executable.removeprefix("/usr"), "/usr" + executable}
    for name in (f"{python}-minimal", python, f"{python}-nogil"):
        for file in sorted(dpkg_root.glob(f"info/{name}.list")) + sorted(dpkg_root.glob(f"info/{name}:*.list")):
            if spellings.isdisjoint(read_small(file).splitlines()):
                continue
            architecture = file.name.removesuffix(".list").partition(":")[2]
            package = _find_installed(dpkg_root / "status", name, architecture)
            if package is not None:
                return package
    return None


def _find_installed(status: Path, name: str, architecture: str) -> Mapping[str, str] | None:
    for fields in read_status(status):
        if fields.get("Package") != name or not fields.get("Status", "").endswith(" installed"):
            continue
        if not architecture or fields.get("Architecture") == architecture:
            return fields
    return None
