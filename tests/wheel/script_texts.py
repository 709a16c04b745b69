"""The scripts that real installers write for an entry point, word for word (`{python}`, `{module}`, …)."""

PIP = """\
#!{python}
import sys
from {module} import {name}
if __name__ == '__main__':
    sys.argv[0] = sys.argv[0].removesuffix('.exe')
    sys.exit({call}())
"""
"""pip 25 and later (its vendored distlib)."""

PIP_OLD = """\
#!{python}
# -*- coding: utf-8 -*-
import re
import sys
from {module} import {name}
if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw|\\.exe)?$', '', sys.argv[0])
    sys.exit({call}())
"""
"""pip 20 to 24, distlib."""

UV = """\
#!{python}
# -*- coding: utf-8 -*-
import sys
from {module} import {name}
if __name__ == "__main__":
    if sys.argv[0].endswith("-script.pyw"):
        sys.argv[0] = sys.argv[0][:-11]
    elif sys.argv[0].endswith(".exe"):
        sys.argv[0] = sys.argv[0][:-4]
    sys.exit({call}())
"""

UV_OLD = """\
#!{python}
# -*- coding: utf-8 -*-
import re
import sys
from {module} import {name}
if __name__ == "__main__":
    sys.argv[0] = re.sub(r"(-script\\.pyw|\\.exe)?$", "", sys.argv[0])
    sys.exit({call}())
"""

INSTALLER = UV_OLD
"""The library `installer` (Poetry, PDM) uses the words that uv once had."""

CONDA = """\
#!{python}
# -*- coding: utf-8 -*-
import re
import sys

from {module} import {name}

if __name__ == '__main__':
    sys.argv[0] = re.sub(r'(-script\\.pyw?|\\.exe)?$', '', sys.argv[0])
    sys.exit({call}())
"""

BY_INSTALLER = {"pip": PIP, "pip-old": PIP_OLD, "uv": UV, "uv-old": UV_OLD, "installer": INSTALLER, "conda": CONDA}

PIP_TRAMPOLINE = "/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''"
"""pip's first lines where the interpreter's path holds a space; a path that is only long is not quoted."""

UV_TRAMPOLINE = "/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''"

UV_RELOCATABLE = "/bin/sh\n'''exec' \"$(dirname -- \"$(realpath -- \"$0\")\")\"/'python' \"$0\" \"$@\"\n' '''"


def script(words: str, value: str, python: str) -> bytes:
    """Write a script as an installer does."""
    module, _, call = value.partition(":")
    return words.format(python=python, module=module, name=call.split(".")[0], call=call).encode()
