"""I watch a process, stop it in the middle, tell it something, let it go on, end it."""

LONG = "[[mock tokens=200 final=begin]]"
HELD = "[[mock fault=stall times=1 tokens=25 final=begin]]"
"""Its first answer begins, and then nothing more comes until the client goes away."""


def test_int_keeps_what_was_said_and_a_message_goes_on(slow) -> None:
    pid = slow.start(LONG)
    slow.until(pid, lambda _: slow.client().query("live", pid=pid)["text"])
    assert slow.oros("kill", "-INT", str(pid)).returncode == 0
    slow.until(pid, lambda r: r["on"] == "message")
    context = slow.oros("cat", f"/proc/{pid}/context").stdout
    assert "[assistant]" in context

    assert slow.oros("send", str(pid), "[[mock text=all_right]]").returncode == 0
    slow.until(pid, lambda r: r["on"] == "model" or r["state"] == "reaped")
    slow.oros("kill", "-KILL", str(pid))
    assert slow.until(pid, lambda r: r["state"] == "reaped")["status"] == 137


def test_stop_and_cont_go_on_from_the_partial_text(slow) -> None:
    pid = slow.start(HELD)  # as long as it is not stopped
    slow.until(pid, lambda _: slow.client().query("live", pid=pid)["text"])
    slow.oros("kill", "-STOP", str(pid))
    assert slow.until(pid, lambda r: r["state"] == "stopped")
    slow.oros("kill", "-CONT", str(pid))
    whole = slow.oros("wait", str(pid)).stdout
    other = slow.oros("run", HELD).stdout
    assert whole.split() == other.split()


def test_term_ends_it_with_its_own_status(slow) -> None:
    pid = slow.start(LONG)
    slow.until(pid, lambda r: r["on"] == "model")
    slow.oros("kill", str(pid))
    assert slow.until(pid, lambda r: r["state"] == "reaped")["status"] == 143


def test_steering_comes_into_the_live_turn(slow) -> None:
    pid = slow.start("[[mock fault=stall times=1 tokens=5 final=begin]]")
    slow.until(pid, lambda _: slow.client().query("live", pid=pid)["text"])
    slow.oros("kill", "-USR1", str(pid), "be brief")
    slow.until(pid, lambda r: r["calls"] >= 2)
    assert "be brief" in slow.oros("cat", f"/proc/{pid}/context").stdout
    slow.oros("kill", "-KILL", str(pid))
