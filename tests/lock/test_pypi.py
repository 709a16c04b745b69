"""From an environment to its artifacts, against an index in this process."""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path

import pytest

from envcap.digest import Digest
from envcap.environment import DirectUrl, Distribution, Environment
from envcap.errors import SourceError
from envcap.lock.pypi import prove_distributions
from envcap.lock.pypi_result import ProofResult, Proven, Unproven
from envcap.scan import SubprocessRunner, scan_environment
from envcap.sources.http import Session
from envcap.sources.location import IndexLocation, name_index
from envcap.sources.settings import IndexSettings, find_index_settings
from tests.lock.wheels import SITE, environment_of, install, make_wheel, wheel_files
from tests.sources.index_server import Fault, Index, serve

WHEEL = "demo-1.0-py3-none-any.whl"
FILES = {"demo/__init__.py": b"x = 1\n", "demo/data.txt": b"data", "demo/more.txt": b"more"}


@dataclass
class Memory:
    """A proof cache in memory."""

    values: dict[Digest, dict[str, object]] = field(default_factory=dict)

    def get(self, key: Digest) -> dict[str, object] | None:
        return self.values.get(key)

    def put(self, key: Digest, value: Mapping[str, object]) -> None:
        self.values[key] = dict(value)


def settings_for(*indexes: Index | str) -> IndexSettings:
    urls = [index if isinstance(index, str) else index.simple for index in indexes]
    return IndexSettings(
        indexes=tuple(
            IndexLocation(name="pypi" if not number else name_index(url), url=url, is_default=not number)
            for number, url in enumerate(urls)
        ),
        timeout=5,
    )


def prove(
    environment: Environment, *indexes: Index | str, cache: Memory | None = None, offline: bool = False
) -> list[ProofResult]:
    with Session(settings_for(*indexes), sleep=lambda _: None, offline=offline) as session:
        return list(prove_distributions(environment, session, cache=cache or Memory()))


def proven(result: ProofResult) -> Proven:
    assert isinstance(result, Proven), result
    return result


def unproven(result: ProofResult) -> Unproven:
    assert isinstance(result, Unproven), result
    return result


def codes(result: ProofResult) -> list[str]:
    return [finding.code for finding in result.findings]


MEMBERS = wheel_files("demo", "1.0", FILES)
DATA = make_wheel("demo", "1.0", MEMBERS)


@pytest.fixture
def demo(tmp_path: Path) -> Distribution:
    return install(tmp_path, "demo", "1.0", MEMBERS)


@pytest.mark.parametrize("html", [False, True])
@pytest.mark.parametrize("hashes", [False, True])
@pytest.mark.parametrize("ranges", [False, True])
def test_an_unmodified_install_is_proven(
    tmp_path: Path, demo: Distribution, *, html: bool, hashes: bool, ranges: bool
) -> None:
    with serve(Index(html=html, hashes=hashes, ranges=ranges)) as index:
        index.add("demo", WHEEL, DATA)
        index.add("demo", "demo-1.1-py3-none-any.whl", b"another version")
        found = proven(prove(environment_of(tmp_path, demo), index)[0])
    assert (found.proof, found.origin, found.patches, found.findings) == ("record", "index", (), ())
    artifact = found.artifact
    assert (artifact.platform, artifact.source, artifact.file) == ("linux/amd64", "pypi", WHEEL)
    assert (artifact.sha256, artifact.size) == (sha256(DATA).hexdigest(), len(DATA))
    assert found.upload_time == ("" if html else "2024-01-02T03:04:05.678Z")
    assert found.received > 0


def test_a_second_run_asks_nobody(tmp_path: Path, demo: Distribution) -> None:
    cache = Memory()
    changed = install(tmp_path, "demo", "1.0", MEMBERS, changes={f"{SITE}/demo/data.txt": b"mine"})
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        first = proven(prove(environment_of(tmp_path, changed), index, cache=cache)[0])
        asked = len(index.requests)
        second = proven(prove(environment_of(tmp_path, changed), index, cache=cache, offline=True)[0])
        assert len(index.requests) == asked
        assert replace(second, seconds=0, cached=False) == replace(first, received=0, pages=0, seconds=0)
        assert second.cached
        assert not proven(prove(environment_of(tmp_path, demo), index, cache=cache)[0]).cached


def test_a_cached_proof_of_another_shape_is_found_anew(tmp_path: Path, demo: Distribution) -> None:
    cache = Memory()
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        prove(environment_of(tmp_path, demo), index, cache=cache)
        for key in cache.values:
            cache.values[key] = {"artifact": {"no": "such"}}
        assert not proven(prove(environment_of(tmp_path, demo), index, cache=cache)[0]).cached


def test_edits_become_patches(tmp_path: Path) -> None:
    demo = install(
        tmp_path, "demo", "1.0", MEMBERS, changes={f"{SITE}/demo/data.txt": b"mine", f"{SITE}/demo/more.txt": None}
    )
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        found = proven(prove(environment_of(tmp_path, demo), index)[0])
    assert [(patch.path, patch.change) for patch in found.patches] == [
        (f"{SITE}/demo/data.txt", "edited"),
        (f"{SITE}/demo/more.txt", "deleted"),
    ]


def test_the_wheel_with_the_installed_files_is_chosen_among_builds(tmp_path: Path, demo: Distribution) -> None:
    other = make_wheel("demo", "1.0", wheel_files("demo", "1.0", {**FILES, "demo/data.txt": b"rebuilt"}))
    with serve(Index()) as index:
        index.add("demo", "demo-1.0-1-py3-none-any.whl", other)
        index.add("demo", WHEEL, DATA)
        found = proven(prove(environment_of(tmp_path, demo), index)[0])
    assert found.artifact.file == WHEEL
    assert found.patches == ()


def test_equal_wheels_are_ambiguous_and_the_first_by_name_is_taken(tmp_path: Path, demo: Distribution) -> None:
    same = make_wheel("demo", "1.0", dict(reversed(MEMBERS.items())))
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        index.add("demo", "demo-1.0-1-py3-none-any.whl", same)
        found = proven(prove(environment_of(tmp_path, demo), index)[0])
    assert found.artifact.file == "demo-1.0-1-py3-none-any.whl"
    assert codes(found) == ["artifact-ambiguous"]


def test_a_wheel_whose_name_has_other_tags_is_tried_last(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        index.add("demo", "demo-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", DATA)
        index.add("demo", "demo-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", b"for another Python")
        index.add("demo", "demo-1.0-cp311-cp311-win_amd64.whl", b"for another system")
        found = proven(prove(environment_of(tmp_path, demo), index)[0])
        assert len(index.asked("/files/")) == 1
    assert found.artifact.file == "demo-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"


def test_the_first_index_that_has_the_file_is_named(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as first, serve(Index()) as second:
        first.add("demo", WHEEL, make_wheel("demo", "1.0", wheel_files("demo", "1.0", FILES, generator="other")))
        second.add("demo", WHEEL, DATA)
        found = proven(prove(environment_of(tmp_path, demo), first, second)[0])
        assert found.artifact.source == name_index(second.simple)
        assert found.source_url == second.simple
        first.add("demo", WHEEL, DATA)
        asked = len(second.requests)
        assert proven(prove(environment_of(tmp_path, demo), first, second)[0]).artifact.source == "pypi"
        assert len(second.requests) == asked


def test_a_local_folder_is_the_last_resort_and_its_file_is_told(tmp_path: Path) -> None:
    demo = install(tmp_path / "env", "demo", "1.0+cpu", wheel_files("demo", "1.0+cpu", FILES))
    name = "demo-1.0+cpu-py3-none-any.whl"
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / name).write_bytes(make_wheel("demo", "1.0+cpu", wheel_files("demo", "1.0+cpu", FILES)))
    settings = find_index_settings(
        {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}, tmp_path, tmp_path, root=tmp_path
    )
    with Session(settings, offline=True) as session:
        found = proven(prove_distributions(environment_of(tmp_path / "env", demo), session, cache=Memory())[0])
    assert (found.artifact.source, found.artifact.file, found.source_kind) == ("local", name, "local")
    assert found.source_url == ""
    assert found.local_file == wheels / name
    assert found.artifact.sha256 == sha256((wheels / name).read_bytes()).hexdigest()


def test_a_yanked_file_is_used_and_noted(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index(yanked={WHEEL})) as index:
        index.add("demo", WHEEL, DATA)
        assert codes(proven(prove(environment_of(tmp_path, demo), index)[0])) == ["artifact-yanked"]


def test_a_wrong_record_is_noted_and_proven(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        index.add("demo", WHEEL, make_wheel("demo", "1.0", MEMBERS, lies={"demo/data.txt": "sha256=" + "A" * 43}))
        found = proven(prove(environment_of(tmp_path, demo), index)[0])
    assert found.patches == ()
    assert codes(found) == ["record-wrong"]


def test_the_only_candidate_is_taken_by_its_tags_if_it_cannot_be_read(tmp_path: Path, demo: Distribution) -> None:
    data = make_wheel("demo", "1.0", MEMBERS, record=False)
    cache = Memory()
    with serve(Index()) as index:
        index.add("demo", WHEEL, data)
        found = proven(prove(environment_of(tmp_path, demo), index, cache=cache)[0])
    assert (found.proof, found.artifact.sha256) == ("tags", sha256(data).hexdigest())
    assert codes(found) == ["proof-tags"]
    assert not cache.values


def test_what_no_wheel_explains_is_unproven(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        index.add("demo", WHEEL, make_wheel("demo", "1.0", wheel_files("demo", "1.0", FILES, generator="other")))
        assert unproven(prove(environment_of(tmp_path, demo), index)[0]).reason == "no-match"
        index.files = {"demo": {"demo-1.0.tar.gz": b"source"}}
        assert unproven(prove(environment_of(tmp_path, demo), index)[0]).reason == "no-wheel"
        index.files = {}
        assert unproven(prove(environment_of(tmp_path, demo), index)[0]).reason == "not-on-index"


UNPROVABLE = {
    "vcs": {"direct_url": DirectUrl(url="https://git.example.org/demo", kind="vcs", commit="abc")},
    "editable": {"direct_url": DirectUrl(url="file:///src", kind="editable")},
    "directory": {"direct_url": DirectUrl(url="file:///src", kind="directory")},
}


@pytest.mark.parametrize(("reason", "fields"), UNPROVABLE.items())
def test_what_no_index_can_have_is_not_looked_for(
    tmp_path: Path, demo: Distribution, reason: str, fields: dict[str, object]
) -> None:
    odd = replace(demo, **fields)  # type: ignore[arg-type]
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        assert unproven(prove(environment_of(tmp_path, odd), index)[0]).reason == reason
        assert not index.requests


def test_a_direct_url_is_proven_by_itself(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        index.pages[f"/elsewhere/{WHEEL}"] = ("application/zip", DATA)
        for known in ("", sha256(DATA).hexdigest()):
            direct = DirectUrl(url=f"{index.url}/elsewhere/{WHEEL}", kind="archive", sha256=known)
            found = proven(prove(environment_of(tmp_path, replace(demo, direct_url=direct)), index)[0])
            assert (found.proof, found.origin, found.source_kind) == ("url", "url", "url")
            assert found.artifact.url == direct.url
            assert found.artifact.sha256 == sha256(DATA).hexdigest()


def test_a_direct_url_whose_file_an_index_has_names_the_index(tmp_path: Path, demo: Distribution) -> None:
    direct = DirectUrl(url=f"https://gone.invalid/{WHEEL}", kind="archive", sha256=sha256(DATA).hexdigest())
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        found = proven(prove(environment_of(tmp_path, replace(demo, direct_url=direct)), index)[0])
    assert (found.proof, found.artifact.source, found.artifact.url) == ("url", "pypi", "")


def test_a_direct_url_with_other_bytes_is_unproven(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        other = make_wheel("demo", "1.0", wheel_files("demo", "1.0", FILES, generator="other"))
        index.pages[f"/elsewhere/{WHEEL}"] = ("application/zip", other)
        direct = DirectUrl(url=f"{index.url}/elsewhere/{WHEEL}", kind="archive", sha256="")
        assert (
            unproven(prove(environment_of(tmp_path, replace(demo, direct_url=direct)), index)[0]).reason == "url-failed"
        )


def test_a_wheel_of_this_machine_is_told_as_local(tmp_path: Path) -> None:
    demo = install(tmp_path / "env", "demo", "1.0", MEMBERS)
    (tmp_path / WHEEL).write_bytes(DATA)
    direct = DirectUrl(url=(tmp_path / WHEEL).as_uri(), kind="archive", sha256=sha256(DATA).hexdigest())
    with serve(Index()) as index:
        environment = environment_of(tmp_path / "env", replace(demo, direct_url=direct))
        found = proven(prove(environment, index, offline=True)[0])
    assert (found.origin, found.artifact.source, found.artifact.url) == ("local", "local", "")
    assert found.local_file == tmp_path / WHEEL


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=403),
        Fault(status=500),
        Fault(body=b"<html>", headers={"Content-Type": "application/vnd.pypi.simple.v1+json"}),
        Fault(body=b"{}"),
        Fault(body=b'{"meta": {"api-version": "2.0"}, "files": []}'),
        Fault(cut=10),
    ],
)
def test_an_index_that_fails_for_one_package_is_a_finding(tmp_path: Path, demo: Distribution, fault: Fault) -> None:
    other = install(tmp_path, "other", "2.0", wheel_files("other", "2.0", {"other.py": b""}))
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        index.add(
            "other",
            "other-2.0-py3-none-any.whl",
            make_wheel("other", "2.0", wheel_files("other", "2.0", {"other.py": b""})),
        )
        index.always["/simple/demo/"] = fault
        results = prove(environment_of(tmp_path, demo, other), index)
    assert unproven(results[0]).reason == "index-failed"
    assert codes(results[0]) == ["index-failed"]
    assert proven(results[1]).artifact.file == "other-2.0-py3-none-any.whl"


def test_one_failure_is_tried_again(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        index.faults = {"/simple/demo/": [Fault(status=500), Fault(cut=5)], f"/files/{WHEEL}": [Fault(status=503)]}
        assert proven(prove(environment_of(tmp_path, demo), index)[0]).findings == ()


def test_no_answer_at_all_is_one_error(tmp_path: Path) -> None:
    rows = [install(tmp_path, f"demo{n}", "1.0", wheel_files(f"demo{n}", "1.0", FILES)) for n in range(5)]
    with serve(Index()) as index:
        pass
    with pytest.raises(SourceError, match="No package index answers") as caught:
        prove(environment_of(tmp_path, *rows), index)
    assert "--offline" in caught.value.hint


def test_offline_asks_nobody(tmp_path: Path, demo: Distribution) -> None:
    with serve(Index()) as index:
        index.add("demo", WHEEL, DATA)
        assert unproven(prove(environment_of(tmp_path, demo), index, offline=True)[0]).reason == "offline"
        assert not index.requests


def test_results_are_in_the_environments_order_and_each_is_told(tmp_path: Path) -> None:
    with serve(Index()) as index, ExitStack() as stack:
        rows = []
        for number in range(12):
            members = wheel_files(f"demo{number}", "1.0", {f"demo{number}/{n}.py": b"" for n in range(number)})
            rows.append(install(tmp_path, f"demo{number}", "1.0", members))
            index.add(
                f"demo{number}", f"demo{number}-1.0-py3-none-any.whl", make_wheel(f"demo{number}", "1.0", members)
            )
        environment = environment_of(tmp_path, *rows)
        session = stack.enter_context(Session(settings_for(index)))
        told: list[ProofResult] = []
        results = prove_distributions(environment, session, cache=Memory(), progress=told.append)
    assert [row.distribution for row in results] == list(environment.distributions)
    assert {row.distribution.name for row in told} == {row.name for row in rows}


@pytest.mark.network
def test_real_packages_are_proven(tmp_path: Path) -> None:
    prefix = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", prefix], check=True)
    subprocess.run(
        [prefix / "bin/python", "-m", "pip", "install", "-q", "six", "idna", "markupsafe", "greenlet", "pygments"],
        check=True,
    )
    (prefix / SITE / "six.py").write_bytes((prefix / SITE / "six.py").read_bytes() + b"# mine\n")
    environment = scan_environment(prefix, run=SubprocessRunner(environ=dict(os.environ)))
    settings = find_index_settings(dict(os.environ), Path.home(), tmp_path)
    with Session(settings) as session:
        found = prove_distributions(environment, session, cache=Memory())
    # The pip and setuptools that `venv` brings are not always the index's: Debian edits its own.
    results = [proven(row) for row in found if row.distribution.name not in ("pip", "setuptools")]
    assert len(results) == 5
    patched = {row.distribution.name: [patch.path for patch in row.patches] for row in results if row.patches}
    assert patched == {"six": [f"{SITE}/six.py"]}
