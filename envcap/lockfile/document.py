"""`envcap.lock` as text: one canonical writer, one strict reader, and the digest that names an environment.

`read_lockfile(write_lockfile(lock)) == lock` for every lock that passes `check_lockfile`.
"""

import tomllib

from envcap.canonical import canonical_json
from envcap.digest import Digest
from envcap.errors import LockfileError
from envcap.lockfile.check import check_lockfile
from envcap.lockfile.codec import Table, from_table, to_table
from envcap.lockfile.model import LOCK_VERSION, Expected, Lockfile
from envcap.lockfile.toml import dump_toml

MAX_TEXT = 64 << 20
"""Longest lockfile read, bytes: a lock of 2,000 packages has under 2 MB."""


def environment_digest(lockfile: Lockfile) -> Digest:
    """Name the environment: the hash over everything but `name`, `digest` and `[expected]` (DESIGN §3).

    The bytes hashed are RFC 8785 canonical JSON, so the digest does not depend on how TOML is laid out.
    """
    table = to_table(lockfile)
    for key in ("name", "expected"):
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
    return text


def read_lockfile(text: str) -> Lockfile:
    """Read a lock, refusing everything that the writer would not write.

    Raises:
        LockfileError: Not TOML, another lock version, unknown keys, wrong types or values, or a digest that does not
            match the content.
    """
    table = _parse(text)
    version = table.pop("lock-version", None)
    if version != LOCK_VERSION:
        raise LockfileError(
            f"Unexpected lock-version {version!r} (expected {LOCK_VERSION!r})",
            hint="read it with the version of envcap that wrote it",
        )
    digest = table.pop("digest", None)
    table["expected"] = _expected_rows(table.get("expected", {}))
    lockfile = from_table(Lockfile, table, where="")
    check_lockfile(lockfile)
    found = str(environment_digest(lockfile))
    if digest != found:
        raise LockfileError(
            f"The lock's content does not match its digest (expected {digest!r}, found {found!r})",
            hint="a lock is not edited by hand: make it again with `envcap snapshot`, or restore it from git",
        )
    return lockfile


def _parse(text: str) -> Table:
    if len(text) > MAX_TEXT:
        raise LockfileError(f"The lockfile is too long ({len(text)} characters, at most {MAX_TEXT})")
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise LockfileError(f"The lockfile is not valid TOML: {reason}") from None


def _without_platform(row: Expected) -> Table:
    table = to_table(row)
    del table["platform"]
    return table


def _expected_rows(tables: object) -> list[object]:
    if not isinstance(tables, dict):
        raise LockfileError(f"Unexpected {type(tables).__name__} in 'expected' (expected a table per platform)")
    rows: list[object] = []
    for platform in sorted(tables):
        if not isinstance(tables[platform], dict):
            raise LockfileError(f"Unexpected {type(tables[platform]).__name__} in 'expected.{platform}'")
        rows.append({"platform": platform, **tables[platform]})
    return rows
