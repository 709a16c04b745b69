"""Finding and proving the origin of every distribution of an environment, many at a time."""

import os
import time
from collections.abc import Callable
from concurrent.futures import as_completed
from dataclasses import replace
from pathlib import Path
from typing import Final

from envcap.environment import Distribution, Environment
from envcap.errors import SourceError
from envcap.lock.conda import conda_platform
from envcap.lock.proof import Place
from envcap.lock.pypi_origin import OriginFinder
from envcap.lock.pypi_prover import Prover
from envcap.lock.pypi_result import (
    ProofCache,
    ProofResult,
    Unproven,
    decode_proof,
    encode_proof,
    proof_key,
)
from envcap.sources.answer import Meter
from envcap.sources.http import Session
from envcap.sources.index import IndexReader
from envcap.wheel.layout import layout_of
from envcap.workers import worker_pool

WORKERS: Final = 16
"""Distributions looked for at a time: most of the time is waiting for an answer."""

PLATFORMS: Final = {"x86_64": "linux/amd64", "amd64": "linux/amd64", "aarch64": "linux/arm64", "arm64": "linux/arm64"}


def prove_distributions(
    environment: Environment,
    session: Session,
    *,
    cache: ProofCache,
    progress: Callable[[ProofResult], None] = lambda _: None,
    workers: int = WORKERS,
    clock: Callable[[], float] = time.monotonic,
    pip_cache: Path | None = None,
) -> tuple[ProofResult, ...]:
    """Find the artifact of each distribution, in the environment's order.

    Args:
        environment: What was scanned.
        session: Where to ask, with this machine's indexes; an offline one asks local folders only.
        cache: Remembers proofs, so that a second run asks nobody.
        progress: Told of each result as it comes.
        workers: Distributions at a time.
        clock: Seconds, for the time that each took.
        pip_cache: pip's cache, which knows what its wheels were built from; None to leave it alone.

    Raises:
        SourceError: No package index answers at all.
        ScanError: The environment changed meanwhile.
        StoreError: The cache can't be read or written.
    """
    prover = Prover(environment, IndexReader(session), platform=platform_of(environment))

    origins = OriginFinder(session, pip_cache=pip_cache, cache=cache)

    def run(distribution: Distribution) -> ProofResult:
        started, meter = clock(), Meter()
        place = place_of(environment, distribution)
        key = proof_key(distribution, place, session.settings)
        known = cache.get(key)
        remembered = decode_proof(known, distribution) if known is not None else None
        if remembered is not None:
            return replace(remembered, seconds=clock() - started)
        found = prover.prove(distribution, place, meter)
        if isinstance(found, Unproven):
            found = origins.find(found, key, meter)
        elif found.proof != "tags":
            cache.put(key, encode_proof(found))
        return replace(found, received=meter.received, pages=meter.pages, seconds=clock() - started)

    with worker_pool(workers) as pool:
        # The largest first: they take longest, and nothing should be left waiting for them at the end.
        order = sorted(environment.distributions, key=lambda distribution: -len(distribution.files))
        futures = {pool.submit(run, distribution): distribution for distribution in order}
        results: dict[str, ProofResult] = {}
        for future in as_completed(futures):
            result = future.result()
            results[result.distribution.directory] = result
            progress(result)
    found = tuple(results[distribution.directory] for distribution in environment.distributions)
    _check_reached(found, session)
    return found


def place_of(environment: Environment, distribution: Distribution) -> Place:
    """Tell where a distribution lies: beside its own metadata, whatever the environment's kind."""
    spellings = [
        str(path) for path in (environment.prefix, environment.prefix.resolve(), environment.interpreter.prefix)
    ]
    spellings += sorted({file.python for file in distribution.files if file.python})
    return Place(
        layout=layout_of(environment.interpreter.version, environment.interpreter.soabi),
        site_packages=distribution.directory.rpartition("/")[0] or environment.site_packages,
        prefixes=tuple(dict.fromkeys(os.fsencode(path) for path in spellings)),
    )


def platform_of(environment: Environment) -> str:
    """Name the platform of an environment as artifacts name it: `linux/amd64`; by its conda packages without Python."""
    if not environment.has_python:
        return conda_platform(environment)
    machine = environment.interpreter.markers.get("platform_machine", "").lower()
    return PLATFORMS.get(machine, f"linux/{machine}")


def _check_reached(results: tuple[ProofResult, ...], session: Session) -> None:
    """Say once that nothing answers, instead of capturing every package one by one."""
    remote = [index for index in session.settings.indexes if not index.is_local]
    failed = [row for row in results if isinstance(row, Unproven) and row.reason == "index-failed"]
    if failed and remote and not any(session.is_reached(index.url) for index in remote):
        asked = ", ".join(index.shown for index in remote)
        reason = next((finding.message for row in failed for finding in row.findings), "")
        raise SourceError(
            f"No package index answers (asked: {asked}). {reason}",
            hint="check the network and the indexes of pip and uv, or run with `--offline` to capture what is left",
        )
