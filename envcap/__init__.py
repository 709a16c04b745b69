"""Capture a live Python environment, pin every byte, rebuild it anywhere as a byte-identical OCI image."""

__version__ = "0.1.0"
