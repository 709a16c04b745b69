"""Editable installs whose code was not found: built where that may be done, and never with pointers to this machine."""

from collections.abc import Callable
from dataclasses import replace

from envcap.environment import Distribution, Environment
from envcap.errors import ScanError
from envcap.finding import Finding, FindingLevel
from envcap.project.build import Builder, build_project
from envcap.scan.editable import find_pointers, is_editable, project_folder

LOST = "editable-lost"


def build_lost(environment: Environment, builder: Builder, tell: Callable[[str, int, int], None]) -> Environment:
    """Build each editable install whose code was not found, and take what its wheel holds.

    Args:
        environment: What `expand_editables` gave.
        builder: What building takes.
        tell: Shows which one is built.

    Raises:
        StoreError: The store fails.
    """
    lost = {finding.path for finding in environment.findings if finding.code == LOST}
    distributions: list[Distribution] = []
    findings = list(environment.findings)
    for one in environment.distributions:
        if one.directory not in lost or not is_editable(one):
            distributions.append(one)
            continue
        tell(f"building {one.name}", 0, 0)
        built, finding = _built(one, environment, builder)
        distributions.append(built)
        findings = [row for row in findings if (row.code, row.path) != (LOST, one.directory)]
        findings.append(finding)
    return replace(environment, distributions=tuple(distributions), findings=tuple(findings))


def _built(one: Distribution, environment: Environment, builder: Builder) -> tuple[Distribution, Finding]:
    folder = project_folder(one)
    if folder is None or not folder.is_dir():
        return one, _lost(one, "its project folder is gone")
    try:
        files = build_project(one, folder, environment, builder)
    except ScanError as error:
        return one, _lost(one, f"it was not built: {error.message}")
    if not files:
        return one, _lost(one, "the wheel that was built holds no code")
    pointers = {file.path for file in find_pointers(one, environment)}
    kept = [file for file in one.files if file.path not in pointers]
    taken = {file.path for file in kept}
    added = [file for file in files if file.path not in taken]
    message = f"{one.name} is editable by an import hook of its own: it was built, and its wheel's files are captured"
    return (
        replace(one, files=tuple(sorted((*kept, *added), key=lambda file: file.path))),
        Finding(code="editable-built", message=message, path=one.directory, level=FindingLevel.NOTE),
    )


def _lost(one: Distribution, reason: str) -> Finding:
    message = f"{one.name} is editable and its code was not found ({reason}): the image can't import it"
    return Finding(code=LOST, message=message, path=one.directory)
