"""Engines, which execute a loaded network."""

import sys

# OpenVINO tells its makers each time that it is imported or converts a network. It leaves that
# where the package for it is missing; here it is, for whoever comes through this one.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
