#!/usr/bin/env python3
"""Makes an OCI image layout of one layer, on the host.

usage: layout.py LAYER.tar FOLDER EPOCH

<https://github.com/opencontainers/image-spec/blob/v1.1.0/image-layout.md>
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

KIND = "application/vnd.oci.image."


def digest_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def main():
    layer, folder, epoch = sys.argv[1:]
    blobs = Path(folder, "blobs/sha256")
    blobs.mkdir(parents=True)

    def described(kind, digest):
        size = (blobs / digest).stat().st_size
        return {"mediaType": KIND + kind, "digest": f"sha256:{digest}", "size": size}

    def document(kind, value):
        text = json.dumps(value, sort_keys=True).encode()
        digest = hashlib.sha256(text).hexdigest()
        (blobs / digest).write_bytes(text)
        return described(kind, digest)

    digest = digest_of(layer)
    os.rename(layer, blobs / digest)
    path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(int(epoch))),
        "config": {"Env": [path, "HOME=/root", "LANG=C.UTF-8"], "Cmd": ["/bin/bash"], "WorkingDir": "/srv"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": KIND + "manifest.v1+json",
        "config": document("config.v1+json", config),
        "layers": [described("layer.v1.tar", digest)],
    }
    index = {"schemaVersion": 2, "manifests": [document("manifest.v1+json", manifest)]}
    Path(folder, "index.json").write_text(json.dumps(index))
    Path(folder, "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    print(f"layer sha256:{digest}")


main()
