"""Python: `[[packages]]` and `[interpreter]`."""

from dataclasses import dataclass

from envcap.lockfile.model.artifact import Artifact
from envcap.lockfile.model.content import Patch


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceArchive:
    """The sdist that a captured package was built from. It names an origin and is never fetched by a rebuild.

    Attributes:
        file: File name, or empty where the package was not built from an sdist.
        sha256: Hash of the file.
        url: Scrubbed URL of one that no index has, else empty.
    """

    file: str = ""
    sha256: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One Python distribution.

    Attributes:
        name: Normalised name (PEP 503).
        version: As METADATA writes it.
        requested: Installed by the user's wish, not as a dependency (REQUESTED, PEP 376).
        origin: `index`, `url`, `vcs`, `editable` or `local`.
        proof: Rung of the ladder: `record` (each live file equals the artifact's RECORD), `content` (the same, but the
            RECORD is wrong about its own wheel), `url`, `cache`, `tags` or `captured`.
        commit: VCS commit, or what is checked out in the folder of an editable install, else empty.
        branch: Branch of an editable install's folder, else empty. A label, as `name` is: not part of the identity.
        uncommitted: Number of files of an editable install that are not as the commit has them.
        url: Scrubbed origin of a direct URL or VCS install, or git remote of an editable install, else empty.
        sdist: What it was built from on the captured machine, where that is known.
        artifacts: One per platform, sorted by platform.
        patches: What differs from the artifact live, sorted by path.
    """

    name: str
    version: str
    requested: bool = False
    origin: str = "index"
    proof: str = "record"
    commit: str = ""
    branch: str = ""
    uncommitted: int = 0
    url: str = ""
    sdist: SourceArchive = SourceArchive()
    artifacts: tuple[Artifact, ...] = ()
    patches: tuple[Patch, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreter:
    """The interpreter.

    Attributes:
        implementation: `cpython`.
        version: `3.11.7`.
        build: Build string as the interpreter prints it.
        soabi: `cpython-311-x86_64-linux-gnu`.
        origin: `debian` (its packages are `[[system]]` rows), `conda` (its package is a `[[conda]]` row), `standalone`
            or `captured`.
        home: Where it lies in the image, relative to the root: `usr`, `opt/conda` or `opt/python`.
        artifacts: Archive of a standalone build, tree of a captured one; empty for the others.
    """

    implementation: str
    version: str
    build: str
    soabi: str
    origin: str
    home: str
    artifacts: tuple[Artifact, ...] = ()


NO_INTERPRETER = Interpreter(implementation="", version="", build="", soabi="", origin="none", home="")
"""Of a conda environment without Python: it has no `[interpreter]` table."""
