"""The interpreter: where it came from, how a lock names it, and what it puts into an image.

`identify_interpreter` tells the origin. A standalone one is located and compared with its archive; one without a public
artifact is captured. Either way the image has it at `/opt/python`; Debian's stays in `/usr`, as its packages say.
"""

from envcap.environment import InterpreterFacts
from envcap.interpreter.binaries import interpreter_binaries
from envcap.interpreter.blob import captured_entries
from envcap.interpreter.capture import CapturedTree, capture_interpreter
from envcap.interpreter.origin import (
    CapturedInterpreter,
    DebianInterpreter,
    InterpreterOrigin,
    StandaloneInterpreter,
    identify_interpreter,
)
from envcap.interpreter.standalone import compare_standalone, standalone_entries
from envcap.interpreter.table import (
    SOURCE,
    StandaloneArchive,
    find_python_mirror,
    locate_standalone,
    standalone_url,
)
from envcap.lockfile.model import CAPTURED, Artifact, Interpreter
from envcap.recipe import PYTHON_ROOT

__all__ = [
    "CapturedInterpreter",
    "CapturedTree",
    "DebianInterpreter",
    "InterpreterOrigin",
    "StandaloneArchive",
    "StandaloneInterpreter",
    "capture_interpreter",
    "captured_entries",
    "compare_standalone",
    "find_python_mirror",
    "identify_interpreter",
    "interpreter_binaries",
    "locate_standalone",
    "lock_captured",
    "lock_debian",
    "lock_standalone",
    "standalone_entries",
    "standalone_url",
]


def lock_debian(facts: InterpreterFacts) -> Interpreter:
    """Lock an interpreter of Debian's: its bytes are `[[system]]` rows."""
    return _lock(facts, origin="debian", home="usr")


def lock_standalone(
    facts: InterpreterFacts, archive: StandaloneArchive, *, platform: str, sha256: str, size: int
) -> Interpreter:
    """Lock a standalone interpreter whose archive was fetched and compared.

    Args:
        facts: What the interpreter said.
        archive: The archive that `compare_standalone` proved.
        platform: `linux/amd64`, `linux/arm64`.
        sha256: Hash of the fetched archive.
        size: Its bytes.
    """
    artifact = Artifact(platform=platform, source=SOURCE, file=archive.file, size=size, sha256=sha256)
    return _lock(facts, origin="standalone", home=PYTHON_ROOT, artifacts=(artifact,))


def lock_captured(facts: InterpreterFacts, tree: CapturedTree, *, platform: str) -> Interpreter:
    """Lock a captured interpreter.

    Args:
        facts: What the interpreter said.
        tree: The capture.
        platform: `linux/amd64`, `linux/arm64`.
    """
    file = f"python-{facts.version}.tar.gz"
    artifact = Artifact(platform=platform, source=CAPTURED, file=file, size=tree.size, sha256=tree.digest.hex)
    return _lock(facts, origin="captured", home=PYTHON_ROOT, artifacts=(artifact,))


def _lock(facts: InterpreterFacts, *, origin: str, home: str, artifacts: tuple[Artifact, ...] = ()) -> Interpreter:
    return Interpreter(
        implementation=facts.implementation,
        version=facts.version,
        build=facts.build,
        soabi=facts.soabi,
        origin=origin,
        home=home,
        artifacts=artifacts,
    )
