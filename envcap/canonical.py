"""Canonical JSON (RFC 8785): one value, one sequence of bytes; for what envcap hashes or publishes as JSON."""

import rfc8785


def canonical_json(value: object) -> bytes:
    """Write plain JSON values: sorted keys, no spaces, UTF-8."""
    return rfc8785.dumps(value)  # type: ignore[arg-type]  # its recursive type can't be said of built-up dicts
