"""A lock as a software bill of materials: CycloneDX 1.6, for scanners of flaws and licences.

Source: ECMA-424 (CycloneDX 1.6), `bom-1.6.schema.json`.
One lock has one text: no time, no version of this tool, and a serial number that follows from the content. No index,
channel address, URL or path of a machine is named. The lock knows no licences and, of Python packages, not who needs
whom: both are left out rather than guessed.

What only envcap can say is a property of a component:
`envcap:proof` how the package was traced to its artifact; `envcap:file` the artifact that the hash is of;
`envcap:patched:edited`, `…:added`, `…:deleted` a file that differs from it; `envcap:commit`, `envcap:uncommitted` of a
project under version control; `envcap:captured` why bytes lie beside the lock; `envcap:because` what an OS package is
needed for.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.export.purl import conda_purl, debian_purl, pypi_purl
from envcap.export.result import Export
from envcap.lockfile.conda_kept import archive_content, archive_name
from envcap.lockfile.document import environment_digest
from envcap.lockfile.model import CondaPackage, Interpreter, Lockfile, Package, Patch
from envcap.plan import artifact_of

_Json = dict[str, object]
_Property = tuple[str, str]


def export_cyclonedx(lockfile: Lockfile, *, platform: str) -> Export:
    """Write a lock as a bill of materials.

    Args:
        lockfile: The lock.
        platform: `linux/amd64`, `linux/arm64`.

    Raises:
        BuildError: The lock doesn't cover the platform.
    """
    components = [
        *_interpreter(lockfile, platform),
        *(_package(package, platform) for package in lockfile.packages),
        *(_conda(package) for package in lockfile.conda),
        *_system(lockfile, platform),
        *_files(lockfile),
    ]
    components.sort(key=lambda row: str(row["bom-ref"]))
    body: _Json = {
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "envcap"}]},
            "component": _environment(lockfile, platform),
        },
        "components": components,
        # Of this platform the lock holds all: what has no row is not in the image.
        "compositions": [{"aggregate": "complete", "assemblies": ["environment"]}],
    }
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": _serial_number(body)}
    return Export(text=json.dumps(head | body, indent=2, ensure_ascii=False) + "\n")


def _serial_number(body: _Json) -> str:
    """Name a document by its content: another document has another number, the same one has the same everywhere."""
    name = f"envcap:cyclonedx:{Digest.of(canonical_json(body))}"
    return uuid.uuid5(uuid.NAMESPACE_URL, name).urn


def _environment(lockfile: Lockfile, platform: str) -> _Json:
    expected = next((row for row in lockfile.expected if row.platform == platform), None)
    properties = [
        ("envcap:digest", str(environment_digest(lockfile))),
        ("envcap:image-id", expected.image_id if expected else ""),
        ("envcap:manifest", expected.manifest if expected else ""),
        ("envcap:platform", platform),
        ("envcap:recipe", str(lockfile.recipe)),
    ]
    return _component("container", "environment", lockfile.name, str(environment_digest(lockfile)), properties)


def _interpreter(lockfile: Lockfile, platform: str) -> Iterator[_Json]:
    """Give the interpreter; one of Debian or conda has its packages as well, by which scanners know it better."""
    if not lockfile.has_python:
        return
    found = lockfile.interpreter
    artifact = next((row for row in found.artifacts if row.platform == platform), None)
    properties = [
        ("envcap:origin", found.origin),
        ("envcap:build", found.build),
        ("envcap:soabi", found.soabi),
        ("envcap:file", artifact.file if artifact else ""),
    ]
    yield _component(
        "platform",
        "interpreter",
        found.implementation,
        found.version,
        properties,
        sha256=artifact.sha256 if artifact else "",
        extra={"cpe": _cpe(found)},
    )


def _cpe(found: Interpreter) -> str:
    """Name a CPython of no package system as vulnerability databases do (NISTIR 7695); else empty."""
    is_known = found.implementation == "cpython" and found.version.replace(".", "").isdigit()
    if not is_known or found.origin not in {"standalone", "captured"}:
        return ""
    return f"cpe:2.3:a:python:python:{found.version}:*:*:*:*:*:*:*"


def _package(package: Package, platform: str) -> _Json:
    artifact = artifact_of(package, platform)
    properties = [
        ("envcap:proof", package.proof),
        ("envcap:origin", package.origin),
        ("envcap:commit", package.commit),
        ("envcap:uncommitted", str(package.uncommitted or "")),
        ("envcap:file", artifact.file),
        *_patched(package.patches),
    ]
    ref = f"python:{package.name}@{package.version}"
    purl = pypi_purl(package)
    return _component(
        "library", ref, package.name, package.version, properties, sha256=artifact.sha256, extra={"purl": purl}
    )


def _conda(package: CondaPackage) -> _Json:
    properties = [
        ("envcap:captured", package.captured),
        ("envcap:file", archive_name(package)),
        *_patched(package.patches),
    ]
    return _component(
        "library",
        f"conda:{package.name}",
        package.name,
        package.version,
        properties,
        sha256=archive_content(package)[0],
        extra={"purl": conda_purl(package)},
    )


def _system(lockfile: Lockfile, platform: str) -> Iterator[_Json]:
    suites = {source.name: source.suite for source in lockfile.sources}
    for row in lockfile.system:
        if row.platform == platform:
            properties = [("envcap:because", reason) for reason in row.because]
            yield _component(
                "library",
                f"deb:{row.name}:{row.architecture}",
                row.name,
                row.version,
                properties,
                sha256=row.sha256,
                extra={"purl": debian_purl(row, suites.get(row.source, ""))},
            )


def _files(lockfile: Lockfile) -> Iterator[_Json]:
    """Give the files that no package owns. A symlink has no content of its own."""
    for file in lockfile.captured:
        if not file.target:
            properties = [("envcap:captured", file.reason)]
            yield _component("file", f"file:{file.path}", file.path, "", properties, sha256=file.sha256)


def _patched(patches: Iterable[Patch]) -> Iterator[_Property]:
    return ((f"envcap:patched:{patch.change}", patch.path) for patch in patches)


def _component(
    kind: str,
    ref: str,
    name: str,
    version: str,
    properties: Sequence[_Property],
    *,
    sha256: str = "",
    extra: dict[str, str] | None = None,
) -> _Json:
    """Write a component; what is empty is left out."""
    component: _Json = {"type": kind, "bom-ref": ref, "name": name}
    if version:
        component["version"] = version
    if sha256:
        component["hashes"] = [{"alg": "SHA-256", "content": sha256}]
    component |= {key: value for key, value in (extra or {}).items() if value}
    if rows := [{"name": key, "value": value} for key, value in properties if value]:
        component["properties"] = rows
    return component
