"""A program that means all the harm it can: my folder is as it was, to the inode."""

import os
import signal
import socket
import stat
import subprocess
from pathlib import Path

import pytest
from tests.journeys.test_changes import goal, python

HOSTILE = r"""
import ctypes, os, shutil, signal, socket, subprocess, sys
made = []
def tried(what, act):
    try:
        act()
        made.append(what)
    except BaseException as e:
        print(what, type(e).__name__, e, file=sys.stderr)
def put(path, text='evil', mode='w'):
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    with open(path, mode) as f: f.write(text)
libc = ctypes.CDLL(None, use_errno=True)
outside = sys.argv[1] if len(sys.argv) > 1 else OUTSIDE

# ---- what is there: renamed, retimed, unlocked, linked, emptied, removed
for name in sorted(os.listdir('.')):
    tried('chmod', lambda: os.chmod(name, 0o7777))
    tried('utime', lambda: os.utime(name, ns=(0, 1)))
    tried('xattr', lambda: os.setxattr(name, 'user.note', b'evil'))
    tried('unxattr', lambda: os.removexattr(name, 'user.note'))
    tried('flags', lambda: subprocess.run(['chattr', '+i', name], check=True, capture_output=True))
    tried('hard link', lambda: os.link(name, name + '.again'))
    tried('in place', lambda: put(name + '.again', 'evil', 'a'))
    tried('through proc', lambda: put(f'/proc/self/fd/{os.open(name, os.O_RDONLY)}'))
    tried('case', lambda: os.rename(name, name.swapcase()))
tried('mmap', lambda: __import__('mmap').mmap(os.open('BIG.BIN', os.O_RDWR), 0).__setitem__(0, 88))
for root, folders, files in os.walk('.', topdown=False):
    for name in files: tried('remove', lambda: os.remove(os.path.join(root, name)))
    for name in folders: tried('remove', lambda: os.rmdir(os.path.join(root, name)))
for name in os.listdir('.'): tried('remove', lambda: shutil.rmtree(name))
left = os.listdir('.')

# ---- out of the folder
for way in ('..', '/work/..', '/proc/self/root', '/proc/1/root', '/proc/self/cwd/..',
            '/dev/fd/0/..'):
    tried(f'out by {way}', lambda: put(f'{way}/escaped'))
tried('out by name', lambda: put(outside + '/escaped'))
for fd in range(3, 64): tried('out by fd', lambda: put(f'/proc/self/fd/{fd}/../escaped'))
tried('link out', lambda: os.symlink(outside, 'out'))
tried('through it', lambda: put('out/escaped'))
tried('link to passwd', lambda: os.symlink('/etc/passwd', 'passwd'))
tried('hard link out', lambda: os.link('/usr/bin/env', 'env'))
tried('mount', lambda: libc.mount(b'/', b'/work', None, 4096, None) and 1 / 0)
tried('chroot', lambda: os.chroot('/tmp'))
tried('namespace', lambda: libc.unshare(0x10000000) and 1 / 0)
tried('ptrace', lambda: libc.ptrace(16, os.getppid(), 0, 0) and 1 / 0)

# ---- what would run later
for path in ('.git/hooks/pre-commit', '.git/config', 'a/b/.git/hooks/post-checkout', '.envrc',
             'sitecustomize.py', 'x/usercustomize.py', 'evil.pth', '.bashrc', '.vscode/tasks.json',
             '.idea/workspace.xml', '.mcp.json', '.github/workflows/x.yml', '.ssh/authorized_keys',
             '.EnvRC', 'CLAUDE.md', '.husky/pre-push', '.gitmodules', '.pre-commit-config.yaml'):
    tried('held ' + path, lambda: (put(path), os.chmod(path, 0o4755)))

# ---- what is hard to hold
tried('setuid', lambda: (put('root'), os.chmod('root', 0o6777)))
tried('fifo', lambda: os.mkfifo('pipe'))
tried('socket', lambda: socket.socket(socket.AF_UNIX).bind('sock'))
tried('device', lambda: os.mknod('null', 0o20666, os.makedev(1, 3)))
tried('whiteout', lambda: os.mknod('white', 0o20000, 0))
tried('opaque', lambda: (os.mkdir('op'), os.setxattr('op', 'user.overlay.opaque', b'y')))
tried('redirect', lambda: (os.mkdir('re'), os.setxattr('re', 'user.overlay.redirect', b'/etc')))
for name in (b'\xff\xfe', b'new\nline', b'\x1b]0;owned\x07', b'-rf', b' ', b'n' * 255,
             b'.oros-room9'):
    tried('name', lambda: put(name.decode('utf-8', 'surrogateescape')))
tried('sparse', lambda: os.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 1 << 29))
tried('loops', lambda: [os.symlink(f'l{(i + 1) % 50}', f'l{i}') for i in range(50)])
here = os.open('.', os.O_RDONLY)
for _ in range(900):
    tried('deep', lambda: os.mkdir('d', dir_fd=here))
    here = os.open('d', os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
os.fchdir(os.open('/work', os.O_RDONLY))
tried('wide', lambda: [os.close(os.open(f'wide{i}', os.O_CREAT | 1)) for i in range(3000)])
for name in ('op', 're', 'x', '.'): tried('locked', lambda: os.chmod(name, 0))

# ---- others: processes, the network, the machine
for pid in (1, os.getppid(), PARENT): tried('signal', lambda: os.kill(pid, 9) if pid > 1 else 1 / 0)
for to in (('127.0.0.1', PORT), ('169.254.169.254', 80), ('1.1.1.1', 53)):
    tried('network', lambda: socket.create_connection(to, 1))
tried('unix socket', lambda: socket.socket(socket.AF_UNIX).connect(outside + '/home/run/oros.sock'))
tried('abstract', lambda: socket.socket(socket.AF_UNIX).connect('\0/tmp/.X11-unix/X0'))
tried('daemon', lambda: subprocess.Popen(
    ['sh', '-c', 'trap "" TERM HUP; while :; do echo x >> /work/still; sleep 0.05; done'],
    start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
print('left:', left, 'made:', len(made))
print('CAME TO ITS END')
"""


def picture(top) -> dict:
    """All that a tree is, with what no copy keeps: inodes, links, attributes, owners."""
    found = {}
    for folder, folders, files in os.walk(top):
        for name in [*folders, *files, "."]:
            path = Path(folder, name)
            about = os.lstat(path)
            body: object = None
            if stat.S_ISLNK(about.st_mode):
                body = str(path.readlink())
            elif stat.S_ISREG(about.st_mode):
                body = path.read_bytes()
            extra = {a: os.getxattr(path, a, follow_symlinks=False)
                     for a in os.listxattr(path, follow_symlinks=False)}  # fmt: skip
            who = about.st_uid, about.st_gid, about.st_nlink
            found[os.path.relpath(path, top)] = (about.st_mode, about.st_mtime_ns, who, body, extra)
    return found


@pytest.fixture
def folder(machine):
    """Mine: all kinds of things, some of them delicate."""
    work = machine.work
    for name in ("src/deep", "empty", "group", ".git/hooks", "locked"):
        (work / name).mkdir(parents=True)
    for name in ("a.txt", "src/deep/b.py", ".git/config", ".envrc", "group/g", "locked/x"):
        (work / name).write_text(f"as {name} was\n")
    (work / "big.bin").write_bytes(bytes(range(256)) * 4096)
    (work / "link").symlink_to("a.txt")
    (work / "dangling").symlink_to("../nowhere")
    (work / "a.txt").chmod(0o640)
    (work / ".git" / "hooks" / "pre-push").write_text("#!/bin/sh\n")
    (work / ".git" / "hooks" / "pre-push").chmod(0o755)
    (work / "group").chmod(0o2775)
    (work / "locked" / "x").chmod(0o400)
    os.setxattr(work / "a.txt", "user.note", b"mine")
    for number, path in enumerate(sorted(work.rglob("*"), reverse=True)):
        os.utime(path, ns=(10**18, 10**18 + number * 1001), follow_symlinks=False)
    os.utime(work, ns=(10**18, 10**18 + 7))
    return work


@pytest.fixture
def harm(tmp_path):
    """The program, a process that it may try to kill, and a port that it may try to reach."""
    bystander = subprocess.Popen(["sleep", "600"])
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = f"OUTSIDE, PARENT, PORT = {str(tmp_path)!r}, {bystander.pid}, "
        yield python(head + f"{server.getsockname()[1]}\n{HOSTILE}")
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert bystander.poll() is None
    bystander.send_signal(signal.SIGKILL)
    bystander.wait()


def ran(machine, pid: int) -> dict:
    """What the program came to."""
    facts = machine.json("log", str(pid))
    (event,) = [f["event"] for f in facts if f["kind"] == "call_returned"]
    assert event["outcome"].get("error") is None, event
    value = event["outcome"]["value"]
    assert "CAME TO ITS END" in value["out"], value
    assert "left: []" in value["out"], value  # it saw the folder empty
    return value


def test_what_is_discarded_was_never_there(machine, folder, harm, tmp_path) -> None:
    before, around = picture(folder), sorted(tmp_path.iterdir())
    pid = machine.start(goal(harm), "-p", "steps", "--review")
    assert machine.oros("wait", str(pid)).returncode == 0
    value = ran(machine, pid)
    assert "pipe" in value["note"]
    assert picture(folder) == before
    assert "removed" in machine.oros("diff", str(pid)).stdout
    assert machine.oros("discard", str(pid)).returncode == 0
    assert picture(folder) == before
    assert sorted(tmp_path.iterdir()) == around
    rest = [p for p in (machine.home / "layers").rglob("*") if p.is_file()]
    assert not [p for p in rest if p.suffix != ".json"]


def test_what_came_in_is_undone(machine, folder, harm, tmp_path) -> None:
    before, around = picture(folder), sorted(tmp_path.iterdir())
    pid = machine.start(goal(harm), "-p", "steps")
    assert machine.oros("wait", str(pid)).returncode == 0
    ran(machine, pid)
    after = picture(folder)
    assert "a.txt" not in after  # it did come in
    assert not [p for p, v in after.items() if v[0] & 0o6000 and p != "group"]
    for path in (".envrc", ".git/config", ".git/hooks/pre-push"):
        assert after[path] == before[path]  # without my word no such thing is touched
    for path in ("sitecustomize.py", ".mcp.json", "a/b/.git/hooks/post-checkout", "evil.pth"):
        assert path not in after
    assert machine.oros("undo", str(pid)).returncode == 0
    now = picture(folder)
    assert {p: now.get(p) for p in before} == before
    assert now.keys() == before.keys()
    assert sorted(tmp_path.iterdir()) == around
