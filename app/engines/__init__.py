"""Engines that execute a loaded network."""

import sys

# OpenVINO reports each import and conversion to its vendor if this package can be imported.
# Blocking the import disables that.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
