"""Finding the origin of one distribution: the ladder of DESIGN §4, from its direct URL to its tags alone."""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote, urlsplit

from envcap.digest import is_sha256
from envcap.environment import DirectUrl, Distribution, Environment
from envcap.errors import ArchiveError, SourceError
from envcap.finding import Finding, FindingLevel
from envcap.lock.patches import shared_paths
from envcap.lock.proof import Match, Place, match_artifact, patches_of
from envcap.lock.pypi_candidates import Candidates, file_filter, find_candidates
from envcap.lock.pypi_live import LiveTree
from envcap.lock.pypi_result import ProofResult, Proven, Unproven, count_differences
from envcap.lock.pypi_wheel import open_wheel, tail_size
from envcap.lockfile.model import Artifact
from envcap.secrets.urls import scrub_url
from envcap.sources.answer import AnswerError, Meter
from envcap.sources.hashing import hash_file
from envcap.sources.index import IndexReader
from envcap.sources.location import IndexLocation, ProjectFile
from envcap.sources.simple import is_file_name

URL_SOURCE: Final = "url"
"""Source name of an artifact that no index has, only its own URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One candidate, compared.

    Attributes:
        file: The candidate.
        match: How it compares, or None if it could not be read.
        size: Bytes of the file, or -1.
        fault: Why it could not be read, or empty.
    """

    file: ProjectFile
    match: Match | None = None
    size: int = -1
    fault: str = ""


class Prover:
    """Proves the distributions of one environment, one at a time; threads may share it."""

    def __init__(self, environment: Environment, reader: IndexReader, *, platform: str) -> None:
        self._environment = environment
        self._reader = reader
        self._session = reader.session
        self._indexes = reader.session.settings.indexes
        self._platform = platform
        self._shared = shared_paths(environment.distributions)
        self._live = LiveTree(environment.prefix, (file for one in environment.distributions for file in one.files))

    def prove(self, distribution: Distribution, place: Place, meter: Meter) -> ProofResult:
        """Find the origin of a distribution.

        Args:
            distribution: What is installed.
            place: Where it lies.
            meter: Counts what is received for it.

        Raises:
            ScanError: The environment changed meanwhile.
        """
        reason = _unprovable(distribution)
        direct = distribution.direct_url
        if reason is not None:
            built = direct is None or direct.kind == "archive"
            sources = self._sources(distribution, direct, meter) if built else ()
            return Unproven(distribution=distribution, reason=reason[0], message=reason[1], sources=sources)
        if direct is not None:
            return self._prove_url(distribution, direct, place, meter)
        return self._prove_index(distribution, place, meter)

    def _prove_index(self, distribution: Distribution, place: Place, meter: Meter) -> ProofResult:
        findings: list[Finding] = []
        trials: list[Trial] = []
        sources: list[ProjectFile] = []
        wanted = file_filter(distribution.name, distribution.version)
        for index in self._asked_indexes():
            try:
                files = self._reader.files(index, distribution.name, meter=meter, wanted=wanted)
            except SourceError as error:
                findings.append(_index_failed(distribution, index, error))
                continue
            candidates = find_candidates(files, distribution, self._environment.interpreter)
            sources += candidates.sources
            trials += self._compare(candidates, {trial.file.sha256 for trial in trials}, distribution, place, meter)
            if any(trial.match and trial.match.is_accepted and not trial.match.differences for trial in trials):
                break
        accepted = [trial for trial in trials if trial.match and trial.match.is_accepted]
        if accepted:
            return self._accept(distribution, accepted, findings, meter)
        by_tags = self._by_tags(distribution, trials, findings)
        if by_tags is not None:
            return by_tags
        found = self._unexplained(distribution, trials, findings, sources=bool(sources))
        return replace(found, sources=tuple(sources))

    def _sources(self, distribution: Distribution, direct: DirectUrl | None, meter: Meter) -> tuple[ProjectFile, ...]:
        """List the source archives that a distribution may have been built from: its own URL's, or the indexes'."""
        if direct is not None:
            file = _direct_file(direct, unquote(urlsplit(direct.url).path.rpartition("/")[2]))
            return (file,) if file is not None else ()
        wanted = file_filter(distribution.name, distribution.version)
        found: list[ProjectFile] = []
        for index in self._asked_indexes():
            with suppress(SourceError):  # an origin is a fact more; nothing depends on it
                found += self._reader.files(index, distribution.name, meter=meter, wanted=wanted)
        return tuple(file for file in found if not file.filename.endswith(".whl"))

    def _asked_indexes(self) -> Iterable[IndexLocation]:
        return (index for index in self._indexes if index.is_local or not self._session.offline)

    def _compare(
        self, candidates: Candidates, seen: set[str], distribution: Distribution, place: Place, meter: Meter
    ) -> list[Trial]:
        """Compare the candidates with equal tags, and only if none is accepted, the others."""
        trials: list[Trial] = []
        for group in (candidates.exact, candidates.others):
            fresh = [file for file in group if not file.sha256 or file.sha256 not in seen]
            trials += [self._try(file, distribution, place, meter) for file in fresh]
            if any(trial.match and trial.match.is_accepted for trial in trials):
                break
        return trials

    def _try(self, file: ProjectFile, distribution: Distribution, place: Place, meter: Meter) -> Trial:
        try:
            with open_wheel(
                self._session,
                file.url,
                filename=file.filename,
                project=distribution.name,
                size=file.size,
                tail=tail_size(distribution),
                meter=meter,
            ) as wheel:
                match = match_artifact(
                    distribution,
                    wheel.contents,
                    place,
                    live=self._live,
                    read_member=wheel.read_member,
                    shared=self._shared,
                )
                return Trial(file=file, match=match, size=wheel.size)
        except (SourceError, ArchiveError) as error:
            return Trial(file=file, size=file.size, fault=error.message)

    def _accept(
        self, distribution: Distribution, accepted: list[Trial], findings: list[Finding], meter: Meter
    ) -> ProofResult:
        """Take the accepted trial with the fewest differences; among equals the first by index, then by name."""
        matches = [(trial, trial.match) for trial in accepted if trial.match is not None]
        best, match = min(matches, key=lambda pair: count_differences(pair[1]))
        equals = {t.file.sha256 for t, found in matches if count_differences(found) == count_differences(match)}
        if len(equals) > 1:
            findings.append(
                _note(
                    distribution,
                    "artifact-ambiguous",
                    f"{len(equals)} files explain it alike; took {best.file.filename}",
                )
            )
        file = best.file
        if not file.sha256:
            try:
                file = replace(file, sha256=hash_file(self._session, file.url, size=best.size, meter=meter))
            except AnswerError as error:
                findings.append(_index_failed(distribution, file.index, error))
                return _failed(distribution, "index-failed", error.message, findings)
        if file.yanked:
            findings.append(_note(distribution, "artifact-yanked", f"{file.filename} was withdrawn by its publisher"))
        return self._proven(distribution, file, best.size, match, findings)

    def _proven(
        self, distribution: Distribution, file: ProjectFile, size: int, match: Match, findings: list[Finding]
    ) -> Proven:
        index = file.index
        return Proven(
            distribution=distribution,
            artifact=Artifact(
                platform=self._platform, source=index.name, file=file.filename, size=size, sha256=file.sha256
            ),
            patches=patches_of(match, {row.path: row for row in distribution.files}),
            scripts_rewritten=match.scripts_rewritten,
            unchanged=match.unchanged,
            upload_time=file.upload_time,
            source_kind="local" if index.is_local else "simple-index",
            source_url=index.hint,
            local_file=file.local_path,
            findings=(*findings, *match.findings),
        )

    def _by_tags(self, distribution: Distribution, trials: list[Trial], findings: list[Finding]) -> ProofResult | None:
        """Take the only candidate by its name, if it could not be read; its hash is still the index's."""
        if len(trials) != 1 or not trials[0].fault:
            return None
        file = trials[0].file
        if not is_sha256(file.sha256) or file.size < 0:
            return None
        message = f"{distribution.name}: {file.filename} fits by name, but was not compared: {trials[0].fault}"
        warning = Finding(code="proof-tags", message=message, path=distribution.directory)
        return replace(self._proven(distribution, file, file.size, Match(), [*findings, warning]), proof="tags")

    def _unexplained(
        self, distribution: Distribution, trials: list[Trial], findings: list[Finding], *, sources: bool
    ) -> Unproven:
        name = f"{distribution.name} {distribution.version}"
        findings += [_note(distribution, "artifact-unreadable", trial.fault) for trial in trials if trial.fault]
        if trials:
            message = f"none of the {len(trials)} wheels of {name} that fit holds the installed files"
            return _failed(distribution, "no-match", message, findings)
        if any(finding.code == "index-failed" for finding in findings):
            return _failed(distribution, "index-failed", f"no index that answered has {name}", findings)
        if self._session.offline:
            return _failed(distribution, "offline", f"{name} was not looked for (offline)", findings)
        if sources:
            return _failed(distribution, "no-wheel", f"{name} is there as source only: it was built here", findings)
        return _failed(distribution, "not-on-index", f"no index has {name}", findings)

    def _prove_url(self, distribution: Distribution, direct: DirectUrl, place: Place, meter: Meter) -> ProofResult:
        """Prove a wheel that was installed from its own URL or path; an index that has the same file is named."""
        filename = unquote(urlsplit(direct.url).path.rpartition("/")[2])
        findings: list[Finding] = []
        listed = self._listed(distribution, direct, meter) if direct.sha256 else None
        for file in filter(None, (listed, _direct_file(direct, filename))):
            if self._session.offline and not file.url.startswith("file:"):
                continue
            trial = self._try(file, distribution, place, meter)
            if trial.match is None or not trial.match.is_accepted:
                fault = trial.fault or "its files are not those installed"
                findings.append(_note(distribution, "artifact-unreadable", f"{filename}: {fault}"))
                continue
            found = self._accept(distribution, [trial], findings, meter)
            if isinstance(found, Unproven) or file is listed:
                return replace(found, proof="url", origin="url") if isinstance(found, Proven) else found
            return _from_url(found, direct)
        reason = "offline" if self._session.offline else "url-failed"
        return _failed(distribution, reason, f"the URL of {distribution.name} gives no such wheel now", findings)

    def _listed(self, distribution: Distribution, direct: DirectUrl, meter: Meter) -> ProjectFile | None:
        """Find an index that has the file of a direct URL."""
        wanted = file_filter(distribution.name, distribution.version)
        for index in self._asked_indexes():
            try:
                files = self._reader.files(index, distribution.name, meter=meter, wanted=wanted)
            except SourceError:
                continue
            for file in files:
                if file.sha256 == direct.sha256:
                    return file
        return None


_KINDS = {"vcs": "a repository", "directory": "a local folder", "editable": "a project folder, editable"}


def _unprovable(distribution: Distribution) -> tuple[str, str] | None:
    """Say why no artifact can be looked for, if so."""
    direct = distribution.direct_url
    name = distribution.name
    if direct is not None and direct.kind != "archive":
        return direct.kind, f"{name} was installed from {_KINDS.get(direct.kind, direct.kind)}"
    if distribution.form != "wheel":
        return "legacy-format", f"{name} was not installed from a wheel ({distribution.form})"
    if distribution.built_from_source:
        return "built-from-source", f"{name} was built from source here"
    if direct is not None and not urlsplit(direct.url).path.endswith(".whl"):
        return "built-from-source", f"{name} was built from a source archive here"
    return None


def _direct_file(direct: DirectUrl, filename: str) -> ProjectFile | None:
    scheme = urlsplit(direct.url).scheme
    if not is_file_name(filename) or not re.match(r"(?:https?|file)\Z", scheme):
        return None
    index = IndexLocation(name="local" if scheme == "file" else URL_SOURCE, url=direct.url, kind="find-links")
    return ProjectFile(filename=filename, url=direct.url, sha256=direct.sha256, index=index)


def _from_url(found: Proven, direct: DirectUrl) -> Proven:
    local = found.local_file is not None
    return replace(
        found,
        artifact=replace(found.artifact, url="" if local else scrub_url(direct.url)),
        proof="url",
        origin="local" if local else "url",
        source_kind="local" if local else URL_SOURCE,
        source_url="",
    )


def _failed(distribution: Distribution, reason: str, message: str, findings: list[Finding]) -> Unproven:
    return Unproven(distribution=distribution, reason=reason, message=message, findings=tuple(findings))


def _note(distribution: Distribution, code: str, message: str) -> Finding:
    return Finding(
        code=code, message=f"{distribution.name}: {message}", path=distribution.directory, level=FindingLevel.NOTE
    )


def _index_failed(distribution: Distribution, index: IndexLocation, error: SourceError) -> Finding:
    message = f"{distribution.name}: the index {index.shown} did not answer as expected: {error.message}"
    return Finding(code="index-failed", message=message, path=distribution.directory)
