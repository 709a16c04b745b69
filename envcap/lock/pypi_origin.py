"""What a distribution without an artifact was built from: asked of pip's cache first, then of the indexes' sdists."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import cast

from envcap.digest import Digest
from envcap.lock.pypi_candidates import file_filter
from envcap.lock.pypi_result import ProofCache, Unproven
from envcap.lock.sdist import explains, find_sdist
from envcap.lockfile.model import SourceArchive
from envcap.secrets.urls import scrub_url
from envcap.sources.answer import Meter
from envcap.sources.http import Session
from envcap.sources.pip_cache import find_built_wheels
from envcap.store.actions import action_key


class OriginFinder:
    """Finds sdists for one snapshot; threads may share it."""

    def __init__(self, session: Session, *, pip_cache: Path | None, cache: ProofCache) -> None:
        """Take what is asked.

        Args:
            session: Where sdists are fetched.
            pip_cache: pip's cache, or None.
            cache: Remembers what was found, so that a second run fetches nothing.
        """
        self._session = session
        self._pip_cache = pip_cache
        self._cache = cache

    def find(self, found: Unproven, proof: Digest, meter: Meter) -> Unproven:
        """Complete a result with the sdist that explains it, where there is one.

        Args:
            found: A distribution whose files are captured.
            proof: The name of its proof: all that the answer follows from, but the candidates.
            meter: Counts what is received.
        """
        direct = found.distribution.direct_url
        if direct is not None and direct.kind != "archive":
            return found
        names = [[file.filename, file.sha256] for file in found.sources]
        key = action_key("sdist-origin", {"proof": str(proof), "candidates": names})
        known = self._cache.get(key)
        if known is not None and (sdist := _decoded(known)) is not None:
            return replace(found, sdist=sdist)
        sdist = self._from_pip(found) or find_sdist(found.distribution, found.sources, self._session, meter)
        if sdist is None:
            return found
        if direct is not None and not direct.url.startswith("file:"):
            sdist = replace(sdist, url=scrub_url(direct.url))
        self._cache.put(key, asdict(sdist))
        return replace(found, sdist=sdist)

    def _from_pip(self, found: Unproven) -> SourceArchive | None:
        """Take the origin of a wheel that pip built and that holds what is installed."""
        live = found.distribution
        if self._pip_cache is None:
            return None
        listed = {file.sha256 for file in found.sources}
        for wheel in find_built_wheels(self._pip_cache, file_filter(live.name, live.version)):
            if explains(live, wheel.hashes):
                return SourceArchive(
                    file=wheel.sdist, sha256=wheel.sha256, url="" if wheel.sha256 in listed else wheel.url
                )
        return None


def _decoded(value: Mapping[str, object]) -> SourceArchive | None:
    try:
        return SourceArchive(**cast("dict[str, str]", value))
    except TypeError:
        return None
