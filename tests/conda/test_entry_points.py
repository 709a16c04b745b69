"""Scripts of entry points as conda's tools write them, and what is no such script any more."""

import pytest

from envcap.build.conda_live import live_entry_point

BODY = """# -*- coding: utf-8 -*-
import re
import sys

from tool.cli import main

if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])
    sys.exit(main())
"""
OLD = """#!/home/ada/envs/x/bin/python
import sys
from tool.cli import main

if __name__ == '__main__':
    sys.exit(main())
"""
CONDA = f"#!/home/ada/envs/x/bin/python\n{BODY}"


@pytest.mark.parametrize(
    "text",
    [
        CONDA,
        CONDA.replace("    sys", "\tsys").removesuffix("\n"),
        CONDA.replace("x/bin/python", "x/bin/python3.11"),
        f"#!/usr/bin/env python\n{BODY}",
        f"#!/bin/sh\n'''exec' \"/home/ada/my envs/x/bin/python\" \"$0\" \"$@\" #'''\n{BODY}",
        OLD,
    ],
    ids=["conda", "rattler", "version", "env", "shell", "old conda"],
)
def test_a_generated_script_names_its_entry_point(text: str) -> None:
    point = live_entry_point(text.encode(), "bin/tool")

    assert point is not None
    assert (point.name, point.value) == ("tool", "tool.cli:main")


@pytest.mark.parametrize(
    "text",
    [
        CONDA.replace("import sys\n", "import sys, os\n"),
        CONDA.replace("    sys.exit", "    print('mine')\n    sys.exit"),
        CONDA.replace("bin/python\n", "bin/python -O\n"),
        "#!/bin/sh\nexec tool\n",
        "",
    ],
    ids=["import", "statement", "arguments", "shell", "empty"],
)
def test_an_edited_script_names_none(text: str) -> None:
    assert live_entry_point(text.encode(), "bin/tool") is None
