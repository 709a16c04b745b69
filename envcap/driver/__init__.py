"""What this machine has of GPUs and drivers: kernel files first, then the drivers' libraries, then their tools."""

from envcap.driver.capture import capture_gpu
from envcap.driver.run import Asker, Ended, Outcome, ProgramRunner, Runner

__all__ = ["Asker", "Ended", "Outcome", "ProgramRunner", "Runner", "capture_gpu"]
