"""The virtual packages of this machine, as conda's tools see them: names and versions, nothing that names the machine.

py-rattler finds them (glibc, the kernel's version, the CPU's kind, CUDA by the driver); without it (`envcap[conda]`),
none are known. Variables such as CONDA_OVERRIDE_CUDA count as they do for conda: an empty one takes a package away.
Source: CEP 30; conda's "Overriding detected packages" (`CONDA_OVERRIDE_*`).
"""

from collections.abc import Mapping

from envcap.conda.virtual import ARCHSPEC, CUDA, FACT, GLIBC, LINUX, VIRTUAL_NAME

_OVERRIDES = {
    "CONDA_OVERRIDE_ARCHSPEC": ARCHSPEC,
    "CONDA_OVERRIDE_CUDA": CUDA,
    "CONDA_OVERRIDE_GLIBC": GLIBC,
    "CONDA_OVERRIDE_LINUX": LINUX,
}
_NO_BUILD = "0"


def detect_virtual(environ: Mapping[str, str]) -> dict[str, str]:
    """Give this machine's virtual packages: version, and build behind a space where it says something.

    Args:
        environ: Environment variables.
    """
    found = _detected()
    for variable, name in _OVERRIDES.items():
        value = environ.get(variable)
        if value is not None:
            found.pop(name, None)
            found |= {name: f"1 {value}" if name == ARCHSPEC else value} if value.strip() else {}
    return {name: found[name] for name in sorted(found) if VIRTUAL_NAME.match(name) and FACT.match(found[name])}


def _detected() -> dict[str, str]:
    try:
        from rattler import VirtualPackage  # noqa: PLC0415 - an extra, and slow to load
        from rattler.exceptions import DetectVirtualPackageError  # noqa: PLC0415
    except ImportError:
        return {}
    try:
        rows = [package.into_generic() for package in VirtualPackage.detect()]
    except DetectVirtualPackageError:
        return {}
    return {
        row.name.normalized: str(row.version) + (f" {row.build_string}" if str(row.build_string) != _NO_BUILD else "")
        for row in rows
    }
