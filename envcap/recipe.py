"""Recipe 1: the rules that turn a lock into bytes, in one place. A change of bytes is a new recipe number.

1. Wheels go from zip to tar stream; nothing is staged on a disk.
2. Tar entries are sorted by raw path bytes, parents first and always present; uid and gid 0 and no names; mode 0755 if
   any x bit is set, else 0644, directories 0755 (OS packages keep owner and mode); mtime is the lock's epoch; ustar,
   PAX only where ustar can't say it, with records in a fixed order; the trailer is padded to 10240 bytes. No
   whiteouts, devices or extended attributes (`build/tar.py`, `build/layer.py`).
3. Per wheel: files mapped by scheme (`wheel/layout.py`), console scripts in the recipe's own words, `#!python`
   replaced by the image's interpreter (`wheel/scripts.py`), `INSTALLER` says `envcap`; `REQUESTED`, `direct_url.json`,
   installers' notes and `__pycache__` are left out. A sorted `RECORD` of each package lies in the last layer, since it
   holds the hashes of all its files: those of the wheel's own RECORD where the lock's proof is that they are true,
   else computed.
4. A wheel's deflated member of 300 bytes or more becomes one gzip member as it stands; everything between goes into
   stored members. All other layers are libdeflate level 6 in members of 4 MiB of tar (`build/gzip.py`).
5. Layers: OS packages; interpreter; one per package of 1 MB or more, big first; the small ones in 8 buckets by the
   hash of their name; unowned files; last the environment's own files. At most 40 (`plan.py`).
6. OS packages are unpacked without maintainer scripts, with the nine fix-ups in their own layer (`build/debian/`).
7. Config and manifest are RFC 8785 canonical JSON; `created` is the epoch; no history, no tool version (`oci/`).
8. A conda environment lies in `opt/conda`. Its packages come in place of the interpreter's layer: one layer per
   package of 1 MB or more, the rest in 8 buckets, as for wheels. Per package: the files of `info/paths.json` without
   bytecode, noarch Python placed, placeholders replaced (texts anywhere, C strings padded with NULs), entry points in
   the recipe's own words, modes by rule 2, and a `conda-meta` record that follows from the lock's row and the files
   (`build/conda.py`, `build/conda_record.py`). No script of a package is run. `conda-meta/history` is empty.
   One without Python is the same in all this; packages that Python must place are not in it.
"""

RECIPE = 1

ENVIRONMENT_ROOT = "opt/env"
"""Where a virtual environment lies in the image, relative to the root."""

CONDA_ROOT = "opt/conda"
"""Where a conda environment lies in the image, relative to the root."""

PYTHON_ROOT = "opt/python"
"""Where a standalone or captured interpreter lies in the image, relative to the root."""

SPLICE_MINIMUM = 300
"""Files with fewer bytes go into stored members: a gzip member of their own would be longer."""

LIBDEFLATE_LEVEL = 6
LIBDEFLATE_BLOCK = 4 << 20
"""Bytes of tar in one gzip member of a libdeflate layer: members compress in parallel and in bounded memory."""

OWN_LAYER_SIZE = 1_000_000
"""A package whose artifact has this many bytes gets a layer of its own."""

BUCKETS = 8
MAX_LAYERS = 40

FILE_MODE = 0o644
EXECUTABLE_MODE = 0o755
DIRECTORY_MODE = 0o755

COMPRESSOR = "splice+libdeflate-6"
"""Named in the lock beside a manifest digest, which depends on it (the image ID does not)."""


def file_mode(path: str, *, executable: bool) -> int:
    """Give the mode of a file of the environment: rule 2.

    Args:
        path: Relative to the environment's prefix. What lies in `bin/` is always executable: installers agree on the
            wish, but not on how they read a wheel's permission bits there.
        executable: Whether any x bit is set in the wheel, or live.
    """
    return EXECUTABLE_MODE if executable or path.startswith("bin/") else FILE_MODE
