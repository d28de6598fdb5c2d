import pytest

from oros.abi.errors import Invalid
from oros.abi.grants import MountPoint
from oros.monitor.namespace import narrow, needing, reviewed

WORK, PROC = MountPoint("/work", "work:/x", "rw"), MountPoint("/proc", "proc:")


def test_a_child_needs_what_its_parent_needs_too() -> None:
    parent = needing((WORK, PROC), (), ("mem",))
    child = needing((WORK, PROC), parent, ("net",))
    assert [p.needs for p in child] == [("mem", "net"), ()]
    assert needing(parent, parent, ()) == parent


def test_a_folder_mounted_elsewhere_needs_the_same() -> None:
    parent = needing((WORK, PROC), (), ("mem",))
    again = narrow((*parent, narrow(parent, "/work/sub", "/other", "r")), "/other", "/work", "r")
    assert again == MountPoint("/work", "work:/x/sub", "r", ("mem",))


def test_a_property_that_there_is_not() -> None:
    with pytest.raises(Invalid, match="wings"):
        needing((WORK,), (), ("wings",))


def test_the_folders_of_a_race_wait() -> None:
    found = reviewed((WORK, PROC, MountPoint("/r", "review:/y")))
    assert found == (MountPoint("/work", "review:/x", "rw"),)
