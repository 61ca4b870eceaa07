"""What tests ask of the machine: compilers, tools, CPU features, a Vulkan adapter, each with the package that brings it.

Enters: nothing but the machine. Leaves: reasons for a skip (None where the part is there), and the marks that ask for
one: `@needs_cc`, `@needs_vulkan`, `@needs_tools("clang", "valgrind")`, `@needs_cpu("avx2", "fma")`. Never imports a
GPU library into the process of the tests: the adapter is asked for in a process of its own, once per session.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile

import pytest

PACKAGES = {
    "cc": "gcc",
    "gcc": "gcc",
    "g++": "g++",
    "clang": "clang",
    "clang++": "clang",
    "objdump": "binutils",
    "nm": "binutils",
    "valgrind": "valgrind",
    "cmake": "cmake",
    "ninja": "ninja-build",
}
VULKAN_PACKAGES = "mesa-vulkan-drivers and libvulkan1"

needs_cc = pytest.mark.needs_cc
needs_vulkan = pytest.mark.needs_vulkan
needs_tools = pytest.mark.needs_tools
needs_cpu = pytest.mark.needs_cpu

_PROBE = """
import json, wgpu
adapter = wgpu.gpu.request_adapter_sync(power_preference="high-performance")
adapter.request_device_sync()
print(json.dumps({k: str(adapter.info.get(k, "")) for k in ("device", "description", "backend_type", "adapter_type")}))
"""


def compiler() -> str | None:
    """The C compiler that tests call: $CC, else gcc, cc or clang, the first that is installed."""
    for name in (os.environ.get("CC", ""), "gcc", "cc", "clang"):
        if name and (path := shutil.which(name)):
            return path
    return None


def ensure_runtime_dir() -> None:
    """Vulkan loaders want XDG_RUNTIME_DIR; give them a private directory where the machine has none."""
    if not os.path.isdir(os.environ.get("XDG_RUNTIME_DIR", "")):
        os.environ["XDG_RUNTIME_DIR"] = tempfile.mkdtemp(prefix="charl-runtime-")


def ensure_path() -> None:
    """Programs of the environment that runs the tests (ninja comes as a wheel) are found, activated or not."""
    own = os.path.dirname(sys.executable)
    if own not in os.environ["PATH"].split(os.pathsep):
        os.environ["PATH"] = os.pathsep.join([own, os.environ["PATH"]])


@functools.cache
def adapter() -> dict[str, str]:
    """The Vulkan adapter that wgpu gives, or {"error": why not}. Test workers inherit the answer."""
    known = os.environ.get("CHARL_TEST_ADAPTER")
    if known is None:
        ensure_runtime_dir()
        try:
            ran = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, text=True, timeout=120)
            lines = ran.stdout.strip().splitlines() if ran.returncode == 0 else []
            known = (
                lines[-1] if lines else json.dumps({"error": (ran.stderr.strip().splitlines() or ["?"])[-1]})
            )
        except subprocess.TimeoutExpired:
            known = json.dumps({"error": "the adapter did not answer within 120 s"})
        os.environ["CHARL_TEST_ADAPTER"] = known
    answer: dict[str, str] = json.loads(known)
    return answer


@functools.cache
def cpu_features() -> frozenset[str]:
    """Feature flags of the CPU as Linux names them (avx2, fma, avx512f, ...); empty where they cannot be read."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as lines:
            return frozenset(
                next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
            )
    except OSError:
        return frozenset()


def missing_tools(*names: str) -> str | None:
    """Reason to skip where one of the named programs is not installed."""
    for name in names:
        if shutil.which(name) is None:
            return f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}"
    return None


def missing_cc() -> str | None:
    """Reason to skip where there is no C compiler."""
    return None if compiler() else "no C compiler: apt-get install gcc"


def missing_vulkan() -> str | None:
    """Reason to skip where wgpu finds no adapter."""
    error = adapter().get("error")
    return f"no Vulkan adapter ({error}): apt-get install {VULKAN_PACKAGES}" if error else None


def missing_cpu(*features: str) -> str | None:
    """Reason to skip where the CPU lacks a feature; no package mends that."""
    lacking = [f for f in features if f not in cpu_features()]
    return f"this CPU has no {', '.join(lacking)}" if lacking else None


def _version(name: str) -> str:
    if shutil.which(name) is None:
        return f"{name} -"
    first = subprocess.run([name, "--version"], capture_output=True, text=True).stdout.splitlines()[0]
    return f"{name} {first.split(' version ')[-1].split()[-1] if name == 'gcc' else first.split()[-1]}"


def machine_report() -> list[str]:
    """Lines for the header of a test run: processor, features that matter here, compilers, adapter."""
    wanted = (
        "avx2",
        "fma",
        "f16c",
        "avx512f",
        "avx512bw",
        "avx512dq",
        "avx512vl",
        "avx512_vnni",
        "avx512_bf16",
    )
    found = adapter()
    described = found.get("error") and f"none ({found['error']})"
    described = described or " ".join(filter(None, (found.get("device"), found.get("description")))) + (
        f" [{found.get('backend_type')}, {found.get('adapter_type')}]"
    )
    return [
        f"machine: {platform.machine()}, {os.cpu_count()} CPUs, {platform.python_implementation()} {platform.python_version()}",
        "CPU features: " + (" ".join(f for f in wanted if f in cpu_features()) or "none that are used"),
        "compilers: " + ", ".join(_version(name) for name in ("gcc", "clang")),
        f"Vulkan adapter: {described}",
    ]
