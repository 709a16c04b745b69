"""Who owns which file, seen through a whole scan."""

from pathlib import Path

from envcap.finding import FindingLevel
from tests.scan.env_builder import SITE, add_dist, make_env, scan, write
from tests.scan.test_distributions import codes
from tests.scan.test_furniture import PIP


def test_empty_environment_is_all_furniture(tmp_path: Path) -> None:
    environment = scan(make_env(tmp_path))

    assert environment.distributions == ()
    assert environment.unowned == ()
    assert environment.ignored == {"interpreter": 2, "venv": 3}
    assert environment.findings == ()
    assert environment.site_packages == SITE


def test_file_of_two_distributions_is_in_both_with_a_note(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "opencv", {"cv2/__init__.py": "x"})
    add_dist(prefix, "opencv-headless", {"cv2/__init__.py": "x"})

    environment = scan(prefix)

    for one in environment.distributions:
        assert f"{SITE}/cv2/__init__.py" in {file.path for file in one.files}
    (finding,) = environment.findings
    assert (finding.code, finding.path, finding.level) == ("file-shared", f"{SITE}/cv2/__init__.py", FindingLevel.NOTE)
    assert "opencv, opencv-headless" in finding.message


def test_distribution_cannot_claim_the_interpreter(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "evil", rows=["../../../bin/python,,", "../../../pyvenv.cfg,,"])

    environment = scan(prefix)

    assert not [file for file in environment.distributions[0].files if not file.path.startswith(SITE)]
    assert codes(environment) == ["record-claims-furniture"] * 2
    assert environment.ignored == {"interpreter": 2, "venv": 3}


def test_generated_script_beyond_the_entry_points_is_the_installers(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", metadata={"entry_points.txt": "[console_scripts]\npkg = pkg.cli:main\n"})
    easy = "#!/x\n# EASY-INSTALL-ENTRY-SCRIPT: 'PKG==1.0','console_scripts','x'\n"
    write(
        prefix,
        {"bin/pkg3.11": PIP, "bin/easy": easy, "bin/mine": b"#!/bin/sh\n", "bin/other": PIP.replace(b"cli", b"x")},
    )

    environment = scan(prefix)

    assert environment.ignored["installer"] == 2
    assert [file.path for file in environment.unowned] == ["bin/mine", "bin/other"]


def test_scripts_that_easy_install_wrote_for_an_egg_are_the_eggs(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    info = "Metadata-Version: 1.0\nName: egg-two\nVersion: 2.0\n"
    entry = "#!/x/python\n# EASY-INSTALL-ENTRY-SCRIPT: 'egg-two==2.0','console_scripts','eggtwo'\n__requires__ = 1\n"
    tool = "#!/x/python\n# EASY-INSTALL-SCRIPT: 'egg_two==2.0','eggtool'\n"
    egg = f"{SITE}/egg_two-2.0-py3.8.egg"
    write(prefix, {f"{egg}/EGG-INFO/PKG-INFO": info, "bin/eggtwo": entry, "bin/eggtool": tool})

    environment = scan(prefix)

    assert environment.unowned == ()
    assert "installer" not in environment.ignored
    assert {"bin/eggtool", "bin/eggtwo"} <= {file.path for file in environment.distributions[0].files}


def test_recorded_script_belongs_to_its_distribution(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    metadata = {"entry_points.txt": "[console_scripts]\npkg = pkg.cli:main\n"}
    add_dist(prefix, "pkg", metadata=metadata, rows=["../../../bin/pkg3.11,,"])
    write(prefix, {"bin/pkg3.11": PIP})

    environment = scan(prefix)

    assert "bin/pkg3.11" in {file.path for file in environment.distributions[0].files}


def test_leftovers_of_an_interrupted_uninstall_are_no_distribution(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {f"{SITE}/~kg-1.0.dist-info/METADATA": "Name: pkg\n", f"{SITE}/~kg/a.py": ""})

    environment = scan(prefix)

    assert environment.distributions == ()
    assert environment.ignored["installer"] == 2


def test_unowned_symlinks_and_files_are_kept_with_their_facts(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    write(prefix, {"share/notes.txt": "hello"})
    (prefix / "share/notes.txt").chmod(0o640)
    (prefix / "share/link").symlink_to("notes.txt")

    link, notes = scan(prefix).unowned

    assert (link.path, link.target, link.sha256, link.size) == ("share/link", "notes.txt", "", 0)
    assert (notes.path, notes.mode, notes.size, notes.target) == ("share/notes.txt", 0o640, 5, "")
    assert notes.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def test_data_of_nobody_is_listed_but_not_read(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    add_dist(prefix, "pkg", rows=["../../../data/owned.csv,,"])
    write(prefix, {"data/mine.csv": "1", "data/owned.csv": "22", ".git/HEAD": "x", "notes.txt": "n"})

    environment = scan(prefix)

    assert [(one.path, one.size, len(one.sha256)) for one in environment.unowned] == [
        (".git/HEAD", 1, 0),
        ("data/mine.csv", 1, 0),
        ("notes.txt", 1, 64),
    ]
    (owned,) = [one for one in environment.distributions[0].files if one.path == "data/owned.csv"]
    assert owned.sha256 == "785f3ec7eb32f30b90cd0fcf3657d388b5ff4297f2f9716ff66e9b69c05ddd09"
    assert "unreadable" not in environment.ignored


def test_environment_made_of_symlinks_is_one_finding(tmp_path: Path) -> None:
    prefix = make_env(tmp_path)
    for number in range(60):
        (prefix / f"share{number}").symlink_to("/cache/file")

    environment = scan(prefix)

    (finding,) = environment.findings
    assert finding.code == "symlink-escapes"
    assert finding.message.startswith("60 files")
