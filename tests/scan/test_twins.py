"""One distribution installed twice is one."""

from pathlib import Path

from envcap.finding import FindingLevel
from tests.scan.env_builder import SITE, add_dist, make_env, scan, write

PKG_INFO = "Metadata-Version: 1.0\nName: demo\nVersion: 1.0\n"


def test_a_wheel_and_an_egg_info_of_one_version_are_one_with_all_files(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    info = add_dist(prefix, "demo", {"demo.py": ""})
    old = f"{SITE}/Demo-1.0.egg-info"
    write(prefix, {f"{old}/PKG-INFO": PKG_INFO, f"{old}/installed-files.txt": "../old.py\n", f"{SITE}/old.py": ""})

    environment = scan(prefix)

    (one,) = environment.distributions
    assert (one.form, one.directory, one.tags) == ("wheel", info, ("py3-none-any",))
    assert {f"{SITE}/demo.py", f"{SITE}/old.py", f"{old}/PKG-INFO"} <= {file.path for file in one.files}
    assert environment.unowned == ()
    (merged,) = [row for row in environment.findings if row.code == "distribution-merged"]
    assert merged.message == "demo 1.0 is installed 2 times: taken as one, with all files"
    assert merged.level is FindingLevel.NOTE


def test_the_spelling_that_can_be_proved_is_the_distribution(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/Demo-1.0.dist-info/METADATA": PKG_INFO})
    info = add_dist(prefix, "demo", {"demo.py": ""})

    assert [one.directory for one in scan(prefix).distributions] == [info]


def test_two_versions_stay_two(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "demo", {"demo.py": ""})
    add_dist(prefix, "demo", {"demo.py": ""}, version="2.0")

    assert [one.version for one in scan(prefix).distributions] == ["1.0", "2.0"]


def test_a_version_that_nothing_states_has_a_stand_in(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/demo.egg-info": "Name: demo\n"})

    assert [(one.name, one.version) for one in scan(prefix).distributions] == [("demo", "0+unknown")]
