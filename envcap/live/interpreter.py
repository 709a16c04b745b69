"""Locking the interpreter: identify it, prove a standalone build by its archive, capture what has no artifact."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never, cast

from envcap.digest import Digest
from envcap.environment import Environment, InterpreterFacts
from envcap.errors import EnvcapError, MissingArtifactError
from envcap.finding import Finding, decode_findings, encode_findings
from envcap.interpreter import (
    CapturedInterpreter,
    CapturedTree,
    DebianInterpreter,
    InterpreterOrigin,
    StandaloneInterpreter,
    capture_interpreter,
    compare_standalone,
    find_python_mirror,
    identify_interpreter,
    locate_standalone,
    lock_captured,
    lock_debian,
    lock_standalone,
)
from envcap.interpreter.capture import find_layout
from envcap.lock.conda import lock_conda_interpreter
from envcap.lockfile.model import Interpreter, SystemPackage
from envcap.store.actions import action_key
from envcap.world import World

_OS_RELEASE = Path("/etc/os-release")


def lock_interpreter(environment: Environment, platform: str, world: World) -> tuple[Interpreter, tuple[Finding, ...]]:
    """Identify the interpreter, and pin or capture it.

    Raises:
        EnvcapError: It can't be read, or its archive can't be fetched.
    """
    facts = environment.interpreter
    if environment.kind == "conda":
        return lock_conda_interpreter(environment), ()
    origin = origin_of(facts)
    match origin:
        case DebianInterpreter():
            return lock_debian(facts), ()
        case StandaloneInterpreter():
            return _lock_standalone(environment, origin, platform, world)
        case CapturedInterpreter():
            return _capture(environment, platform, world)
        case _:
            assert_never(origin)


def origin_of(facts: InterpreterFacts) -> InterpreterOrigin:
    """Tell where an interpreter of this machine came from."""
    return identify_interpreter(facts, os_release=_os_release())


def revision_findings(origin: InterpreterOrigin, system: Sequence[SystemPackage]) -> tuple[Finding, ...]:
    """Tell where the image gets another revision of Debian's Python than the live one.

    Debian's mirrors hold one revision of a package; a machine that was not upgraded has an older one.
    """
    if not isinstance(origin, DebianInterpreter):
        return ()
    locked = {row.version for row in system if row.name == origin.package} - {origin.version}
    return tuple(
        Finding(
            code="interpreter-revision",
            message=f"The image gets {origin.package} {version}, and the live one is {origin.version}: "
            "the mirror has no older one (`apt upgrade` brings this machine there)",
        )
        for version in sorted(locked)
    )


def _lock_standalone(
    environment: Environment, origin: StandaloneInterpreter, platform: str, world: World
) -> tuple[Interpreter, tuple[Finding, ...]]:
    """Prove a standalone interpreter by its archive's content; capture it where no archive proves it."""
    refused: list[str] = []
    for archive in locate_standalone(origin, platform, mirror=find_python_mirror(world.machine.environ)):
        try:
            digest, size = _fetch_standalone(archive.url, archive.sha256, world)
        except EnvcapError as error:
            refused.append(f"{archive.file}: {error.message}")
            continue
        with (
            world.store.blobs.open_verified(digest) as file,
            tempfile.TemporaryFile(dir=world.store.root / "tmp") as spool,
        ):
            differences = compare_standalone(environment.interpreter, file, spool=spool)
        if not differences:
            locked = lock_standalone(environment.interpreter, archive, platform=platform, sha256=digest.hex, size=size)
            return locked, ()
        refused.append(f"{archive.file}: {differences[0].message}")
    interpreter, findings = _capture(environment, platform, world)
    reason = "; ".join(refused[:3]) or "its release is unknown"
    message = f"The interpreter looks like python-build-standalone, but no archive proves it ({reason}): it is captured"
    return interpreter, (Finding(code="standalone-unproven", message=message), *findings)


def _fetch_standalone(url: str, sha256: str, world: World) -> tuple[Digest, int]:
    expected = Digest(sha256) if sha256 else None
    blobs = world.store.blobs
    if expected is not None and blobs.has(expected):
        return expected, blobs.path(expected).stat().st_size
    if world.machine.offline and not url.startswith("file:"):
        raise MissingArtifactError("not asked (offline)")
    with blobs.writer() as writer:
        for chunk in world.transport.stream(url, limit=1 << 30):
            writer.write(chunk)
        return writer.commit(expected), writer.size


def _capture(environment: Environment, platform: str, world: World) -> tuple[Interpreter, tuple[Finding, ...]]:
    """Capture the tree, unless the very same files were captured before."""
    facts, store = environment.interpreter, world.store
    key = _capture_key(facts, str(world.machine.home))
    known = store.recall(key)
    if known is not None:
        return lock_captured(facts, _decode(known), platform=platform), _decode(known).findings
    with tempfile.TemporaryFile(dir=store.root / "tmp") as file:
        tree = capture_interpreter(facts, output=file, home=str(world.machine.home))
        file.seek(0)
        store.blobs.add_stream(file, expected=tree.digest, size=tree.size)
    store.actions.put(key, _encode(tree), blobs=[tree.digest])
    return lock_captured(facts, tree, platform=platform), tree.findings


def _capture_key(facts: InterpreterFacts, home: str) -> Digest:
    """Name an interpreter by the state of its files: a change of content can't leave a file's ctime as it was."""
    root = facts.base_prefix.resolve()
    rows = []
    for path in find_layout(facts, root).walk(root, report=lambda _path, _error: None):
        state = (root / path).lstat()
        rows.append([path, state.st_mode, state.st_size, str(state.st_mtime_ns), str(state.st_ctime_ns), state.st_ino])
    facts_table = {"version": facts.version, "build": facts.build, "config": dict(facts.config), "home": home}
    return action_key("interpreter", {"root": str(root), "facts": facts_table, "files": sorted(rows), "rules": 1})


def _encode(tree: CapturedTree) -> dict[str, object]:
    return {
        "digest": str(tree.digest),
        "size": tree.size,
        "tar_size": tree.tar_size,
        "files": tree.files,
        "findings": encode_findings(tree.findings),
    }


def _decode(value: Mapping[str, object]) -> CapturedTree:
    return CapturedTree(
        digest=Digest.parse(str(value["digest"])),
        size=cast("int", value["size"]),
        tar_size=cast("int", value["tar_size"]),
        files=cast("int", value["files"]),
        findings=decode_findings(value["findings"]),
    )


def _os_release() -> str:
    try:
        return _OS_RELEASE.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
