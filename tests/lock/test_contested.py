"""Files with several owners: the live file's owner wins, and the others are named."""

from dataclasses import replace
from pathlib import Path

from envcap.environment import Distribution, EntryPoint, InstalledFile, RecordRow
from envcap.lock.contested import Contest, contest_findings, find_contests, left_to_others
from envcap.lock.pypi_result import ProofResult, Proven, Unproven
from envcap.lockfile.model import Artifact, Patch
from tests.lock.wheels import generated_script, put

ARTIFACT = Artifact(platform="linux/amd64", source="pypi", file="a-1-py3-none-any.whl", size=1, sha256="a" * 64)


def owner(name: str, file: InstalledFile, *, listed: str = "", point: str = "") -> Distribution:
    return Distribution(
        name=name,
        version="1",
        directory=f"{name}.dist-info",
        files=(file,),
        record=(RecordRow(path=file.path, sha256=listed, size=-1),),
        entry_points=(EntryPoint(name=file.path.removeprefix("bin/"), value=point),) if point else (),
    )


def unproven(distribution: Distribution) -> Unproven:
    return Unproven(distribution=distribution, reason="no-match", message="")


def contests(prefix: Path, *rows: ProofResult) -> tuple[Contest, ...]:
    shared = frozenset(file.path for row in rows for file in row.distribution.files)
    return find_contests(rows, shared, prefix=prefix)


def test_the_owner_whose_record_has_the_live_bytes_wins(tmp_path: Path) -> None:
    file = put(tmp_path, "x.py", b"two")
    one, two = owner("one", file, listed="1" * 64), owner("two", file, listed=file.sha256)
    found = contests(tmp_path, unproven(one), unproven(two))
    assert found == (Contest(path="x.py", winners=("two.dist-info",), losers=("one.dist-info",)),)
    (finding,) = contest_findings(found, [one, two])
    assert finding.message == ("one and two both own x.py, with different bytes: those of two are live and kept")
    assert left_to_others(found, one) == frozenset()


def test_equal_bytes_or_bytes_of_neither_are_no_contest(tmp_path: Path) -> None:
    file = put(tmp_path, "x.py", b"two")
    same, other = owner("one", file, listed=file.sha256), owner("two", file, listed=file.sha256)
    assert contests(tmp_path, unproven(same), unproven(other)) == ()
    edited = [unproven(owner(name, file, listed=name[0] * 64)) for name in ("aaa", "bbb")]
    assert contests(tmp_path, *edited) == ()
    silent = [unproven(owner("one", file)), unproven(owner("two", file, listed=file.sha256))]
    assert contests(tmp_path, *silent) == ()


def test_a_proof_tells_the_loser(tmp_path: Path) -> None:
    file = put(tmp_path, "x.py", b"two")
    lost = Proven(distribution=owner("one", file), artifact=ARTIFACT, patches=(Patch(path="x.py", change="edited"),))
    won = Proven(distribution=owner("two", file), artifact=ARTIFACT)
    (found,) = contests(tmp_path, lost, won)
    assert (found.winners, found.losers) == (("two.dist-info",), ("one.dist-info",))


def test_a_script_is_left_to_the_one_whose_entry_point_explains_it(tmp_path: Path) -> None:
    point = EntryPoint(name="tool", value="two:main")
    file = put(tmp_path, "bin/tool", generated_script(tmp_path, point), executable=True)
    rows = [owner("one", file, point="one:main", listed=file.sha256), owner("two", file, point="two:main")]
    (found,) = contests(tmp_path, *map(unproven, rows))
    assert found == Contest(path="bin/tool", winners=("two.dist-info",), losers=("one.dist-info",), is_script=True)
    assert left_to_others([found], rows[0]) == {"bin/tool"}
    assert left_to_others([found], rows[1]) == frozenset()


def test_one_entry_point_of_two_distributions_is_no_contest(tmp_path: Path) -> None:
    point = EntryPoint(name="tool", value="two:main")
    file = put(tmp_path, "bin/tool", generated_script(tmp_path, point), executable=True)
    rows = [unproven(owner(name, file, point="two:main")) for name in ("one", "two")]
    assert contests(tmp_path, *rows) == ()


def test_many_files_of_one_pair_are_one_finding() -> None:
    rows = [Contest(path=f"f{number}", winners=("b",), losers=("a",)) for number in range(6)]
    owners = [replace(owner(name, InstalledFile(path="f", mode=0, size=0, sha256="")), directory=name) for name in "ab"]
    (finding,) = contest_findings(rows, owners)
    assert "a and b both own f0, f1, f2, f3 and 2 more" in finding.message
