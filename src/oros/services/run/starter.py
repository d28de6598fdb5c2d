"""Starts a Python job whose source comes first on standard input; the rest is the job's own.

So no file is needed, the source may be of any size and is not on a command line, and standard input
stays usable. Only `start` and the kit travel: their source is sent into the sandbox's interpreter,
so `start` imports all it needs itself and knows nothing of this package.
"""

import inspect

from oros.services import kit


def start(kit: str) -> None:
    """Read `sys.argv[1]` bytes of source, and run them as the main module, named `job.py`.

    `kit` is the source of the module of that name.
    """
    import linecache
    import os
    import sys
    import traceback
    from types import TracebackType

    # Modules of the folder can be imported, but don't stand in for the library's own; nor do
    # packages that pip put there.
    version = "python{}.{}".format(*sys.version_info)
    brought = f"{os.environ.get('PYTHONUSERBASE')}/lib/{version}/site-packages"
    sys.path[:] = [*(p for p in sys.path if p), os.getcwd(), brought]  # noqa: PTH109 - pathlib is slow here
    sys.modules["kit"] = ready = type(sys)("kit")
    exec(compile(kit, "kit.py", "exec", dont_inherit=True), ready.__dict__)  # noqa: S102 - ours
    name, size, pieces = "job.py", int(sys.argv[1]), []
    while size > 0:
        piece = os.read(0, min(size, 1 << 20))  # unbuffered: not a byte too many
        if not piece:
            sys.exit("the source of the job was cut off")
        pieces.append(piece)
        size -= len(piece)
    source = b"".join(pieces).decode()
    # A traceback shows its lines from this cache, as there is no such file.
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)

    def report(kind: type[BaseException], error: BaseException, at: TracebackType | None) -> None:
        while at is not None and at.tb_frame.f_code.co_filename != name:
            at = at.tb_next
        traceback.print_exception(kind, error, at)

    sys.excepthook = report
    copies_folders()
    sys.argv[:] = [name]
    scope = sys.modules["__main__"].__dict__
    scope.pop("start", None)
    scope["__file__"] = name
    exec(compile(source, name, "exec", dont_inherit=True), scope)  # noqa: S102 - its very purpose


def copies_folders() -> None:
    """A folder that was there before can't be renamed over a layer (EXDEV): then it is copied."""
    import errno
    import os
    from collections.abc import Callable

    def kept(plain: Callable[..., None]) -> Callable[..., None]:
        def rename(old: str, new: str, **more: int) -> None:
            try:
                plain(old, new, **more)
            except OSError as e:
                if e.errno != errno.EXDEV or more or not os.path.isdir(old):  # noqa: PTH112 - pathlib is slow here
                    raise
                import shutil

                if os.path.isdir(new):  # noqa: PTH112 - pathlib is slow here
                    os.rmdir(new)  # noqa: PTH106 - as rename: only an empty one gives way
                shutil.copytree(old, new, symlinks=True)
                shutil.rmtree(old)

        return rename

    os.rename, os.replace = kept(os.rename), kept(os.replace)


_SENT = f"{inspect.getsource(copies_folders)}\n{inspect.getsource(start)}\n"
CODE = f"{_SENT}start({inspect.getsource(kit)!r})"
"""What follows `python -c`; then the source's size in bytes."""
