#!/usr/bin/env python3
"""Takes out of the pack `developer` what its commands never read. Runs inside the image's root.

What /pack/removed names goes. Debian's npm brings some 800 modules, among them webpack and Babel. npm itself needs a fifth of them.
Python's bytecode is written anew, with a digest instead of a time: so it's the same in every build,
and stays valid whatever time an unpacked file gets.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

MODULES = Path("/usr/share/nodejs")


def find_module(name, user):
    """The folder of the module `name`, as Node finds it for a file in the folder `user`."""
    for folder in (user, *user.parents):
        if (folder / "node_modules" / name).is_dir():
            return (folder / "node_modules" / name).resolve()
    found = MODULES / name
    return found.resolve() if found.is_dir() else None


def needed_modules():
    """What npm names as its dependencies, theirs too, and what Node has outside of its library."""
    libraries = Path("/usr/lib/x86_64-linux-gnu").glob("libnode.so.*")
    text = b"".join(one.read_bytes() for one in libraries)
    of_node = {m.decode() for m in re.findall(rb"/usr/share/nodejs/([\w.@-]+)/", text)}
    # columnify's `wcwidth` is called `wcwidth.js` in Debian.
    todo = [(name, MODULES) for name in ("npm", "wcwidth.js", *of_node)]
    found = set()
    while todo:
        name, user = todo.pop()
        folder = find_module(name, user)
        if folder is None or folder in found:
            continue
        found.add(folder)
        about = folder / "package.json"
        known = json.loads(about.read_text()) if about.exists() else {}
        for kind in ("dependencies", "optionalDependencies", "peerDependencies"):
            todo += [(one, folder) for one in known.get(kind, {})]
    return found


def remove_listed():
    for line in Path("/pack/removed").read_text().splitlines():
        if not line.startswith("#"):
            for path in list(Path("/").glob(line)):
                remove(path)


def remove(path):
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def trim_modules():
    needed = needed_modules()
    scoped = [one for one in MODULES.glob("@*/*")]
    for path in scoped + [one for one in MODULES.iterdir() if not one.name.startswith("@")]:
        real = path.resolve()
        if not any(real == one or real in one.parents for one in needed):
            remove(path)


def compile_python():
    for cache in list(Path("/usr").rglob("__pycache__")):
        shutil.rmtree(cache)
    folders = ["/usr/lib/python3", *map(str, Path("/usr/lib").glob("python3.*"))]
    # A module that doesn't compile is one that no command imports (lib2to3's tests).
    subprocess.run(
        ["python3", "-m", "compileall", "-qq", "--invalidation-mode", "unchecked-hash", *folders],
        env={**os.environ, "PYTHONHASHSEED": "0"},
        check=False,
    )


remove_listed()
trim_modules()
compile_python()
