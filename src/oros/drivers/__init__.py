"""Devices behind the ports of abi, one file a make."""
