"""Who vouches for a lock: statements signed by keys, and the policy that says whose word is enough.

An in-toto statement in a DSSE envelope in a sigstore bundle, by key alone: no certificate, no log, no server.
"""

from typing import Final

ATTESTATIONS: Final = "attestations"
"""Folder beside a lockfile where they lie."""
