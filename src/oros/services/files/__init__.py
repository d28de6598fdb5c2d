"""Folders of the host as mounts."""
