"""Canonical JSON (RFC 8785): one value, one sequence of bytes; for what envcap hashes or publishes as JSON."""

import hashlib
import json

import rfc8785


def canonical_json(value: object) -> bytes:
    """Write plain JSON values: sorted keys, no spaces, UTF-8."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]  # its recursive type can't be said of built-up dicts


def rows_hash(rows: object) -> str:
    """Name many rows of strings and numbers by one hash, fast: for keys of a cache, never for what is published."""
    return hashlib.sha256(json.dumps(rows, separators=(",", ":")).encode()).hexdigest()
