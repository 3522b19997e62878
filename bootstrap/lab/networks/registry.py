"""A lab's registry: Debian's docker-registry, with its images in the lab's folder.

It listens on a socket in that folder and has no network at all. The load balancer leads to it from a port of 127.0.0.1,
for who pushes, and the router from an address of the private network, for the machines: both carry as many connections
as one likes. Source: https://distribution.github.io/distribution/about/configuration/
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from bootstrap.errors import ClusterupError
from bootstrap.lab.machines import process
from bootstrap.lab.machines.disks import ROOM
from bootstrap.lab.machines.qemu import LAB_FOLDER
from bootstrap.lab.spec import REGISTRY_ADDRESS, REGISTRY_PORT, Lab
from bootstrap.lab.tools import ready_tree

REGISTRY_RECORD = "registry.process.json"
REGISTRY_LOG = "registry.log"
REGISTRY_CONFIGURATION = "registry.json"
REGISTRY_SOCKET = "registry.sock"
IMAGES = "registry"
# Where it keeps what is being pushed. No one can go on with that at another registry, not even at the same one once it
# was started again.
UPLOADS = "_uploads"
# The file of a blob, below blobs/sha256/.
LAYER = "data"
# What every HAProxy of a lab begins with.
PROXY_HEAD = """\
global
    maxconn 2000
    nbthread 1

defaults
    mode tcp
    log stdout format raw local0 notice
    timeout connect 10s
"""


def registry_configuration() -> str:
    """The registry's configuration: JSON, which is YAML as well. Plain HTTP; images can be deleted."""
    return json.dumps(
        {
            "version": "0.1",
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": f"{LAB_FOLDER}/{IMAGES}"}, "delete": {"enabled": True}},
            "http": {"net": "unix", "addr": f"{LAB_FOLDER}/{REGISTRY_SOCKET}"},
        },
        indent=1,
    )


def registry_listener(place: str) -> str:
    """HAProxy's section that leads from `place`, as in 127.0.0.1:5000, to the registry's socket."""
    return f"""
listen registry
    bind {place}
    server registry unix@{LAB_FOLDER}/{REGISTRY_SOCKET}
"""


def registry_lines(port: int) -> tuple[str, ...]:
    """How to push to the registry, which listens on `port` of 127.0.0.1, and how machines pull, for a person."""
    return (
        f"The registry speaks plain HTTP. Push to 127.0.0.1:{port}, as in:",
        f"  skopeo copy --dest-tls-verify=false oci:FOLDER:TAG docker://127.0.0.1:{port}/NAME:TAG",
        f"Machines pull the same image as {REGISTRY_ADDRESS}:{REGISTRY_PORT}/NAME:TAG.",
    )


def registry_running(lab: Lab) -> bool:
    """Whether the registry runs."""
    return process.recorded(lab.folder / REGISTRY_RECORD) is not None


def start_registry(lab: Lab) -> None:
    """Start the registry where it does not run. Raises ClusterupError when it does not start."""
    if registry_running(lab):
        # A save that was killed left it standing still.
        process.go_on(lab.folder / REGISTRY_RECORD)
        return
    socket = lab.folder / REGISTRY_SOCKET
    socket.unlink(missing_ok=True)
    (lab.folder / IMAGES).mkdir(mode=0o700, exist_ok=True)
    (lab.folder / REGISTRY_CONFIGURATION).write_text(registry_configuration())
    process.start_in(
        ready_tree(),
        ["docker-registry", "serve", f"{LAB_FOLDER}/{REGISTRY_CONFIGURATION}"],
        folder=lab.folder,
        record=lab.folder / REGISTRY_RECORD,
        log=lab.folder / REGISTRY_LOG,
        options=("--unshare-net",),
    )
    process.wait_ready("the registry", lab.folder, REGISTRY_RECORD, REGISTRY_LOG, socket.exists)


def stop_registry(lab: Lab) -> bool:
    """End the registry. False where it did not run. Raises ClusterupError where it does not end."""
    return process.end(lab.folder / REGISTRY_RECORD, signal.SIGTERM)


def image_files(folder: Path) -> list[Path]:
    """The files of all images in a lab's folder, ordered; none where there is no registry. Nothing of what is being
    pushed."""
    found: list[Path] = []
    for place, folders, files in os.walk(folder / IMAGES):
        folders[:] = [name for name in folders if name != UPLOADS]
        found += [Path(place) / name for name in files]
    return sorted(found)


def copy_images(source: Path, target: Path) -> None:
    """Copy all images from one lab's folder into another, where there is a registry. Nothing of what is being pushed.

    Raises ClusterupError where there is no room.
    """
    if not (source / IMAGES).is_dir():
        return
    try:
        shutil.copytree(source / IMAGES, target / IMAGES, ignore=shutil.ignore_patterns(UPLOADS), copy_function=_copied)
    except shutil.Error as error:
        # One for each file, which may be thousands.
        (_, _, why), *_ = error.args[0]
        full = any(os.strerror(number) in str(why) for number in (errno.ENOSPC, errno.EDQUOT))
        raise ClusterupError(
            "the images of the lab's registry can't be copied",
            step="lab",
            tried=f"copy {source / IMAGES} to {target / IMAGES}",
            got=str(why),
            hint=ROOM if full else "run it again when that is fixed",
        ) from None


def _copied(source: str, target: str) -> None:
    """A file of the registry's. A layer's content never changes under its name: it takes neither time nor room."""
    if Path(source).name == LAYER:
        with suppress(OSError):
            os.link(source, target)
            return
    shutil.copy2(source, target)


def registry_standing_still(lab: Lab) -> AbstractContextManager[None]:
    """The registry, where it runs, writes nothing meanwhile, and goes on afterwards: who pushes waits."""
    return process.standing_still(lab.folder / REGISTRY_RECORD)
