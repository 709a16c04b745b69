"""Which folders of packages an environment sees beyond its own, in the order of its module path.

A virtual environment with `include-system-site-packages` sees its own, then the user's, then the base's; a whole
Python sees the user's, then its own. Source: CPython's `Lib/site.py`, functions `venv` and `main`; PEP 370.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from envcap.dpkg import DPKG_ROOT
from envcap.environment import InterpreterFacts

_SITE = re.compile(r"(?P<root>/.*?)/+(?P<folder>lib(?:64)?/[^/]+/(?:site|dist)-packages)/*\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beyond:
    """What to look at beyond the environment's own folder.

    Attributes:
        user_site: Take the user's own packages or not; None to do as the interpreter would.
        environ: Asked for PYTHONNOUSERSITE and PYTHONUSERBASE.
        foreign: Packages of the operating system whose files are to be captured, since nothing can pin them.
        dpkg: dpkg's administrative folder.
        os_release: Tells which system this is.
    """

    user_site: bool | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    foreign: frozenset[str] = frozenset()
    dpkg: Path = DPKG_ROOT
    os_release: Path = Path("/etc/os-release")


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A folder of packages outside the environment.

    Attributes:
        root: What the paths in it are relative to, as RECORD sees it; symlinks resolved.
        folder: Relative to the root, such as `lib/python3/dist-packages`.
        named: The root as the interpreter names it.
        of_user: Whether it is the user's own (PEP 370), and not the base's.
    """

    root: str
    folder: str
    named: str
    of_user: bool = False

    @property
    def path(self) -> str:
        """Its absolute path."""
        return f"{self.root}/{self.folder}"


def visible_sites(interpreter: InterpreterFacts, *, prefix: str, sees_base: bool, beyond: Beyond) -> tuple[Site, ...]:
    """List the folders that are there, each once.

    Args:
        interpreter: What the interpreter said.
        prefix: The environment's own folder if it is a virtual one: what lies in it is no matter of ours; else empty.
        sees_base: Whether the base's packages are seen.
        beyond: What is wanted.
    """
    found: dict[str, Site] = {}
    for path, of_user in _candidates(interpreter, sees_base=sees_base, beyond=beyond):
        match = _SITE.match(path)
        if match is None or not Path(path).is_dir():
            continue
        real = os.path.realpath(match["root"])
        folder = os.path.relpath(os.path.realpath(path), real)
        # Where a link leads elsewhere, the folder that it leads to has another root than RECORD's paths.
        if _SITE.match(f"{real}/{folder}") and not (prefix and f"{real}/{folder}/".startswith(f"{prefix}/")):
            site = Site(root=real, folder=folder, named=match["root"], of_user=of_user)
            found.setdefault(site.path, site)
    return tuple(found.values())


def _candidates(interpreter: InterpreterFacts, *, sees_base: bool, beyond: Beyond) -> Iterator[tuple[str, bool]]:
    wanted = beyond.user_site
    if wanted is None:
        wanted = sees_base and not beyond.environ.get("PYTHONNOUSERSITE")
    if wanted:
        yield _user_site(interpreter, beyond.environ.get("PYTHONUSERBASE", "")), True
    if sees_base:
        for folder in interpreter.site_folders:
            yield folder, False


def _user_site(interpreter: InterpreterFacts, base: str) -> str:
    """The probe runs without PYTHON* variables, so it names the default place."""
    match = _SITE.match(interpreter.user_site)
    return f"{base.rstrip('/')}/{match['folder']}" if base and match else interpreter.user_site
