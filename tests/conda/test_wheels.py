"""A wheel repackaged as a conda package keeps its files, and its scripts get a placeholder."""

from pathlib import Path

from tests.conda.channel import PLACEHOLDER, SITE
from tests.conda.wheels import wheel_spec
from tests.lock.wheels import make_wheel

INFO = "x_y-1.0.dist-info"
FILES = {
    "x_y/__init__.py": b"def main(): pass\n",
    "x_y/fast.so": b"\x7fELF",
    "x_y-1.0.data/scripts/x-tool": b"#!python\nprint()\n",
    "x_y-1.0.data/data/share/x.txt": b"x",
    f"{INFO}/entry_points.txt": b"[console_scripts]\nX-run = x_y:main\n",
    f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: x-y\nVersion: 1.0\n",
    f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
}


def write(folder: Path, tag: str) -> Path:
    path = folder / f"x_y-1.0-{tag}.whl"
    path.write_bytes(make_wheel("x_y", "1.0", FILES))
    return path


def test_a_pure_wheel_is_a_noarch_package(tmp_path: Path) -> None:
    spec = wheel_spec(write(tmp_path, "py3-none-any"))

    assert (spec.name, spec.version, spec.noarch, spec.entry_points) == ("x-y", "1.0", "python", ("X-run = x_y:main",))
    assert {"site-packages/x_y/__init__.py", "python-scripts/x-tool", "share/x.txt"} <= set(spec.files)
    assert spec.files["python-scripts/x-tool"].data.startswith(f"#!{PLACEHOLDER}/bin/python\n".encode())


def test_a_compiled_wheel_has_its_own_scripts_and_a_library_with_a_placeholder(tmp_path: Path) -> None:
    spec = wheel_spec(write(tmp_path, "cp311-cp311-manylinux_2_28_x86_64"))

    assert (spec.noarch, spec.entry_points) == ("", ())
    assert b"from x_y import main\n" in spec.files["bin/X-run"].data
    library = spec.files[f"{SITE}/x_y/fast.so"]
    assert (library.data, library.binary) == (f"\x7fELF\0{PLACEHOLDER}/share\0".encode(), True)
