"""Egress through sockets that the daemon holds inside a sandbox's net namespace."""

from oros.abi.jobs import Flow
from oros.drivers.egress.netns.flows import Bounds
from oros.drivers.egress.netns.listeners import ENVIRONMENT, FILES, Maker, Sockets, listen, maker
from oros.drivers.egress.netns.policy import Policy, public
from oros.drivers.egress.netns.server import Egress, Outside

__all__ = [
    "ENVIRONMENT",
    "FILES",
    "Bounds",
    "Egress",
    "Flow",
    "Maker",
    "Outside",
    "Policy",
    "Sockets",
    "listen",
    "maker",
    "public",
]
