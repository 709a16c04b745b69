"""What the command line says of conda packages: rows of a snapshot's summary, and a table for `show`."""

from envcap.finding import Finding
from envcap.lockfile.model import CondaPackage, Lockfile
from envcap.render import columns, counted, human_size

_CAPTURED = {"archive": "archive kept", "files": "made of its files"}


def conda_rows(lock: Lockfile) -> list[tuple[str, str]]:
    """Give the summary's row on conda packages; none for a virtual environment."""
    if not lock.conda:
        return []
    channels = sorted({row.channel for row in lock.conda})
    size = human_size(sum(row.size for row in lock.conda))
    count = conda_captured(lock)
    kept = f", {count} of them kept with the lock" if count else ""
    return [("conda", f"{counted(len(lock.conda), 'package')} of {', '.join(channels)}, {size}{kept}")]


def conda_captured(lock: Lockfile) -> int:
    """Count the conda packages whose archives lie beside the lock."""
    return sum(bool(row.captured) for row in lock.conda)


def conda_patched(lock: Lockfile) -> list[str]:
    """Say, for each conda package with patches, how many files differ."""
    return [f"{row.name} ({counted(len(row.patches), 'file')})" for row in lock.conda if row.patches]


def has_patches(lock: Lockfile) -> bool:
    """Tell whether a package, pip's or conda's, is patched."""
    return any(row.patches for row in lock.packages) or any(row.patches for row in lock.conda)


def conda_left_out(lock: Lockfile) -> tuple[Finding, ...]:
    """Say that formats of pip hold no conda packages."""
    if not lock.conda:
        return ()
    one = len(lock.conda) == 1
    packages = "its conda package is" if one else f"its {len(lock.conda)} conda packages are"
    message = f"The lock is of a conda environment: {packages} not in the export, which holds only what pip installed"
    return (Finding(code="conda-not-exported", message=message),)


def conda_inexact(lock: Lockfile) -> list[str]:
    """Say, for each conda package that is not only what its archive holds, why: what `--strict` refuses."""
    return [
        f"{row.name} {row.version}: "
        + (", ".join(f"{patch.path} {patch.change}" for patch in row.patches[:3]) or "nobody has its archive")
        for row in lock.conda
        if row.patches or row.captured == "files"
    ]


def conda_table(lock: Lockfile) -> str:
    """Write the conda packages as columns, the large ones first; empty without any."""
    if not lock.conda:
        return ""
    ranked = sorted(lock.conda, key=lambda row: (-row.size, row.name))
    rows = [("conda package", "version", "build", "size", "channel", "")]
    rows += [(row.name, row.version, row.build, human_size(row.size), row.channel, _remark(row)) for row in ranked]
    return columns(rows, right=frozenset({3}))


def _remark(row: CondaPackage) -> str:
    remarks = ["requested"] if row.requested else []
    remarks += [_CAPTURED[row.captured]] if row.captured else []
    remarks += [f"{counted(len(row.patches), 'file')} patched"] if row.patches else []
    return ", ".join(remarks)
