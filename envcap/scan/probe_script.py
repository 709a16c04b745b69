"""Runs inside the scanned interpreter and prints one JSON object about it.

Started as `python -I -S -B -c <this source>`, on any CPython from 3.8 on (and PyPy): standard library only,
no site-packages, no import of anything installed, no file written. With `-S`, `sys.prefix` of a virtual
environment is the base's up to CPython 3.13 (site.py sets it; getpath does so from 3.14 on), so the prefix is
found again here by site.py's rule: `pyvenv.cfg` beside the executable or one folder up (PEP 405).
"""

import json
import os
import platform
import re
import site
import sys
import sysconfig

CONFIG = (
    "BINDIR",
    "BUILD_GNU_TYPE",
    "CONFIG_ARGS",
    "DESTSHARED",
    "EXT_SUFFIX",
    "HOST_GNU_TYPE",
    "INSTSONAME",
    "LDLIBRARY",
    "LDVERSION",
    "LIBDIR",
    "LIBPL",
    "MULTIARCH",
    "PYTHON_BUILD_STANDALONE",
    "Py_DEBUG",
    "Py_ENABLE_SHARED",
    "Py_GIL_DISABLED",
    "SOABI",
    "VERSION",
    "exec_prefix",
    "prefix",
)


def environment_prefix():
    """The folder that holds pyvenv.cfg, or sys.prefix where there is none."""
    folder = os.path.dirname(os.path.abspath(sys.executable))
    for candidate in (folder, os.path.dirname(folder)):
        if os.path.isfile(os.path.join(candidate, "pyvenv.cfg")):
            return candidate
    return sys.prefix


def install_paths(prefix):
    """Paths of sysconfig as the environment's own pip sees them (scheme `venv` where there is one)."""
    if prefix == sys.base_prefix:
        return sysconfig.get_paths()
    scheme = "venv" if "venv" in sysconfig.get_scheme_names() else "posix_prefix"
    paths = sysconfig.get_paths(scheme, vars={"base": prefix, "platbase": prefix})
    # In an environment sysconfig's `platstdlib` names a folder that isn't there: lib-dynload is the base's.
    base = sysconfig.get_paths(scheme, vars={"base": sys.base_prefix, "platbase": sys.base_exec_prefix})
    paths.update({key: base[key] for key in ("stdlib", "platstdlib")})
    return paths


def build_string():
    """`main, Dec  4 2023, GCC 12.2.0`: sys.version without the number and without the time of day."""
    match = re.match(r"\S+ \((.*?)\)\s*(?:\[(.*)\])?", sys.version.replace("\n", " "))
    if not match:
        return ""
    parts = [part.strip() for part in match.group(1).split(",")]
    parts = [part for part in parts if part and not re.match(r"\d\d:\d\d:\d\d$", part)]
    return ", ".join(parts + ([match.group(2).strip()] if match.group(2) else []))


def python_tag():
    """Interpreter and ABI tag (PEP 425), such as `cp311-cp311`."""
    number = "%d%d" % sys.version_info[:2]
    soabi = sysconfig.get_config_var("SOABI") or ""
    if sys.implementation.name != "cpython":
        short = {"pypy": "pp"}.get(sys.implementation.name, sys.implementation.name)
        return short + number + "-" + "_".join(soabi.split("-")[:2])
    threading = "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""
    debug = "d" if sysconfig.get_config_var("Py_DEBUG") else ""
    return "cp" + number + "-cp" + number + threading + debug


def implementation_version():
    """Version of the implementation, as PEP 508 spells it."""
    info = sys.implementation.version
    version = "{0.major}.{0.minor}.{0.micro}".format(info)
    return version if info.releaselevel == "final" else version + info.releaselevel[0] + str(info.serial)


def markers():
    """Marker values of PEP 508, without those that name the machine's kernel."""
    return {
        "implementation_name": sys.implementation.name,
        "implementation_version": implementation_version(),
        "os_name": os.name,
        "platform_machine": platform.machine(),
        "platform_python_implementation": platform.python_implementation(),
        "platform_system": platform.system(),
        "python_full_version": platform.python_version(),
        "python_version": ".".join(platform.python_version_tuple()[:2]),
        "sys_platform": sys.platform,
    }


def glibc():
    """Version of glibc that the interpreter runs on, or an empty string (musl, macOS)."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, ValueError, OSError):
        return ""
    return version if name == "glibc" else ""


def real_executable(prefix):
    """The file behind bin/python; for an environment made with --copies the base's, where it can be named."""
    executable = os.path.realpath(sys.executable)
    base = getattr(sys, "_base_executable", None) or ""
    inside = os.path.realpath(prefix) + os.sep
    if prefix != sys.base_prefix and executable.startswith(inside):
        name = "python%d.%d" % sys.version_info[:2]
        for candidate in (base, os.path.join(sys.base_prefix, "bin", name)):
            candidate = os.path.realpath(candidate) if candidate else ""
            if os.path.isfile(candidate) and not candidate.startswith(inside):
                return candidate
    return executable


def site_folders():
    """The base's folders of packages. With -S the module `site` is but a library: importing it changes nothing."""
    return site.getsitepackages(list(dict.fromkeys((sys.base_prefix, sys.base_exec_prefix))))


def facts():
    """Everything that the scan asks of the interpreter."""
    prefix = environment_prefix()
    variables = sysconfig.get_config_vars()
    return {
        "executable": real_executable(prefix),
        "implementation": sys.implementation.name,
        "version": platform.python_version(),
        "build": build_string(),
        "soabi": sysconfig.get_config_var("SOABI") or "",
        "tags": python_tag(),
        "prefix": prefix,
        "base_prefix": sys.base_prefix,
        "paths": {key: str(value) for key, value in install_paths(prefix).items()},
        "markers": markers(),
        "glibc": glibc(),
        "config": {key: str(variables[key]) for key in CONFIG if variables.get(key) is not None},
        "site_folders": site_folders(),
        "user_site": site.getusersitepackages() or "",
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts(), sort_keys=True) + "\n")
