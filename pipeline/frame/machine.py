"""On what a measurement was made."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")  # on Linux


def processor_name() -> str:
    """Return the processor's model, as far as the operating system tells."""
    if CPUINFO.is_file():
        for line in CPUINFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
