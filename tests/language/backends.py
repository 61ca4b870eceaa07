"""The backends that programs of this folder run on: the evaluator, C and WGSL."""

from __future__ import annotations

import pytest

from tests.support import needs_cc, needs_vulkan

BACKENDS = [
    pytest.param("evaluator", id="evaluator"),
    pytest.param("c", marks=needs_cc, id="c"),
    pytest.param("wgpu", marks=needs_vulkan, id="wgsl"),
]
