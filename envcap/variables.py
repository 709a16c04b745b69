"""The environment variables that change results: the whole list of what a snapshot may record, and how. Pure.

Nothing outside `VARIABLES` is ever looked at. What a listed one holds is checked against the form that its meaning
allows, so that a token in the wrong variable, a user name or a folder of this machine never reaches a lock: entries of
a search path become `{prefix}/…` where they lie inside the environment and `{outside}` where not, and what has no
known form is `{withheld}`. Reducing a reduced value changes nothing; the lock's reader demands just that.

A name that was ever on the list stays on it: locks that hold it must be readable for ever.

Left out on purpose: `TZ` (it tells where somebody lives), `PATH` and `HOME` (places), what only changes speed or
messages (`OMP_PROC_BIND`, `CUDA_LAUNCH_BLOCKING`, `PYTHONDONTWRITEBYTECODE`, `LC_MESSAGES`), and everything that names
a service or an account.
"""

import enum
import posixpath
import re
from collections.abc import Mapping, Sequence

PREFIX = "{prefix}"
OUTSIDE = "{outside}"
WITHHELD = "{withheld}"

_NUMBERS = re.compile(r"(?:-?[0-9]{1,10}(?:,-?[0-9]{1,10}){0,63})?\Z")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,24}\Z")
_LOCALE = re.compile(r"[A-Za-z]{1,12}(?:_[A-Za-z]{2,3})?(?:\.[A-Za-z0-9-]{1,12})?(?:@[a-z]{1,12})?\Z")
_PART = re.compile(r"[A-Za-z0-9_.+%-]{0,64}\Z")
_SEPARATORS = re.compile(r"([,:;=|])")
_RANDOM = re.compile(r"(?=[A-Za-z0-9_]*[0-9])(?=[A-Za-z0-9_]*[A-Za-z])(?=[A-Za-z0-9_]{16})[A-Za-z0-9_]*")
_LIBRARY = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,62}\.so(?:\.[0-9]{1,8}){0,4}\Z")
_ODD = re.compile(r"[\\: {}]")
_MOST = 2000


class Form(enum.Enum):
    """What the value of a variable looks like."""

    NUMBERS = "a list of numbers"
    WORD = "one plain word"
    LOCALE = "a locale"
    SETTINGS = "a list of plain settings"
    PATHS = "a search path"
    LIBRARIES = "a list of libraries"


_SIMPLE = {Form.NUMBERS: _NUMBERS, Form.WORD: _WORD, Form.LOCALE: _LOCALE}

VARIABLES: Mapping[str, Form] = {
    # The dynamic loader: which libraries, and which of their variants (ld.so(8)).
    "LD_LIBRARY_PATH": Form.PATHS,
    "LD_PRELOAD": Form.LIBRARIES,
    "GLIBC_TUNABLES": Form.SETTINGS,  # glibc.cpu.hwcaps chooses among libm's variants (glibc manual, "Tunables")
    # Threads: sums are split by their number, and floating point addition is not associative (OpenMP 5.2 §21.1).
    "OMP_NUM_THREADS": Form.NUMBERS,
    "OMP_THREAD_LIMIT": Form.NUMBERS,
    "OMP_DYNAMIC": Form.WORD,
    "OMP_SCHEDULE": Form.SETTINGS,
    "NUMEXPR_NUM_THREADS": Form.NUMBERS,
    "NUMBA_NUM_THREADS": Form.NUMBERS,
    # BLAS: threads and kernels (OpenBLAS README, "Setting the number of threads"; oneMKL guide, "Conditional numerical
    # reproducibility"; BLIS docs/Multithreading.md).
    "OPENBLAS_NUM_THREADS": Form.NUMBERS,
    "OPENBLAS_CORETYPE": Form.WORD,
    "GOTO_NUM_THREADS": Form.NUMBERS,
    "MKL_NUM_THREADS": Form.NUMBERS,
    "MKL_DYNAMIC": Form.WORD,
    "MKL_CBWR": Form.SETTINGS,
    "MKL_ENABLE_INSTRUCTIONS": Form.WORD,
    "MKL_THREADING_LAYER": Form.WORD,
    "MKL_INTERFACE_LAYER": Form.SETTINGS,
    "BLIS_NUM_THREADS": Form.NUMBERS,
    "BLIS_ARCH_TYPE": Form.WORD,
    # Which code of several a library runs on this CPU (numpy "CPU dispatcher"; oneDNN "CPU dispatcher control" and
    # "Floating-point math mode"; PyTorch ATen/native/DispatchStub.cpp).
    "NPY_DISABLE_CPU_FEATURES": Form.SETTINGS,
    "NPY_ENABLE_CPU_FEATURES": Form.SETTINGS,
    "NPY_PROMOTION_STATE": Form.WORD,
    "ATEN_CPU_CAPABILITY": Form.WORD,
    "ONEDNN_MAX_CPU_ISA": Form.WORD,
    "DNNL_MAX_CPU_ISA": Form.WORD,
    "ONEDNN_DEFAULT_FPMATH_MODE": Form.WORD,
    "NUMBA_DISABLE_JIT": Form.WORD,
    "NUMBA_CPU_NAME": Form.WORD,
    # CUDA: devices, precision, determinism (CUDA programming guide, "Environment variables"; cuBLAS "Results
    # reproducibility"; NVIDIA "TF32 override"). The UUIDs that CUDA_VISIBLE_DEVICES may hold are no numbers.
    "CUDA_VISIBLE_DEVICES": Form.NUMBERS,
    "CUDA_DEVICE_ORDER": Form.WORD,
    "CUDA_FORCE_PTX_JIT": Form.WORD,
    "CUBLAS_WORKSPACE_CONFIG": Form.SETTINGS,
    "NVIDIA_TF32_OVERRIDE": Form.WORD,
    # Frameworks (PyTorch "Reproducibility" and "CUDA environment variables"; TensorFlow
    # `enable_op_determinism`; XLA and JAX "Configuration options"; Keras "Configuring your backend").
    "PYTORCH_CUDA_ALLOC_CONF": Form.SETTINGS,
    "PYTORCH_JIT": Form.WORD,
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": Form.WORD,
    "TF_DETERMINISTIC_OPS": Form.WORD,
    "TF_CUDNN_DETERMINISTIC": Form.WORD,
    "TF_ENABLE_ONEDNN_OPTS": Form.WORD,
    "TF_USE_LEGACY_KERAS": Form.WORD,
    "TF_XLA_FLAGS": Form.SETTINGS,
    "XLA_FLAGS": Form.SETTINGS,
    "JAX_ENABLE_X64": Form.WORD,
    "JAX_DEFAULT_MATMUL_PRECISION": Form.WORD,
    "JAX_PLATFORMS": Form.SETTINGS,
    "KERAS_BACKEND": Form.WORD,
    # Python: order of sets, assertions, encodings, what can be imported (Python documentation, "Command line and
    # environment").
    "PYTHONHASHSEED": Form.WORD,
    "PYTHONOPTIMIZE": Form.WORD,
    "PYTHONUTF8": Form.WORD,
    "PYTHONIOENCODING": Form.SETTINGS,
    "PYTHONCOERCECLOCALE": Form.WORD,
    "PYTHONINTMAXSTRDIGITS": Form.NUMBERS,
    "PYTHONDEVMODE": Form.WORD,
    "PYTHON_GIL": Form.WORD,
    "PYTHONNOUSERSITE": Form.WORD,
    "PYTHONSAFEPATH": Form.WORD,
    "PYTHONHOME": Form.PATHS,
    "PYTHONPATH": Form.PATHS,
    # Locale: sorting, case, decimal marks, default encodings (POSIX.1-2017 chapter 8.2).
    "LANG": Form.LOCALE,
    "LC_ALL": Form.LOCALE,
    "LC_COLLATE": Form.LOCALE,
    "LC_CTYPE": Form.LOCALE,
    "LC_MONETARY": Form.LOCALE,
    "LC_NUMERIC": Form.LOCALE,
    "LC_TIME": Form.LOCALE,
}

_MEANING_WHEN_EMPTY = frozenset({"CUDA_VISIBLE_DEVICES"})  # an empty one hides every device; others count as unset


def reduce_variables(environ: Mapping[str, str], *, roots: Sequence[str] = ()) -> dict[str, str]:
    """Take the variables that change results out of an environment, each reduced to what may be written down.

    Args:
        environ: All variables.
        roots: Spellings of the environment's prefix, absolute.
    """
    return {
        name: reduce_value(name, environ[name], roots=roots)
        for name in sorted(VARIABLES)
        if environ.get(name) or (name in environ and name in _MEANING_WHEN_EMPTY)
    }


def reduce_value(name: str, value: str, *, roots: Sequence[str] = ()) -> str:
    """Reduce the value of a listed variable; what was reduced before stays as it is."""
    if value == WITHHELD or len(value) > _MOST:
        return WITHHELD
    match VARIABLES[name]:
        case Form.NUMBERS | Form.WORD | Form.LOCALE as form:
            return value if _SIMPLE[form].match(value) and not looks_random(value) else WITHHELD
        case Form.SETTINGS:
            return " ".join(_setting(word) for word in value.split())
        case Form.PATHS:
            return ":".join(_place(entry, roots) for entry in split_paths(value))
        case Form.LIBRARIES:
            return ":".join(_library(entry, roots) for entry in split_libraries(value))


def is_reduced(name: str, value: str) -> bool:
    """Tell whether a variable is one that is recorded, with a value as it is recorded."""
    return name in VARIABLES and reduce_value(name, value) == value


def split_paths(value: str) -> list[str]:
    """Split a search path; an empty entry means the current folder."""
    return value.split(":") if value else []


def split_libraries(value: str) -> list[str]:
    """Split LD_PRELOAD, whose entries are divided by colons or spaces (ld.so(8))."""
    return [entry for entry in re.split(r"[: ]", value) if entry]


def inside(path: str, roots: Sequence[str]) -> str | None:
    """Give a path relative to the first root that holds it (empty for the root itself), or None."""
    normal = posixpath.normpath(path)
    for root in roots:
        if normal == root:
            return ""
        if normal.startswith(f"{root.rstrip('/')}/"):
            return normal[len(root.rstrip("/")) + 1 :]
    return None


def looks_random(text: str) -> bool:
    """Tell whether a text holds 16 or more word characters in a row that mix letters and digits, as keys do.

    Names that programmers write have digits too: a run with an underscore counts only from 32 characters on.
    """
    return any("_" not in run or len(run) >= 32 for run in _RANDOM.findall(text))  # noqa: PLR2004  # said above


def _setting(word: str) -> str:
    """Keep `name=value` and lists of such; a part that could be a path or a key is withheld, what is around it not."""
    if word == WITHHELD:
        return word
    parts = _SEPARATORS.split(word)
    return "".join(
        part
        if part == WITHHELD or _SEPARATORS.match(part) or (_PART.match(part) and not looks_random(part))
        else WITHHELD
        for part in parts
    )


def _place(entry: str, roots: Sequence[str]) -> str:
    relative = _relative(entry, roots)
    return OUTSIDE if relative is None else f"{PREFIX}/{relative}".rstrip("/")


def _library(entry: str, roots: Sequence[str]) -> str:
    relative = _relative(entry, roots)
    if relative is not None:
        return f"{PREFIX}/{relative}".rstrip("/")
    name = entry.rpartition("/")[2]
    if not _LIBRARY.match(name):
        return OUTSIDE
    return f"{OUTSIDE}/{name}" if "/" in entry else name  # without a slash the loader searches for it


def _relative(entry: str, roots: Sequence[str]) -> str | None:
    relative = inside(entry, (*roots, PREFIX))
    return relative if relative is None or (relative.isprintable() and not _ODD.search(relative)) else None
