"""`envcap show`: a lock in words and sizes."""

import json
from pathlib import Path

from envcap.blobs import LockFolder, kept_hashes
from envcap.cli.conda import conda_rows, conda_table, has_patches
from envcap.cli.facts import fact_rows
from envcap.cli.locks import open_lock
from envcap.cli.patches import SHORT, WHOLE, local_patches, patched_files, read_patches, table_of
from envcap.cli.talk import print_data, visible_lines
from envcap.few import few
from envcap.lock.debian_base import INSTALLED
from envcap.lock.origin import origin_lines
from envcap.lockfile.codec import to_table
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import Lockfile, Package
from envcap.render import columns, counted, human_size, table
from envcap.trust import ATTESTATIONS

_SHOWN = 12


def show_command(
    lock: Path, *, as_json: bool, patches: bool, index: tuple[str, ...], offline: bool, store: Path | None
) -> None:
    """Summarise a lock; with `patches`, show instead all that was patched.

    Raises:
        LockfileError: It can't be read.
        EnvcapError: The store can't be opened (`patches` only).
    """
    folder = open_lock(lock, store=store, offline=offline)
    lockfile = folder.lockfile
    if patches:
        found = read_patches(folder, WHOLE, index=index, offline=offline, store=store)
        print_data(json.dumps({"patched": table_of(found)}) if as_json else patched_files(found, names=len(found)))
        return
    if as_json:
        said = [dict(zip(("file", "kind", "key", "says"), row, strict=True)) for row in _attestations(folder)]
        facts = {"digest": str(environment_digest(lockfile)), **to_table(lockfile)}
        print_data(json.dumps(facts | ({"attestations": said} if said else {})))
        return
    print_data(visible_lines(table(_head(lockfile))))
    ranked = sorted(lockfile.packages, key=lambda package: (-_size(package), package.name))
    rows = [("package", "version", "size", "proof", "")]
    rows += [
        (package.name, package.version, human_size(_size(package)), package.proof, _remark(package))
        for package in ranked
    ]
    if lockfile.conda:
        print_data("\n" + visible_lines(conda_table(lockfile)))
    if lockfile.packages or not lockfile.conda:
        print_data("\n" + visible_lines(columns(rows, right=frozenset({2}))))
    if lines := origin_lines(lockfile):
        print_data("\nNot as an index has them:\n" + visible_lines("\n".join(lines)))
    needed = [row for row in lockfile.system if any(" needed by " in reason for reason in row.because)]
    installed = [row for row in lockfile.system if INSTALLED in row.because]
    if installed:
        print_data("\nOS packages for their Python modules:")
        print_data(visible_lines(columns([(row.name, row.version) for row in installed])))
    if needed:
        print_data("\nOS packages for libraries:")
        print_data(visible_lines(columns([(row.name, row.version, row.because[0]) for row in needed])))
    if has_patches(lockfile):
        # A summary asks nobody: it shows the diffs of which this machine has both sides.
        print_data(f"\n{patched_files(local_patches(folder, SHORT, store=store))}")
    if attestations := _attestations(folder):
        print_data("\nAttestations, not checked here (`envcap verify --policy` does):")
        print_data(visible_lines(columns([row[1:] for row in attestations])))


def _attestations(folder: LockFolder) -> list[tuple[str, ...]]:
    if not folder.bundle and not (folder.path.parent / ATTESTATIONS).exists():
        return []
    from envcap.cli.trust import attestation_rows  # noqa: PLC0415  # most locks have none

    return attestation_rows(folder)


def _head(lockfile: Lockfile) -> list[tuple[str, str]]:
    interpreter, has_python = lockfile.interpreter, lockfile.has_python
    suites = sorted({source.suite for source in lockfile.sources if source.kind == "debian"}, key=len)
    signed = {source.signature for source in lockfile.sources if source.kind == "debian"}
    requested = [row.name for row in lockfile.conda if row.requested]
    requested += [package.name for package in lockfile.packages if package.requested]
    captured = (
        f"{len(lockfile.captured)} unowned files, {human_size(sum(kept_hashes(lockfile).values()))} beside the lock"
    )
    packages = f"{len(lockfile.packages)}, {human_size(sum(map(_size, lockfile.packages)))}"
    system = f"{len(lockfile.system)}, {human_size(sum(row.size for row in lockfile.system))}"
    return [
        ("name", lockfile.name),
        ("digest", str(environment_digest(lockfile))),
        ("interpreter", f"Python {interpreter.version} ({interpreter.origin})" if has_python else "none: no Python"),
        *conda_rows(lockfile),
        *([("packages", packages)] if has_python else []),
        ("requested", few(requested, _SHOWN)),
        ("captured", captured),
        ("OS packages", f"{system}, Debian {suites[0] if suites else '?'}, signature {'/'.join(sorted(signed))}"),
        *fact_rows(lockfile),
        ("newest upload", lockfile.environment.newest_upload),
        *((f"image {row.platform}", row.image_id) for row in lockfile.expected),
    ]


def _size(package: Package) -> int:
    return sum(artifact.size for artifact in package.artifacts)


def _remark(package: Package) -> str:
    remarks = [package.origin] if package.origin != "index" else []
    remarks += ["requested"] if package.requested else []
    remarks += [f"{counted(len(package.patches), 'file')} patched"] if package.patches else []
    return ", ".join(remarks)
