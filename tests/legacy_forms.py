"""What old tools, careless tools and people leave in an environment: one function a form, each puts it there.

A form never needs another one, and all of them fit into one environment.
"""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.scan.env_builder import add_dist, record_hash, write

Form = Callable[[Path, str], object]
"""Puts itself into a prefix; the text is the site-packages folder, relative to it."""

FORMS: dict[str, Form] = {}


def form(function: Form) -> Form:
    FORMS[getattr(function, "__name__", "").replace("_", " ")] = function
    return function


def pkg_info(name: str, version: str = "1.0") -> str:
    return f"Metadata-Version: 1.0\nName: {name}\nVersion: {version}\nSummary: UNKNOWN\n"


@form
def egg_folder_with_scripts_of_easy_install(prefix: Path, site: str) -> None:
    egg = f"{site}/egg_folder-1.0-py3.8.egg"
    head = f"#!{prefix}/bin/python\n# EASY-INSTALL-"
    write(
        prefix,
        {
            f"{egg}/EGG-INFO/PKG-INFO": pkg_info("egg-folder"),
            f"{egg}/EGG-INFO/entry_points.txt": "[console_scripts]\neggrun = eggfolder:main\n",
            f"{egg}/eggfolder/__init__.py": "def main(): ...\n",
            f"{egg}/eggfolder/data file.txt": "1\n",
            "bin/eggrun": f"{head}ENTRY-SCRIPT: 'egg-folder==1.0','console_scripts','eggrun'\n",
            "bin/eggtool": f"{head}SCRIPT: 'egg-folder==1.0','eggtool'\n",
            f"{site}/easy-install.pth": f"./egg_folder-1.0-py3.8.egg\n{prefix}/{site}/more\n/home/alice/project\n",
        },
    )


@form
def egg_zipped(prefix: Path, site: str) -> None:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("EGG-INFO/PKG-INFO", pkg_info("egg-zipped", "2.0"))
        archive.writestr("eggzipped.py", "x = 1\n")
    write(prefix, {f"{site}/egg_zipped-2.0-py3.8.egg": data.getvalue()})


@form
def egg_info_with_a_list_and_a_namespace(prefix: Path, site: str) -> None:
    info = f"{site}/spaced.part-1.0-py3.8.egg-info"
    write(
        prefix,
        {
            f"{info}/PKG-INFO": pkg_info("spaced.part"),
            f"{info}/namespace_packages.txt": "spaced\n",
            f"{info}/installed-files.txt": "../spaced/part/__init__.py\n../spaced.part-1.0-py3.8-nspkg.pth\nPKG-INFO\n",
            f"{site}/spaced/part/__init__.py": "",
            f"{site}/spaced.part-1.0-py3.8-nspkg.pth": "import sys, types, os\n",
        },
    )


@form
def egg_info_without_a_list(prefix: Path, site: str) -> None:
    info = f"{site}/unlisted-1.0.egg-info"
    files = {f"{info}/PKG-INFO": pkg_info("unlisted"), f"{info}/top_level.txt": "unlisted\n"}
    write(prefix, {**files, f"{site}/unlisted/__init__.py": "", f"{site}/unlisted/table.csv": "1\n"})


@form
def distutils_file_without_a_list(prefix: Path, site: str) -> None:
    write(prefix, {f"{site}/plain_distutils-0.3.egg-info": pkg_info("plain-distutils", "0.3")})
    write(prefix, {f"{site}/plainmod.py": "x = 1\n", "share/plain data/notes é.txt": "hi\n"})
    write(prefix, {"bin/plain-tool": f"#!{prefix}/bin/python\nimport plainmod\n"})


@form
def distutils_file_without_a_version(prefix: Path, site: str) -> None:
    write(prefix, {f"{site}/versionless.egg-info": "Name: versionless\n"})


@form
def develop_link_to_nowhere(prefix: Path, site: str) -> None:
    write(prefix, {f"{site}/gone-project.egg-link": "/nowhere/gone-project\n."})


@form
def record_missing(prefix: Path, site: str) -> None:
    info = add_dist(prefix, "recordless", {"recordless/__init__.py": ""}, site=site)
    (prefix / info / "RECORD").unlink()
    write(prefix, {f"{info}/top_level.txt": "recordless\n"})


@form
def record_with_hex_padded_and_absolute_rows(prefix: Path, site: str) -> None:
    body = b"x = 1\n"
    padded = record_hash(body) + "="
    files = {"odd_record/a.py": body, "odd_record/b.py": body, "odd_record/c.py": body, "odd_record/unlisted.py": body}
    info = add_dist(prefix, "odd-record", files, site=site)
    hexed = "sha256=" + bytes(32).hex()
    rows = [
        f"odd_record/a.py,{padded},6",
        f"odd_record/b.py,{hexed},six",
        f"{prefix}/{site}/odd_record/c.py,md5=abc,",
        "../../../../../outside,,",
        '"',
    ]
    (prefix / info / "RECORD").write_text("\n".join(rows))


@form
def metadata_that_strict_parsers_refuse(prefix: Path, site: str) -> None:
    text = b"\xef\xbb\xbfMetadata-Version: 2.1\nName: D\xe9j\xe0 vu\nVersion: one two\nLicense-File: X\n\n\xff\n"
    add_dist(prefix, "refused-metadata", {"refused_metadata.py": ""}, metadata={"METADATA": text}, site=site)


@form
def metadata_and_wheel_missing(prefix: Path, site: str) -> None:
    info = add_dist(prefix, "bare", {"bare.py": ""}, site=site)
    (prefix / info / "METADATA").unlink()
    (prefix / info / "WHEEL").unlink()


@form
def metadata_that_names_another_distribution(prefix: Path, site: str) -> None:
    add_dist(prefix, "folder-name", {"folder_name.py": ""}, metadata={"METADATA": pkg_info("other-name")}, site=site)


@form
def metadata_folder_with_a_space(prefix: Path, site: str) -> None:
    write(prefix, {f"{site}/spaced name-1.0.dist-info/RECORD": "spaced_name.py,,\n", f"{site}/spaced_name.py": ""})


@form
def metadata_folder_with_twins_of_its_own_files(prefix: Path, site: str) -> None:
    twins = {"record": "1", "Metadata": "2", "Entry_Points.txt": "3", "entry_points.txt": "[console_scripts]\n"}
    add_dist(prefix, "info-twins", {"info_twins.py": ""}, metadata=twins, site=site)


@form
def egg_that_is_no_zip(prefix: Path, site: str) -> None:
    write(prefix, {f"{site}/damaged-1.0-py3.8.egg": b"PK\x03\x04 and then nothing"})


@form
def entry_points_that_a_rebuild_refuses(prefix: Path, site: str) -> None:
    points = "[console_scripts]\nodd-tool = odd_points:main\nnothing\n../evil = odd_points:main\nmodule = odd_points\n"
    script = f"#!{prefix}/bin/python\nimport sys\nfrom odd_points import main\nif __name__ == '__main__':\n"
    add_dist(
        prefix, "odd-points", {"odd_points.py": ""}, metadata={"entry_points.txt": points},
        rows=["../../../bin/odd-tool,,"], site=site,
    )  # fmt: skip
    write(prefix, {"bin/odd-tool": f"{script}    sys.exit(main())\n"})


@form
def names_with_spaces_and_other_scripts(prefix: Path, site: str) -> None:
    names = ["naïve file (1).py", "日本語.txt", " lead", "trail ", "a,b.txt", "\U0001fae8.md", "semi;colon", "#hash"]
    add_dist(prefix, "odd-names", {f"odd names/{name}": name for name in names}, site=site)


@form
def names_that_meet_without_case_or_unicode_form(prefix: Path, site: str) -> None:
    names = ["README", "readme", "Readme", "e\u0301.txt", "\u00e9.txt", "Sub/x.py", "sub/x.py", "same", "SAME"]
    files = {f"twins/{name}": "same" if name.lower() == "same" else name for name in names}
    add_dist(prefix, "twin-names", files, site=site)


@form
def names_that_mean_something_else_in_a_wheel(prefix: Path, site: str) -> None:
    files = {"C:drive.py": "1", "other-9.dist-info/note": "2", "odd_places-1.0.data/scripts/x": "#!python\n3"}
    add_dist(prefix, "odd-places", files, site=site)


@form
def data_schemes_of_every_kind(prefix: Path, site: str) -> None:
    rows = [f"../../../{path},," for path in ("bin/sch-tool", "etc/sch.conf", "share/man/man1/sch.1", "include/sch.h")]
    add_dist(prefix, "schemes", {"schemes.py": ""}, rows=rows, site=site)
    write(prefix, {"bin/sch-tool": f"#!{prefix}/bin/python -E\n", "etc/sch.conf": "a\n", "include/sch.h": "int x;\n"})
    write(prefix, {"share/man/man1/sch.1": ".TH sch\n"})


@form
def namespace_without_a_path_file(prefix: Path, site: str) -> None:
    add_dist(prefix, "native.one", {"native/one.py": "1"}, site=site)
    add_dist(prefix, "native.two", {"native/two.py": "2"}, site=site)


@form
def one_path_of_two_with_equal_bytes(prefix: Path, site: str) -> None:
    add_dist(prefix, "equal-a", {"equal_a.py": "", "equally/__init__.py": "x"}, site=site)
    add_dist(prefix, "equal-b", {"equal_b.py": "", "equally/__init__.py": "x"}, site=site)


@form
def one_path_of_two_with_unequal_bytes(prefix: Path, site: str) -> None:
    add_dist(prefix, "unequal-a", {"unequal_a.py": "", "unequally/__init__.py": "first"}, site=site)
    add_dist(prefix, "unequal-b", {"unequal_b.py": "", "unequally/__init__.py": "second"}, site=site)


@form
def one_script_of_two(prefix: Path, site: str) -> None:
    for name in ("tool_a", "tool_b"):
        points = f"[console_scripts]\nshared-tool = {name}:main\n"
        add_dist(
            prefix, name.replace("_", "-"), {f"{name}.py": ""}, metadata={"entry_points.txt": points},
            rows=["../../../bin/shared-tool,,"], site=site,
        )  # fmt: skip
    head = f"#!{prefix}/bin/python\nimport sys\nfrom tool_b import main\n"
    write(prefix, {"bin/shared-tool": f"{head}if __name__ == '__main__':\n    sys.exit(main())\n"})


@form
def console_script_rewritten_by_hand(prefix: Path, site: str) -> None:
    points = "[console_scripts]\nmine = rewritten:main\ngone = rewritten:main\n"
    add_dist(
        prefix, "rewritten", {"rewritten.py": ""}, metadata={"entry_points.txt": points},
        rows=["../../../bin/mine,,", "../../../bin/gone,,"], site=site,
    )  # fmt: skip
    write(prefix, {"bin/mine": f"#!{prefix}/bin/python -X dev\n# by hand\nimport rewritten\n"})


@form
def one_version_installed_twice(prefix: Path, site: str) -> None:
    add_dist(prefix, "twice", {"twice.py": ""}, site=site)
    info = f"{site}/Twice-1.0.egg-info"
    write(prefix, {f"{info}/PKG-INFO": pkg_info("twice"), f"{info}/installed-files.txt": "../twice_old.py\n"})
    write(prefix, {f"{site}/twice_old.py": "old"})


@form
def two_versions_of_one_name(prefix: Path, site: str) -> None:
    add_dist(prefix, "versions", {"versions.py": ""}, site=site)
    add_dist(prefix, "versions", {"versions.py": "", "versions_new.py": ""}, version="2.0", site=site)


@form
def names_that_no_layer_holds(prefix: Path, site: str) -> None:
    names = ["unnameable/a\\b.py", "unnameable/.wh.gone", "unnameable/new\nline", "unnameable/sub\\dir/inside.py"]
    add_dist(prefix, "unnameable", {"unnameable/__init__.py": "", **dict.fromkeys(names, "x")}, site=site)


@form
def files_of_nobody(prefix: Path, site: str) -> None:
    write(prefix, {f"{site}/sitecustomize.py": "import os\n", f"{site}/README": "1", f"{site}/readme": "2"})
    write(prefix, {"share/jupyter/kernels/k/kernel.json": "{}", "notes é.txt": "x", "bin/own": "#!/bin/sh\n"})
    (prefix / "share/away").symlink_to("/home/alice/thing")
    write(prefix, {".git/config": "url", "notebooks/a.ipynb": "{}", "data/t.csv": "1", ".cache/hub/x": "1"})
