"""Changing a lock's plain table at a path, and sealing it again with a digest that fits."""

import copy
import re
import tomllib
from collections.abc import Sequence
from typing import cast

from envcap.errors import LockfileError
from envcap.lockfile.document import read_lockfile
from envcap.lockfile.model import Lockfile
from envcap.lockfile.toml import dump_toml
from tests.lockfile.small import SMALL_TEXT

Step = str | int
FOUND = re.compile(r"found '(sha256:[0-9a-f]{64})'\)\Z")


def small_table() -> dict[str, object]:
    return tomllib.loads(SMALL_TEXT)


def at(table: object, path: Sequence[Step]) -> object:
    for step in path:
        table = _container(table)[step]
    return table


def put(table: dict[str, object], path: Sequence[Step], value: object) -> dict[str, object]:
    changed = copy.deepcopy(table)
    _container(at(changed, path[:-1]))[path[-1]] = value
    return changed


def drop(table: dict[str, object], path: Sequence[Step]) -> dict[str, object]:
    changed = copy.deepcopy(table)
    del _container(at(changed, path[:-1]))[path[-1]]
    return changed


def _container(value: object) -> dict[Step, object]:
    """A table or an array: both are read, set and deleted from by a step."""
    assert isinstance(value, dict | list), value
    return cast("dict[Step, object]", value)


def read_sealed(table: dict[str, object]) -> Lockfile:
    """Read a table as a lock whose digest fits, as an attacker would make it."""
    try:
        return read_lockfile(dump_toml(table))
    except LockfileError as error:
        found = FOUND.search(error.message)
        if found is None:
            raise
        return read_lockfile(dump_toml(put(table, ["digest"], found[1])))
