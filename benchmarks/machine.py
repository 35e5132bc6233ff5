"""What a measurement was made on, without names or places."""

import os
import platform
from pathlib import Path


def describe() -> list[str]:
    """Give processor, cores, memory and versions, and the GPU where there is one."""
    import torch

    lines = [
        f"{_processor()}, {os.cpu_count()} cores, {_memory()}",
        f"Python {platform.python_version()}, torch {torch.__version__}, {platform.system()}",
    ]
    if torch.cuda.is_available():
        lines.append(f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    return lines


def devices() -> list[str]:
    """The devices that torch can compute on here: the CPU, and CUDA where it is."""
    import torch

    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory() -> str:
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{total / 2**30:.0f} GiB of memory"
