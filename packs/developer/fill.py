#!/usr/bin/env python3
"""Fills /srv of the pack `developer` with what its commands work on. Runs inside the image's root.

Every byte comes from the installed packages or from a generator with a fixed seed, and no time of
the build gets in.
"""

import base64
import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
from pathlib import Path

EPOCH = int(os.environ["SOURCE_DATE_EPOCH"])
SRV = Path("/srv")
WORDS = "isolation kernel process guest page table exit fault cgroup namespace image layer socket".split()


def lines(chance, count):
    """Some lines of prose-like text."""
    text = "\n".join(" ".join(chance.choices(WORDS, k=9)) for _ in range(count))
    return (text + "\n").encode()


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())


def add_member(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = len(content), EPOCH, 0o644
    archive.addfile(member, io.BytesIO(content))


def git_repository():
    """A bare repository: 100 commits, each with 20 new files and changes to 5 older ones."""
    chance, stream = random.Random(1), io.BytesIO()
    names = [f"part{n // 50:02}/file{n:04}.txt" for n in range(2000)]
    for commit in range(100):
        message = f"Change {commit + 1}"
        stream.write(
            b"commit refs/heads/main\n"
            + f"committer developer <developer@example.org> {EPOCH + commit} +0000\n".encode()
            + f"data {len(message)}\n{message}\n".encode()
        )
        changed = [chance.choice(names[: commit * 20]) for _ in range(5)] if commit else []
        for name in [*names[commit * 20 : commit * 20 + 20], *changed]:
            content = lines(chance, 40)
            stream.write(f"M 100644 inline {name}\ndata {len(content)}\n".encode() + content)
    path = str(SRV / "repository.git")
    git = ["git", "-C", path, "-c", "pack.threads=1"]
    subprocess.run(["git", "init", "-q", "--bare", "--template=", "-b", "main", path], check=True)
    subprocess.run([*git, "fast-import", "--quiet"], input=stream.getvalue(), check=True)
    subprocess.run([*git, "repack", "-adfq"], check=True)
    subprocess.run([*git, "pack-refs", "--all"], check=True)


def npm_project():
    """A project that depends on every module of npm's, each as a tarball in npm's cache."""
    locked = {}
    for about in sorted(Path("/usr/share/nodejs").glob("**/package.json")):
        module = json.loads(about.read_text())
        name, version = module.get("name"), module.get("version")
        # Only whole modules, not those inside of another one.
        folder = about.parent.relative_to("/usr/share/nodejs")
        if not name or not version or name == "npm" or name != str(folder):
            continue
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
            for file in sorted(about.parent.rglob("*")):
                if file.is_file() and not file.is_symlink():
                    inside = file.relative_to(about.parent)
                    add_member(archive, f"package/{inside}", file.read_bytes())
        tarball = gzip.compress(packed.getvalue(), mtime=0)
        digest = hashlib.sha512(tarball)
        key = digest.hexdigest()
        # npm's cache finds what a lock file names by its digest alone.
        content = SRV / "npm-cache/_cacache/content-v2/sha512"
        write(content / key[:2] / key[2:4] / key[4:], tarball)
        locked[name] = {
            "version": version,
            "resolved": f"https://packages.example.org/{name}/-/{version}.tgz",
            "integrity": "sha512-" + base64.b64encode(digest.digest()).decode(),
        }
    wanted = {name: entry["version"] for name, entry in sorted(locked.items())}
    project = {"name": "project", "version": "1.0.0", "private": True, "dependencies": wanted}
    packages = {"": {key: project[key] for key in ("name", "version", "dependencies")}}
    packages |= {f"node_modules/{name}": entry for name, entry in sorted(locked.items())}
    lock = {"name": "project", "version": "1.0.0", "lockfileVersion": 3, "requires": True}
    write(SRV / "project/package.json", json.dumps(project, indent=2))
    write(SRV / "project/package-lock.json", json.dumps(lock | {"packages": packages}, indent=2))


def c_program():
    """A main file and ten others, with a makefile."""
    names = [f"part{n}" for n in range(10)]
    for name in names:
        functions = [
            f"""
static unsigned {name}_{n}(const char *text, unsigned seed)
{{
    char copy[64];
    unsigned sum = seed;
    snprintf(copy, sizeof copy, "%s-{n}-%u", text, seed);
    for (size_t at = 0; at < strlen(copy); at++) {{
        sum = sum * {2 * n + 31}u + (unsigned char)copy[at];
        if (isupper((unsigned char)copy[at]))
            sum ^= {n + 1}u << (at % 16);
    }}
    return sum;
}}
"""
            for n in range(20)
        ]
        calls = "".join(f"    sum += {name}_{n}(text, sum);\n" for n in range(20))
        write(
            SRV / f"program/{name}.c",
            "#include <ctype.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
            '#include "parts.h"\n'
            + "".join(functions)
            + f"\nunsigned {name}(const char *text)\n{{\n    unsigned sum = 0;\n{calls}    return sum;\n}}\n",
        )
    header = "".join(f"unsigned {name}(const char *text);\n" for name in names)
    write(SRV / "program/parts.h", header)
    calls = "".join(f'    printf("%u\\n", {name}(argc > 1 ? argv[1] : "none"));\n' for name in names)
    main = f'#include <stdio.h>\n#include "parts.h"\n\nint main(int argc, char **argv)\n{{\n{calls}    return 0;\n}}\n'
    write(SRV / "program/main.c", main)
    objects = " ".join(f"{name}.o" for name in ["main", *names])
    makefile = f"CFLAGS = -O2 -Wall\nprogram: {objects}\n\tgcc -o $@ $^\n{objects}: parts.h\n"
    write(SRV / "program/Makefile", "CC = gcc\n" + makefile)


def sql():
    """The same table, filled in one transaction or in as many as there are rows."""
    table = "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, price INTEGER);\n"
    insert = "INSERT INTO item (name, price) VALUES ('item {0}', {0});\n"
    one = "".join(insert.format(n) for n in range(10000))
    write(SRV / "sqlite/one.sql", f"{table}BEGIN;\n{one}COMMIT;\n")
    write(SRV / "sqlite/many.sql", table + "".join(insert.format(n) for n in range(500)))


def small_files():
    """An archive of 20,000 files of some 300 bytes; one in a thousand has the word `needle`."""
    chance = random.Random(2)
    with tarfile.open(SRV / "files.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for n in range(20000):
            content = lines(chance, 5) + (b"needle\n" if n % 1000 == 0 else b"")
            add_member(archive, f"files/{n // 100:03}/{n:05}.txt", content)


def main():
    git_repository()
    npm_project()
    c_program()
    sql()
    small_files()
    (SRV / "wheels").symlink_to("/usr/share/python-wheels")
    write(SRV / "www/index.html", "<!doctype html><title>ready</title><p>ready\n")


main()
