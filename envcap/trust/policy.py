"""Whose word is enough: `policy.toml`, read strictly. Pure.

Nothing has a default, and what a policy asks for must be possible: a typing error must never make it weaker.

    policy-version = "1.0"

    [[keys]]
    name = "alice"
    key = "ssh-ed25519 AAAA…"     # or PEM, or `file = "alice.pub"`, beside the policy

    [require.signature]
    threshold = 1                 # distinct keys
    keys = ["alice"]              # left out: any of the keys

    [require.rebuild]
    threshold = 2                 # distinct keys that got the image that the lock expects, on each of its platforms
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from envcap.errors import TrustError
from envcap.trust.claims import KINDS
from envcap.trust.keys import PublicKey, read_public_key
from envcap.trust.strict_json import check_kind, member, refuse_others

POLICY_VERSION: Final = "1.0"
MAX_POLICY: Final = 256 << 10
"""Longest policy read, bytes."""

MAX_KEYS: Final = 256
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}\Z")
_MAX_DOTS: Final = 64

ReadKeyFile = Callable[[str], str]
"""Gives the text of a key file that a policy names; raises TrustError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One thing that must have been said of a lock.

    Attributes:
        kind: `signature` or `rebuild`.
        threshold: By how many distinct keys at least.
        keys: Names of the keys that count.
    """

    kind: str
    threshold: int
    keys: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A policy.

    Attributes:
        keys: The trusted keys by name; no key has two names.
        requirements: What is required, all of it; at least one.
    """

    keys: Mapping[str, PublicKey]
    requirements: tuple[Requirement, ...]


def read_policy(data: bytes, *, read_key: ReadKeyFile) -> Policy:
    """Read a policy.

    Args:
        data: The file.
        read_key: Reads the key files that it names.

    Raises:
        TrustError: It can't be read, asks for nothing, or for what can't be.
    """
    table = _parse(data)
    refuse_others(table, {"policy-version", "keys", "require"}, "policy")
    version = member(table, "policy-version", str, "policy")
    if version != POLICY_VERSION:
        raise TrustError(f"Unexpected policy-version {version[:100]!r} (expected {POLICY_VERSION!r})")
    rows = member(table, "keys", list, "policy")
    if not 1 <= len(rows) <= MAX_KEYS:
        raise TrustError(f"Unexpected number of keys in the policy ({len(rows)}, expected 1 to {MAX_KEYS})")
    keys = _keys([check_kind(row, dict, "key of the policy") for row in rows], read_key)
    required = member(table, "require", dict, "policy")
    refuse_others(required, set(KINDS.values()), "policy's requirements")
    if not required:
        raise TrustError("The policy requires nothing (expected `[require.signature]` or `[require.rebuild]`)")
    requirements = [
        _requirement(kind, check_kind(required[kind], dict, f"requirement {kind!r}"), frozenset(keys))
        for kind in sorted(required)
    ]
    return Policy(keys=keys, requirements=tuple(requirements))


def _parse(data: bytes) -> dict[str, object]:
    if len(data) > MAX_POLICY:
        raise TrustError(f"The policy is too long (at most {MAX_POLICY} bytes)")
    try:
        text = data.decode()
        # tomllib needs time in the square of the parts of a dotted key; no line of a policy has many.
        if any(line.count(".") > _MAX_DOTS for line in text.splitlines()):
            raise TrustError(f"A line of the policy has too many dots (at most {_MAX_DOTS})")
        return tomllib.loads(text)
    except RecursionError:
        raise TrustError("The policy is nested too deeply") from None
    except ValueError as error:
        raise TrustError(f"The policy is not valid TOML: {str(error)[:200]}") from None


def _keys(rows: list[dict[str, object]], read_key: ReadKeyFile) -> dict[str, PublicKey]:
    keys: dict[str, PublicKey] = {}
    for row in rows:
        refuse_others(row, {"name", "key", "file"}, "key of the policy")
        name = member(row, "name", str, "key of the policy")
        if not _NAME.match(name):
            raise TrustError(f"Unexpected name {name[:100]!r} of a key (expected letters, digits and `._@+-`)")
        if name in keys:
            raise TrustError(f"The policy has two keys of the name {name!r}")
        where = f"The key {name!r} of the policy"
        if ("key" in row) == ("file" in row):
            raise TrustError(f"{where} needs one of `key` and `file`")
        text = member(row, "key", str, "policy") if "key" in row else read_key(member(row, "file", str, "policy"))
        key = read_public_key(text, where)
        # One key under two names would count twice.
        same = next((other for other, known in keys.items() if known.spki == key.spki), "")
        if same:
            raise TrustError(f"{where} is the key of {same!r} (expected distinct keys)")
        keys[name] = key
    return keys


def _requirement(kind: str, table: dict[str, object], known: frozenset[str]) -> Requirement:
    where = f"requirement {kind!r}"
    refuse_others(table, {"threshold", "keys"}, where)
    threshold = member(table, "threshold", int, where)
    listed = [check_kind(name, str, f"key of the {where}") for name in check_kind(table.get("keys", []), list, where)]
    for name in listed:
        if name not in known:
            raise TrustError(f"Unknown key {name[:100]!r} in the {where} (expected one of: {', '.join(sorted(known))})")
    if "keys" in table and len(set(listed)) != len(listed):
        raise TrustError(f"A key is there twice in the {where}")
    keys = frozenset(listed) if "keys" in table else known
    if not 1 <= threshold <= len(keys):
        raise TrustError(f"Unexpected threshold {threshold} in the {where} (expected 1 to {len(keys)}, its keys)")
    return Requirement(kind=kind, threshold=threshold, keys=keys)
