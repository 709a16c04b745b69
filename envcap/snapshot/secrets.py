"""No credential leaves with a lock: what would be kept beside it is looked through, and the snapshot stopped.

Only kept bytes are: edited, added and unowned files, and captured packages. A file that is a public artifact's own is
public already. Of the interpreter nothing is looked through: what is captured of it is its own standard library.
"""

import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from envcap.archives.access import FileReader
from envcap.archives.conda import open_conda
from envcap.archives.zip import ZipArchive, open_zip
from envcap.build.conda import installed_members
from envcap.build.package import TREE_SUFFIX
from envcap.digest import Digest
from envcap.entry import Content
from envcap.errors import SecretError
from envcap.finding import Finding
from envcap.lock.pypi_result import ProofCache, ProofResult, Proven
from envcap.lockfile.conda_kept import archive_content, archive_name
from envcap.lockfile.model import CAPTURED, Artifact, CapturedFile, CondaPackage, Package
from envcap.secrets.scanner import FoundSecret, find_secret
from envcap.secrets.shapes import SHAPE_RULES
from envcap.store import Store
from envcap.store.actions import action_key
from envcap.wheel.layout import Layout, dist_info_folder, install_path

_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptFiles:
    """What would be kept beside a lock.

    Attributes:
        packages: Their patches and captured artifacts.
        unowned: Files of nobody.
        contents: Bytes of patches and unowned files, by sha256.
        local_files: Artifacts that only this machine has, by sha256; other captured ones lie in the store.
        layout: Where members of wheels go.
        conda: Conda packages whose archives are kept; those lie in the store.
    """

    packages: Sequence[Package]
    unowned: Sequence[CapturedFile]
    contents: Mapping[str, Content]
    local_files: Mapping[str, Path]
    layout: Layout
    conda: Sequence[CondaPackage] = ()


def local_files(results: Sequence[ProofResult]) -> dict[str, Path]:
    """Name the artifacts that only this machine has, by sha256."""
    proven = (row for row in results if isinstance(row, Proven))
    return {row.artifact.sha256: row.local_file.resolve() for row in proven if row.local_file is not None}


def refuse_secrets(kept: KeptFiles, store: Store, *, allowed: Sequence[str]) -> tuple[Finding, ...]:
    """Stop if a kept file looks like a credential.

    Args:
        kept: What would be kept.
        store: Has the captured artifacts, and remembers what was found in them.
        allowed: Files that may, by path relative to the prefix.

    Returns:
        Findings about `allowed`.

    Raises:
        SecretError: Names the files, never a credential.
        EnvcapError: A file can't be read.
    """
    found = dict(sorted(find_secrets(kept, store).items()))
    refused = {path: secret for path, secret in found.items() if path not in allowed}
    if refused:
        rows = [f"{path}: {secret.kind} (line {secret.line})" for path, secret in refused.items()]
        more = [f"and {len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
        options = " ".join(f"--allow-secret {shlex.quote(path)}" for path in list(refused)[:_SHOWN])
        one = len(refused) == 1
        raise SecretError(
            f"{'A file' if one else f'{len(refused)} files'} that the lock would keep "
            f"{'looks like a credential' if one else 'look like credentials'}; no lock was written:\n  "
            + "\n  ".join(rows[:_SHOWN] + more),
            hint=f"take {'it' if one else 'them'} out of the environment or, if no secret, add `{options}`",
        )
    return tuple(_unused(path) for path in allowed if path not in found)


def find_secrets(kept: KeptFiles, store: Store) -> dict[str, FoundSecret]:
    """Find the kept files that look like credentials, by path relative to the prefix.

    Raises:
        EnvcapError: A file can't be read.
    """
    found: dict[str, FoundSecret] = {}
    for package in kept.packages:
        for artifact in package.artifacts:
            if artifact.source == CAPTURED:
                found |= _in_artifact(artifact, package, kept, store)
    for conda in kept.conda:
        if conda.captured:
            found |= _in_conda(conda, kept.layout, store)
    rows = [(patch.path, patch.sha256) for package in kept.packages for patch in package.patches]
    rows += [(file.path, file.sha256) for file in kept.unowned]
    for path, sha256 in rows:
        if sha256 and (secret := find_secret(path, kept.contents[sha256].chunks())) is not None:
            found[path] = secret
    return found


def _in_artifact(artifact: Artifact, package: Package, kept: KeptFiles, store: Store) -> dict[str, FoundSecret]:
    """Look through a captured artifact, once: what was found is remembered."""
    inputs = {"rules": SHAPE_RULES, "sha256": artifact.sha256, "file": artifact.file, "python": kept.layout.feature}
    key = action_key("kept-secrets", inputs)
    remembered = _recall(store.actions, key)
    if remembered is not None:
        return remembered
    path = kept.local_files.get(artifact.sha256) or store.blobs.path(Digest(artifact.sha256))
    with FileReader(path) as reader:
        archive = open_zip(reader, name=artifact.file)
        found = {
            path: secret
            for path, content in _members(archive, package, artifact.file, kept.layout)
            if (secret := find_secret(path, content.chunks())) is not None
        }
    _remember(store, key, found)
    return found


def _in_conda(package: CondaPackage, layout: Layout, store: Store) -> dict[str, FoundSecret]:
    """Look through the kept archive of a conda package, once."""
    sha256, _ = archive_content(package)
    inputs = {"rules": SHAPE_RULES, "sha256": sha256, "file": archive_name(package), "python": layout.python}
    key = action_key("kept-secrets", inputs)
    remembered = _recall(store.actions, key)
    if remembered is not None:
        return remembered
    path = store.blobs.path(Digest(sha256))
    with FileReader(path) as reader, tempfile.TemporaryFile(dir=store.root / "tmp") as spool:
        archive = open_conda(reader, name=archive_name(package), spool=spool)
        found = {
            path: secret
            for path, member in installed_members(archive, layout.site_packages).items()
            if (secret := find_secret(path, member.content.chunks())) is not None
        }
    _remember(store, key, found)
    return found


def _remember(store: Store, key: Digest, found: Mapping[str, FoundSecret]) -> None:
    rows = [[path, secret.line, secret.kind] for path, secret in sorted(found.items())]
    store.actions.put(key, {"secrets": rows})


def _recall(cache: ProofCache, key: Digest) -> dict[str, FoundSecret] | None:
    match cache.get(key):
        case {"secrets": list(rows)}:
            return {str(path): FoundSecret(int(line), str(kind)) for path, line, kind in rows}
        case _:
            return None


def _members(archive: ZipArchive, package: Package, file: str, layout: Layout) -> Iterator[tuple[str, Content]]:
    members = [member for member in archive.members if not member.is_directory]
    if file.endswith(TREE_SUFFIX):
        yield from ((member.name, archive.content(member)) for member in members)
        return
    dist_info = dist_info_folder([member.name for member in members], project=package.name, archive=file)
    for member in members:
        where = install_path(member.name, layout=layout, dist_info=dist_info, archive=file)
        yield where.path, archive.content(member)


def _unused(path: str) -> Finding:
    message = f"`--allow-secret {path}` allows nothing: no kept file of that path looks like a credential"
    return Finding(code="allow-secret-unused", message=message)
