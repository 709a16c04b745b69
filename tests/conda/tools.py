"""Packages that need no Python: one like R's, with shell scripts and a library, and a command line tool alone."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conda.channel import PLACEHOLDER, Member, Spec

R_SCRIPT = f"""#!/bin/sh
# Shell wrapper for R executable.
R_HOME_DIR={PLACEHOLDER}/lib/R
if test "${{R_HOME_DIR}}" = "{PLACEHOLDER}/lib/R"; then
  LD_LIBRARY_PATH="/usr/lib/none:{PLACEHOLDER}/lib"; export LD_LIBRARY_PATH
fi
echo "R of ${{R_HOME_DIR}}: $1"
"""
DESCRIPTION = b"Package: base\nVersion: 4.3.1\nPriority: base\nBuilt: R 4.3.1; ; ; unix\n"


def tool_specs(scratch: Path) -> tuple[Spec, ...]:
    """Give the packages; a C compiler makes what is compiled in them.

    Args:
        scratch: An empty folder for it.
    """
    r_base = {
        "bin/R": Member(data=R_SCRIPT.encode(), mode=0o755, placeholder=PLACEHOLDER),
        "bin/Rscript": Member(target="R"),
        "lib/R/bin/R": Member(data=R_SCRIPT.encode(), mode=0o755, placeholder=PLACEHOLDER),
        "lib/R/etc/ldpaths": Member(data=f": ${{JAVA_HOME={PLACEHOLDER}}}\n".encode(), placeholder=PLACEHOLDER),
        "lib/R/lib/libR.so": Member(
            data=compiled(scratch / "libR.so", "-shared", "-fPIC"), mode=0o755, placeholder=PLACEHOLDER, binary=True
        ),
        "lib/R/library/base/DESCRIPTION": Member(data=DESCRIPTION),
        "lib/R/library/base/R/base.rdb": Member(data=b"\0packed"),
        "etc/conda/activate.d/activate-r-base.sh": Member(data=b"R CMD javareconf || true\n"),
    }
    grep = {
        "bin/rg": Member(data=compiled(scratch / "rg"), mode=0o755, placeholder=PLACEHOLDER, binary=True),
        "share/man/man1/rg.1": Member(data=b".TH rg\n"),
    }
    plain = {"bin/sortbam": Member(data=compiled(scratch / "sortbam", text="none"), mode=0o755)}
    fonts = {"fonts/sans.ttf": Member(data=b"glyphs")}
    return (
        Spec(name="r-base", version="4.3.1", build="h1_3", files=r_base, depends=("fonts",)),
        Spec(name="ripgrep", version="14.1.0", build="h2_0", files=grep),
        Spec(name="sortbam", version="1.2", build="h3_0", files=plain, suffix=".tar.bz2"),
        Spec(name="fonts", version="1", files=fonts, noarch="generic"),
    )


def compiled(path: Path, *flags: str, text: str = f"{PLACEHOLDER}/share") -> bytes:
    """Compile a program, or a library, that prints a text."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    source = f'#include <stdio.h>\nconst char *home = "{text}";\nint main(void) {{ return puts(home) < 0; }}\n'
    subprocess.run([compiler, *flags, "-x", "c", "-", "-o", str(path)], input=source.encode(), check=True)
    return path.read_bytes()
