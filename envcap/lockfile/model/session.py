"""The shell and the machine of the snapshot: `[session]`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from envcap.gpu.model import GpuMachine


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What the snapshot's shell and machine would have changed in the results; not part of the identity.

    It is shown and compared, and never applied: values such as a thread count or a folder fit one machine. What shall
    hold everywhere is put into the image by name (`snapshot --env NAME`).

    Attributes:
        variables: Those of `envcap.variables` that were set, with their values reduced.
        system_blas: What the machine's alternatives made of `libblas.so.3`, such as `openblas-pthread`, or empty.
        gpu: The machine's GPUs and their drivers.
        virtual: The machine's virtual packages where conda is in use, with values such as `2.36` and `1 x86_64_v3`.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    system_blas: str = ""
    gpu: GpuMachine = field(default_factory=GpuMachine)
    virtual: Mapping[str, str] = field(default_factory=dict)
