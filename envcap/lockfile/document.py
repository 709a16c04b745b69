"""`envcap.lock` as text: one canonical writer, one strict reader, and the digest that names an environment.

`read_lockfile(write_lockfile(lock)) == lock` for every lock that passes `check_lockfile`.
"""

import re
import tomllib
from dataclasses import replace

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import LockfileError
from envcap.lockfile.check import check_lockfile
from envcap.lockfile.codec import Table, from_table, to_table
from envcap.lockfile.model import LOCK_VERSION, Expected, Lockfile
from envcap.lockfile.toml import dump_toml

MAX_TEXT = 16 << 20
"""Longest lockfile read, characters: a lock of 20,000 packages has 7 MB, and tomllib needs 30 times as much memory."""

MAX_TABLES = 64
"""Most tables of different names: the writer writes a dozen, and tomllib needs 1 KB for each."""

MAX_DOTS = 8
"""Most dots outside strings and comments in one line; the writer writes one at most, in `[expected."…"]`."""

_OPAQUE = re.compile(
    r"""
    "[^"\\]*+(?:\\.[^"\\]*+)*+"  # basic string
    | \#.*  # comment
    """,
    re.VERBOSE,
)


def environment_digest(lockfile: Lockfile) -> Digest:
    """Name the environment: the hash over everything but `name`, `digest`, `[session]` and `[expected]` (DESIGN §3).

    The session is what the shell of the snapshot had set: another `LANG` does not make another environment.

    A git branch is a name too: the same commit on another branch is the same environment.
    The bytes hashed are RFC 8785 canonical JSON, so the digest does not depend on how TOML is laid out.
    """
    table = to_table(replace(lockfile, packages=tuple(replace(row, branch="") for row in lockfile.packages)))
    for key in ("name", "session", "expected"):
        table.pop(key, None)
    return Digest.of(canonical_json(table))


def write_lockfile(lockfile: Lockfile) -> str:
    """Write the canonical text.

    Raises:
        LockfileError: The lock holds what a reader would refuse.
    """
    check_lockfile(lockfile)
    body = to_table(lockfile)
    expected = {row.platform: _without_platform(row) for row in lockfile.expected}
    body.pop("expected", None)
    head: Table = {
        "lock-version": LOCK_VERSION,
        "name": body.pop("name"),
        "recipe": body.pop("recipe"),
        "digest": str(environment_digest(lockfile)),
    }
    text = dump_toml(head | body)
    for platform, table in expected.items():
        text += f'\n[expected."{platform}"]\n' + dump_toml(table)
    size = len(text.encode())
    if size > MAX_TEXT:
        patches = [*(row.patches for row in lockfile.packages), *(row.patches for row in lockfile.conda)]
        rows = sum(map(len, patches)) + len(lockfile.captured)
        raise LockfileError(
            f"The lock would be too long ({size:,} bytes, at most {MAX_TEXT:,}): it lists {rows:,} files that are"
            " patched, or nobody's",
            hint="move data out of the environment's packages, or lower `--max-unowned`",
        )
    return text


def read_lockfile(text: str) -> Lockfile:
    """Read a lock, refusing everything that the writer would not write.

    Raises:
        LockfileError: Not TOML, another lock version, unknown keys, wrong types or values, or a digest that does not
            match the content.
    """
    table = _parse(text)
    version = _pop_text(table, "lock-version")
    if version != LOCK_VERSION:
        raise LockfileError(
            f"Unexpected lock-version {version[:100]!r} (expected {LOCK_VERSION!r})",
            hint="read it with the version of envcap that wrote it",
        )
    digest = _pop_text(table, "digest")
    table["expected"] = _expected_rows(table.get("expected", {}))
    lockfile = from_table(Lockfile, table, where="")
    check_lockfile(lockfile)
    found = str(environment_digest(lockfile))
    if digest != found:
        raise LockfileError(
            f"The lock's content does not match its digest (expected {digest[:100]!r}, found {found!r})",
            hint="a lock is not edited by hand: make it again with `envcap snapshot`, or restore it from git",
        )
    return lockfile


def _parse(text: str) -> Table:
    if len(text) > MAX_TEXT:
        raise LockfileError(f"The lockfile is too long ({len(text)} characters, at most {MAX_TEXT})")
    _refuse_explosions(text)
    try:
        return tomllib.loads(text)
    # Beside its own error, tomllib lets through the ValueError of an integer with too many digits.
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)[:200]
        raise LockfileError(f"The lockfile is not valid TOML: {reason}") from None


def _refuse_explosions(text: str) -> None:
    """Refuse dotted keys of many parts, and tables of many names.

    tomllib needs memory and time in the square of the number of parts, and much memory for each table.

    Strings and comments may hold any number of dots, so they are skipped, as a TOML parser would. The other kinds of
    string would make that hard, and the writer doesn't write them.
    """
    expected = "expected strings in double quotes on one line"
    if '"""' in text:
        raise LockfileError(f"Unexpected string of many lines in the lockfile ({expected})")
    lines = text.split("\n")
    tables = {line for line in lines if line.lstrip(" \t").startswith("[")}
    if len(tables) > MAX_TABLES:
        raise LockfileError(
            f"Unexpected tables in the lockfile ({len(tables)} of different names, at most {MAX_TABLES})"
        )
    for number, line in enumerate(lines, start=1):
        if "'" not in line and line.count(".") <= MAX_DOTS:
            continue
        rest = _OPAQUE.sub("", line)
        if "'" in rest:
            raise LockfileError(f"Unexpected single quote in line {number} of the lockfile ({expected})")
        if rest.count(".") > MAX_DOTS:
            raise LockfileError(f"Unexpected dotted key in line {number} of the lockfile (at most {MAX_DOTS} dots)")


def _pop_text(table: Table, key: str) -> str:
    if key not in table:
        raise LockfileError(f"Missing key {key!r} in the lockfile")
    value = table.pop(key)
    if not isinstance(value, str):
        raise LockfileError(f"Unexpected {type(value).__name__} in {key!r} (expected a string)")
    return value


def _without_platform(row: Expected) -> Table:
    table = to_table(row)
    del table["platform"]
    return table


def _expected_rows(tables: object) -> list[object]:
    if not isinstance(tables, dict):
        raise LockfileError(f"Unexpected {type(tables).__name__} in 'expected' (expected a table per platform)")
    rows: list[object] = []
    for platform in sorted(tables):
        row = tables[platform]
        where = f"expected.{platform[:100]}"
        if not isinstance(row, dict):
            raise LockfileError(f"Unexpected {type(row).__name__} in {where!r} (expected a table)")
        if "platform" in row:
            raise LockfileError(f"Unknown key 'platform' in {where!r} (expected it as the name of the table only)")
        rows.append({"platform": platform, **row})
    return rows
