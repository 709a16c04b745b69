"""Whole Pythons, and virtual environments that see more than their own packages."""

from pathlib import Path

import pytest

from envcap.environment import Environment
from envcap.finding import FindingLevel
from tests.scan.env_builder import SITE, ElfSpec, add_dist, make_elf, make_env, write
from tests.scan.system_builder import DIST, LOCAL, FakeDebian

YAML = {
    f"{DIST}/yaml/__init__.py": "# yaml\n",
    f"{DIST}/yaml/loader.py": "# loader\n",
    f"{DIST}/PyYAML-6.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: PyYAML\nVersion: 6.0\n",
}


@pytest.fixture
def debian(tmp_path: Path) -> FakeDebian:
    system = FakeDebian(tmp_path)
    system.install("python3-yaml", YAML, version="6.0-3+b2", architecture="amd64")
    return system


def seeing(debian: FakeDebian) -> Path:
    """Make a virtual environment with `--system-site-packages`."""
    prefix = make_env(debian.root)
    (prefix / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
    return prefix


def names(environment: Environment) -> list[tuple[str, str]]:
    return [(one.name, one.version) for one in environment.distributions]


def codes(environment: Environment) -> set[str]:
    return {one.code for one in environment.findings}


def files(environment: Environment, name: str) -> dict[str, str]:
    """Where the files of a distribution lie, by their path in the image."""
    one = next(one for one in environment.distributions if one.name == name)
    return {file.path: file.source for file in one.files}


def test_debian_s_packages_are_pinned_and_their_files_are_nobody_s(debian: FakeDebian) -> None:
    write(debian.usr, {f"{DIST}/yaml/__pycache__/loader.cpython-311.pyc": "compiled"})

    environment = debian.scan()

    assert (environment.kind, environment.site_packages) == ("system", SITE)
    assert environment.prefix == debian.usr
    assert [(one.name, one.version) for one in environment.os_packages] == [("python3-yaml", "6.0-3+b2")]
    assert (environment.distributions, environment.unowned) == ((), ())
    assert environment.ignored["os-package"] == len(YAML) + 1
    assert environment.system_site_packages


def test_a_plain_environment_sees_nothing_of_the_system(debian: FakeDebian) -> None:
    debian.pip(debian.usr / "local", "lib/python3.11/dist-packages", "tool", {"tool.py": ""})
    debian.pip(debian.user, SITE, "mine", {"mine.py": ""})
    prefix = make_env(debian.root)
    add_dist(prefix, "own", {"own.py": ""})

    environment = debian.scan(prefix)

    assert (environment.kind, names(environment), environment.os_packages) == ("venv", [("own", "1.0")], ())
    assert environment.findings == ()


def test_an_environment_that_sees_the_system_has_both(debian: FakeDebian) -> None:
    debian.pip(debian.usr / "local", "lib/python3.11/dist-packages", "tool", {"tool.py": ""}, scripts=("tool",))
    prefix = seeing(debian)
    add_dist(prefix, "own", {"own.py": ""})

    environment = debian.scan(prefix)

    assert (environment.kind, environment.prefix) == ("venv", prefix)
    assert names(environment) == [("own", "1.0"), ("tool", "1.0")]
    assert [one.name for one in environment.os_packages] == ["python3-yaml"]
    found = files(environment, "tool")
    assert found[f"{SITE}/tool.py"] == f"{debian.usr}/{LOCAL}/tool.py"
    assert found["bin/tool"] == f"{debian.usr}/local/bin/tool"
    assert set(files(environment, "own").values()) == {""}


def test_paths_name_the_image_and_never_the_home_of_the_user(debian: FakeDebian) -> None:
    debian.pip(debian.user, SITE, "mine", {"mine.py": ""}, scripts=("mine",))

    environment = debian.scan(user_site=True)

    (mine,) = environment.distributions
    written = [mine.directory, *mine.missing, *(file.path for file in mine.files), *(row.path for row in mine.record)]
    assert all(path.startswith((f"{SITE}/", "bin/")) for path in written)
    assert {file.python for file in mine.files} == {str(debian.usr)}
    assert not any("somebody" in one.message + one.path for one in environment.findings)


def test_the_user_s_packages_are_seen_as_the_interpreter_would(debian: FakeDebian) -> None:
    debian.pip(debian.user, SITE, "mine", {"mine.py": ""})
    prefix = make_env(debian.root)

    assert names(debian.scan()) == [("mine", "1.0")]
    assert "user-site" in codes(debian.scan())
    assert names(debian.scan(user_site=False)) == []
    assert names(debian.scan(prefix)) == []
    assert names(debian.scan(prefix, user_site=True)) == [("mine", "1.0")]
    debian.settings["PYTHONNOUSERSITE"] = "1"
    assert names(debian.scan()) == []
    assert names(debian.scan(user_site=True)) == [("mine", "1.0")]


def test_the_user_s_base_folder_may_lie_elsewhere(debian: FakeDebian) -> None:
    debian.pip(debian.root / "elsewhere", SITE, "mine", {"mine.py": ""})
    debian.settings["PYTHONUSERBASE"] = f"{debian.root}/elsewhere/"

    assert names(debian.scan()) == [("mine", "1.0")]


def test_what_lies_ahead_on_the_module_path_hides_the_same_name(debian: FakeDebian) -> None:
    prefix = seeing(debian)
    add_dist(prefix, "pack-age", {"package.py": "environment"}, version="3.0")
    debian.pip(debian.user, SITE, "Pack.Age", {"package.py": "user"})
    debian.pip(debian.user, SITE, "both", {"both.py": "user"})
    debian.pip(debian.usr / "local", "lib/python3.11/dist-packages", "both", {"both.py": "local"})

    environment = debian.scan(prefix)

    assert names(environment) == [("both", "1.0"), ("pack-age", "3.0")]
    assert files(environment, "both")[f"{SITE}/both.py"].startswith(str(debian.user))
    hidden = [one for one in environment.findings if one.code == "distribution-hidden"]
    assert [one.message.rpartition(": ")[2] for one in hidden] == ["Pack.Age 1.0", "both 1.0"]
    assert {one.level for one in hidden} == {FindingLevel.NOTE}


def test_an_edited_file_of_a_package_takes_the_package_from_debian(debian: FakeDebian) -> None:
    write(debian.usr, {f"{DIST}/yaml/loader.py": "# edited\n"})

    environment = debian.scan()

    assert environment.os_packages == ()
    assert names(environment) == [("PyYAML", "6.0")]
    assert f"{SITE}/yaml/loader.py" in files(environment, "PyYAML")
    (finding,) = [one for one in environment.findings if one.code == "os-package-edited"]
    assert (finding.path, finding.level) == ("yaml/loader.py", FindingLevel.WARNING)
    assert "python3-yaml" in finding.message


def test_the_scripts_of_an_edited_package_are_taken_too(debian: FakeDebian) -> None:
    info = f"{DIST}/tool-1.0.dist-info"
    points = "[console_scripts]\ntool = tool:main\n"
    debian.install(
        "python3-tool", {f"{DIST}/tool.py": "", f"{info}/entry_points.txt": points, "bin/tool": "#!/bin/sh\n"}
    )
    write(debian.usr, {f"{DIST}/tool.py": "# edited\n"})

    found = files(debian.scan(), "tool")

    assert found["bin/tool"] == f"{debian.usr}/bin/tool"
    assert f"{SITE}/tool.py" in found


def test_a_deleted_file_of_a_package_takes_the_package_from_debian(debian: FakeDebian) -> None:
    (debian.usr / DIST / "yaml/loader.py").unlink()

    environment = debian.scan()

    assert environment.os_packages == ()
    assert set(files(environment, "PyYAML")) == {f"{SITE}/yaml/__init__.py", f"{SITE}/PyYAML-6.0.dist-info/METADATA"}
    assert any("yaml/loader.py deleted" in one.message for one in environment.findings)


def test_a_file_that_a_package_moved_aside_is_not_held_against_its_owner(debian: FakeDebian) -> None:
    path = f"{debian.usr}/{DIST}/yaml/loader.py"
    write(debian.usr, {f"{DIST}/yaml/loader.py": "# of another package\n"})
    write(debian.root, {"var/lib/dpkg/diversions": f"{path}\n{path}.distrib\nother\n"})

    assert "os-package-edited" not in codes(debian.scan())


def test_a_package_that_no_archive_has_is_taken_by_file(debian: FakeDebian) -> None:
    environment = debian.scan(foreign=frozenset({"python3-yaml"}))

    assert environment.os_packages == ()
    assert {f"{SITE}/yaml/__init__.py", f"{SITE}/yaml/loader.py"} < set(files(environment, "PyYAML"))
    assert "os-package-edited" not in codes(environment)
    assert any("python3-yaml" in one.message for one in environment.findings if one.code == "os-package-foreign")


def test_a_script_that_is_a_link_to_its_versioned_twin_is_a_file_of_its_distribution(debian: FakeDebian) -> None:
    points = "[console_scripts]\ntool = tool:main\nother = tool:main\n"
    debian.pip(
        debian.user, SITE, "tool", {"tool.py": "", "tool-1.0.dist-info/entry_points.txt": points}, scripts=("tool3",)
    )
    (debian.user / "bin/tool").symlink_to("tool3")
    (debian.user / "bin/other").symlink_to("/etc/passwd")

    environment = debian.scan()

    found = files(environment, "tool")
    assert found["bin/tool"] == found["bin/tool3"] == f"{debian.user}/bin/tool3"
    assert "bin/other" not in found


def test_a_system_that_is_not_debian_has_its_packages_taken_by_file_and_says_so(debian: FakeDebian) -> None:
    write(debian.root, {"etc/os-release": 'ID=ubuntu\nID_LIKE="debian"\n'})

    environment = debian.scan()

    assert (environment.os_packages, names(environment)) == ((), [("PyYAML", "6.0")])
    assert "os-package-unpinned" in codes(environment)


def test_a_system_without_dpkg_says_what_cannot_be_pinned(tmp_path: Path) -> None:
    system = FakeDebian(tmp_path)
    write(system.root, {"etc/os-release": "ID=fedora\n"})
    system.pip(system.usr, DIST, "rpmed", {"rpmed.py": ""})
    write(system.usr, {f"{DIST}/rpmed-1.0.dist-info/INSTALLER": "rpm\n"})

    environment = system.scan()

    assert names(environment) == [("rpmed", "1.0")]
    assert "os-package-unpinned" in codes(environment)


def test_an_interpreter_that_dpkg_does_not_own_is_no_debian_s(debian: FakeDebian) -> None:
    (debian.root / "var/lib/dpkg/info/python3.11-minimal.list").unlink()

    assert debian.scan().os_packages == ()


def test_a_package_that_was_removed_but_for_its_settings_owns_nothing(debian: FakeDebian) -> None:
    status = debian.root / "var/lib/dpkg/status"
    status.write_text(
        status.read_text().replace(
            "python3-yaml\nStatus: install ok installed", "python3-yaml\nStatus: deinstall ok config-files"
        )
    )

    assert debian.scan().os_packages == ()


def test_packages_that_complete_the_standard_library_are_pinned_and_the_interpreter_is_not(debian: FakeDebian) -> None:
    debian.install(
        "python3-tk", {"lib/python3.11/tkinter/__init__.py": "", "lib/python3.11/lib-dynload/_tkinter.so": ""}
    )
    debian.install("libpython3.11-stdlib", {"lib/python3.11/json/__init__.py": ""})
    debian.install("python3.11-dev", {"lib/python3.11/config-3.11/Makefile": ""})

    assert [one.name for one in debian.scan().os_packages] == ["python3-tk", "python3-yaml"]


def test_a_plain_environment_on_debian_s_python_has_what_completes_its_standard_library(debian: FakeDebian) -> None:
    debian.install("python3-distutils", {"lib/python3.11/distutils/core.py": ""})
    debian.install("python3.11-venv", {"lib/python3.11/ensurepip/__init__.py": ""})
    debian.install("idle-python3.11", {"lib/python3.11/idlelib/run.py": ""})
    prefix = make_env(debian.root)
    assert [one.name for one in debian.scan(prefix).os_packages] == ["python3-distutils"]
    elsewhere = {"stdlib": "/opt/python/lib/python3.11", "platstdlib": "/opt/python/lib/python3.11"}
    own = dict.fromkeys(("purelib", "platlib", "scripts", "data"), f"{prefix}/{SITE}")
    debian.changes = {"paths": {**elsewhere, **own}}
    assert debian.scan(prefix).os_packages == ()


def test_files_beside_debian_s_that_nobody_owns_are_kept(debian: FakeDebian) -> None:
    write(debian.usr, {f"{DIST}/by_hand.py": "x", f"{DIST}/README": "Debian's", f"{LOCAL}/hook.pth": "import x\n"})

    environment = debian.scan()

    assert [file.path for file in environment.unowned] == [f"{SITE}/by_hand.py", f"{SITE}/hook.pth"]
    assert "startup-code" in codes(environment)


def test_a_claim_through_a_symlink_is_not_followed(debian: FakeDebian) -> None:
    write(debian.root, {"secret/key": "secret"})
    debian.pip(debian.user, SITE, "sly", {"sly.py": ""})
    (debian.user / "share").symlink_to(debian.root / "secret")
    record = debian.user / SITE / "sly-1.0.dist-info/RECORD"
    record.write_text(record.read_text() + "../../../share/key,,\r\n../../../../../../secret/key,,\r\n")

    environment = debian.scan()

    assert not any("key" in path for path in files(environment, "sly"))


def test_a_symlink_that_leaves_its_folder_is_left_out_with_a_finding(debian: FakeDebian) -> None:
    debian.pip(debian.user, SITE, "linked", {"linked/a.py": ""})
    (debian.user / SITE / "linked/inside.py").symlink_to("a.py")
    (debian.user / SITE / "linked/outside.py").symlink_to(debian.root / "etc/os-release")

    environment = debian.scan()

    unowned = {file.path: file.target for file in environment.unowned}
    assert unowned == {f"{SITE}/linked/inside.py": "a.py"}
    assert "symlink-escapes" in codes(environment)


def test_what_the_binaries_of_the_base_need_is_needed(debian: FakeDebian) -> None:
    elf = make_elf(ElfSpec(needed=("libfancy.so.1",))).decode("latin-1")
    debian.pip(debian.usr / "local", "lib/python3.11/dist-packages", "fast", {"fast.so": "placeholder"})
    (debian.usr / LOCAL / "fast.so").write_bytes(elf.encode("latin-1"))

    needs = debian.scan().elf.needs

    assert [(need.soname, need.needed_by) for need in needs] == [("libfancy.so.1", (f"{SITE}/fast.so",))]


def test_a_base_of_its_own_is_seen_with_its_site_packages(tmp_path: Path) -> None:
    system = FakeDebian(tmp_path)
    base = system.root / "pyenv"
    system.changes = {"base_prefix": str(base), "site_folders": [f"{base}/{SITE}"], "user_site": ""}
    system.pip(base, SITE, "based", {"based.py": ""}, scripts=("based",))
    write(base, {f"{SITE}/README.txt": "CPython's", "bin/unrelated": "not looked at"})

    environment = system.scan(seeing(system))

    assert names(environment) == [("based", "1.0")]
    assert environment.unowned == ()
    assert {file.python for file in environment.distributions[0].files} == {str(base)}


def test_two_scans_of_a_system_say_the_same(debian: FakeDebian) -> None:
    debian.pip(debian.user, SITE, "mine", {"mine.py": ""}, scripts=("mine",))
    debian.pip(debian.usr / "local", "lib/python3.11/dist-packages", "tool", {"tool.py": ""})

    assert debian.scan() == debian.scan()
