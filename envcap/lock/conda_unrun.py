"""What conda runs when it installs a package or activates an environment, and the image does not: named, never run.

Link scripts are told apart: one that only leaves a message for the user is a note, any other a warning. Variables are
named without their values, which may be secret.
Source: conda documentation, "Adding pre-link, post-link, and pre-unlink scripts" (`$PREFIX/.messages.txt`) and
"Managing environments" (`etc/conda/activate.d`; variables in `conda-meta/state` and `etc/conda/env_vars.d`).
"""

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from envcap.environment import CondaRecord, Environment
from envcap.few import few
from envcap.finding import Finding, FindingLevel

_LINK_SCRIPTS = ("pre-link", "post-link")
_ACTIVATE = "etc/conda/activate.d/"
_VARIABLES = "etc/conda/env_vars.d/"
_STATE = "conda-meta/state"
_LIMIT = 1 << 20
_SHOWN = 6
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")
_UNSET = "***unset***"

_TO_USER = r">>?[ \t]*(?:\"?\$\{?PREFIX\}?\"?/\.messages\.txt\"?)"
_SAYS = re.compile(rf"(?:echo|printf)(?:[ \t][^`;&|<>\\]*)?(?:{_TO_USER})?[ \t]*\Z")
_NOTHING = re.compile(r"(?:#.*|set [-+][a-z]+(?: pipefail)?|exit 0|true|:|)\Z")
_DOCUMENT = re.compile(
    rf"cat[ \t]*(?:<<[ \t]*(['\"]?)([A-Z]+)\1[ \t]*{_TO_USER}|{_TO_USER}[ \t]*<<[ \t]*(['\"]?)([A-Z]+)\3)[ \t]*\Z"
)


def unrun_findings(environment: Environment, *, given: Collection[str] = ()) -> tuple[Finding, ...]:
    """Name what conda would run or set.

    Args:
        environment: The scan.
        given: Names of the variables that the image has.
    """
    scripts = (finding for record in environment.conda for finding in _link_scripts(record, environment.prefix))
    return (*scripts, *_activation(environment), *_variables(environment, given))


def only_says(script: str) -> bool:
    """Tell whether a shell script does nothing but leave a message; in doubt it does more."""
    lines = iter(script.splitlines())
    for line in lines:
        text = line.strip()
        if _NOTHING.match(text):
            continue
        document = _DOCUMENT.match(text)
        if document is None and ("$(" in text or not _SAYS.match(text)):
            return False
        if document is not None and not _is_plain(lines, document):
            return False
    return True


def _is_plain(lines: Iterator[str], start: re.Match[str]) -> bool:
    """Pass over a here-document; tell whether it ends, and nothing in it is run."""
    end, is_quoted = start[2] or start[4], bool(start[1] or start[3])
    for line in lines:
        if line == end:
            return True
        if not is_quoted and ("$(" in line or "`" in line):
            return False
    return False


def _link_scripts(record: CondaRecord, prefix: Path) -> Iterator[Finding]:
    """Name the scripts that an installer runs; what they did here is among the unowned or edited files."""
    wanted = {f"bin/.{record.name}-{kind}.sh": kind for kind in _LINK_SCRIPTS}
    for row in record.paths:
        kind = wanted.get(row.path)
        if kind is None:
            continue
        not_run = f"The {kind} script of conda's {record.name} is not run in the image"
        if only_says(_read(prefix / row.path) or "\0"):
            message, level = f"{not_run}: it only leaves a message", FindingLevel.NOTE
        else:
            level = FindingLevel.WARNING
            message = f"{not_run}: what it made in the live environment is captured, what it made elsewhere is not"
        yield Finding(code="conda-link-script", message=message, level=level)


def _activation(environment: Environment) -> Iterator[Finding]:
    owners = {
        record.name
        for record in environment.conda
        for row in record.paths
        if row.path.startswith(_ACTIVATE) and row.path.endswith(".sh")
    }
    own = {file.path for file in environment.unowned if file.path.startswith(_ACTIVATE) and file.path.endswith(".sh")}
    names = [*sorted(owners), *(path.removeprefix(_ACTIVATE) for path in sorted(own))]
    if names:
        message = (
            f"The image's commands start without the activation scripts of {few(names, _SHOWN)} ({_ACTIVATE[:-1]})"
        )
        yield Finding(code="conda-activation", message=message, level=FindingLevel.WARNING)


def _variables(environment: Environment, given: Collection[str]) -> Iterator[Finding]:
    live = {file.path for record in environment.conda for file in record.files} | {
        file.path for file in environment.unowned
    }
    tables = [_table(environment.prefix / path) for path in sorted(live) if path.startswith(_VARIABLES)]
    state = _table(environment.prefix / _STATE).get("env_vars")
    tables.append(state if isinstance(state, dict) else {})
    names = sorted(
        {
            name
            for table in tables
            for name, value in table.items()
            if isinstance(value, str) and value != _UNSET and _NAME.match(name) and name not in given
        }
    )
    if names:
        pronoun = "it" if len(names) == 1 else "one"
        message = (
            f"Activated, the environment sets {few(names, _SHOWN)}, which the image doesn't: "
            f"`--env NAME=VALUE` puts {pronoun} into it"
        )
        yield Finding(code="conda-variables", message=message, level=FindingLevel.WARNING)


def _table(path: Path) -> dict[str, object]:
    try:
        found = json.loads(_read(path) or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _read(path: Path) -> str | None:
    """Read a small text; None for what is none, is no regular file, or can't be read."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        with path.open("rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError:
        return None
    return None if len(data) > _LIMIT else data.decode("utf-8", "replace")
