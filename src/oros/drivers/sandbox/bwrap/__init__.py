"""Programs behind bubblewrap: namespaces, a mount whitelist, a call filter, hard limits."""

from oros.drivers.sandbox.bwrap.driver import BwrapSandbox

__all__ = ["BwrapSandbox"]
