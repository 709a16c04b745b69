"""Virtual packages: facts of a machine (`__glibc`, `__cuda`, `__archspec`, …) that conda packages may ask for.

Here: what a dependency says, and whether a fact meets it. Versions are compared by py-rattler, as conda's solvers do;
where it is not installed (`envcap[conda]`), or can't read a dependency, nobody can tell.
Source: CEP 30 (virtual packages), conda's `models/match_spec.py`; conda-forge's `_x86_64-microarch-level` asks for
exactly one build of `__archspec`, such as `__archspec 1 x86_64_v3`, for each kind of CPU that has a level.
"""

import re

from envcap.cpu import LEVELS, is_below

GLIBC, CUDA, ARCHSPEC, LINUX = "__glibc", "__cuda", "__archspec", "__linux"
FOREIGN = frozenset({"__osx", "__win"})
"""Never there on Linux: what goes only with some versions of them asks nothing of it."""

VIRTUAL_NAME = re.compile(r"__[a-z0-9][a-z0-9_.-]{0,60}\Z")
FACT = re.compile(r"[0-9][0-9A-Za-z_.]{0,30}(?: [0-9A-Za-z_]{1,40})?\Z")
"""Version of a fact, and its build where that says something: `2.36`, `1 x86_64_v3`."""

_DEPENDENCY = re.compile(r"(?:[^\s\[]*::)?(?P<name>__[A-Za-z0-9][A-Za-z0-9_.-]*)(?P<wanted>[^\n]*)\Z")
_READABLE = re.compile(r"[A-Za-z0-9_.*+!<>=~,|()\[\]'\" -]{0,256}\Z")
_BUILD = re.compile(r"[ =](?P<build>[A-Za-z0-9_]+)\Z")


def split_virtual(dependency: str) -> tuple[str, str] | None:
    """Split a dependency on a virtual package into its name and what is wanted of it; None for any other."""
    match = _DEPENDENCY.match(dependency.strip())
    if match is None or not VIRTUAL_NAME.match(match["name"].lower()):
        return None
    return match["name"].lower(), " ".join(match["wanted"].split())


def is_met(name: str, wanted: str, fact: str) -> bool | None:
    """Tell whether a fact meets what is wanted; None where nobody can tell.

    Args:
        name: `__glibc`.
        wanted: `>=2.28,<3.0.a0`; empty: that it is there at all.
        fact: Version, and build behind a space.
    """
    if not wanted:
        return True
    if not _READABLE.match(wanted) or not FACT.match(fact):
        return None
    try:
        from rattler import BuildString, MatchSpec, PackageRecord  # noqa: PLC0415 - an extra, and slow to load
        from rattler.exceptions import InvalidMatchSpecError  # noqa: PLC0415
    except ImportError:
        return None
    version, _, build = fact.partition(" ")
    record = PackageRecord(
        name=name, version=version, build=BuildString(build or "0"), build_number=0, subdir="linux-64"
    )
    space = "" if wanted.startswith("[") else " "
    try:
        return MatchSpec(f"{name}{space}{wanted}").matches(record)
    except InvalidMatchSpecError:
        return None


def is_cpu_met(wanted: str, fact: str, level: str | None) -> bool | None:
    """Tell whether a CPU is what packages were chosen for, or one that has all of its instructions.

    A solver takes the build for the CPU at hand; on another machine, a higher level of x86-64 is as good.

    Args:
        wanted: `1 x86_64_v3`, `1 zen2`.
        fact: The machine's own: `1 x86_64_v4`.
        level: The machine's level by its flags, empty for the baseline, None where they don't tell.

    Returns:
        None where nobody can tell, as of a microarchitecture by name that is not the machine's own.
    """
    match = _BUILD.search(wanted)
    if match is None:
        return is_met(ARCHSPEC, wanted, fact)
    build = match["build"]
    needed = build.replace("_", "-")
    if level is not None and needed in LEVELS:
        return not is_below(level, needed)
    if level is not None and build == "x86_64":
        return True
    return True if is_met(ARCHSPEC, wanted, fact) else None
