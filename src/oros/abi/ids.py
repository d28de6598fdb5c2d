"""Names for the numbers and keys that identify things, so that none is a bare int or str."""

from typing import NewType

Pid = NewType("Pid", int)
"""A process. 0 is the person, 1 is the standing process that a model drives."""

Seq = NewType("Seq", int)
"""The place of an event in its process's journal, from 1, without gaps."""

CallId = NewType("CallId", str)
"""`c<seq>` of the event that entered the call; unique inside a process."""

BlobId = NewType("BlobId", str)
"""Lower-case hex SHA-256 of the content."""

PERSON = Pid(0)
INIT = Pid(1)
START = Seq(0)
