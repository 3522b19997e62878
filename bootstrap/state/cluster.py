"""What the operator's machine keeps of a cluster: keys, identities, pinned host keys, the journal and the lock.

All of it below the XDG state folder, readable by its owner alone. Reading changes nothing: what is missing and can be
made is made in memory, and `keep_made` writes it.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from bootstrap.engine.journal import rotated
from bootstrap.engine.lock import file_lock
from bootstrap.errors import BadUse, Refused
from bootstrap.image.bundle import MANIFEST
from bootstrap.locks import waiting_lock
from bootstrap.paths import state_dir
from bootstrap.pki.encryption import checked_encryption_key, new_encryption_key
from bootstrap.pki.identity import NodeIdentity, new_id
from bootstrap.pki.parts import check_part
from bootstrap.pki.sshkeys import SshKey, new_ssh_key, public_line
from bootstrap.pki.store import ClusterPki, kept_pki, made_public, read_if_there, read_note, strangers_in
from bootstrap.pki.vault import UNFINISHED, Vault
from bootstrap.state.damage import AS_IT_IS, FROM_A_COPY, FROM_A_SERVER, MADE_ANEW, damaged, lost
from bootstrap.transport.hostkeys import HostKeys, PassingHostKeys
from bootstrap.written import write_private

LIVE = "live"
INSTALLED = "installed"
# A server that was off for longer than that many changes is taken for one that another operator wrote to.
REMEMBERED_HANDOVERS = 100
REMEMBERED_LIVES = 100
# What the files of a state mean. Another number says that a newer version wrote them.
FORMAT = 1
CLUSTER_ID = "cluster-id"
SSH_KEY = "ssh/id_ed25519"
ENCRYPTION_KEY = "encryption-key"
MACHINE_ID = "machine-id"
HOST_KEY = "ssh_host_ed25519_key"


@dataclass(frozen=True)
class ClusterState:
    """The folder of one cluster; `pins` is what keeps the host keys that are believed. What is read is checked: Refused
    names the file that can't be used and the way back, BadUse one that can't be read at all."""

    folder: Path
    pins: Callable[[Path], HostKeys] = HostKeys

    @cached_property
    def vault(self) -> Vault:
        """The cluster's secrets, with those that are not written yet."""
        return Vault(self.folder, self.keys_lock)

    def keep_made(self) -> None:
        """Write the keys, certificates and identities that were made, and the format of the state. Raises Refused where
        another clusterup was quicker."""
        self.vault.write()
        self._forgetting.unlink(missing_ok=True)
        if read_if_there(self._format) is None:
            write_private(self._format, f"{FORMAT}\n".encode())

    @property
    def cluster_id(self) -> str:
        return self._kept(CLUSTER_ID, new_id, self.reached).decode().strip()

    @property
    def ssh_key_name(self) -> str:
        return SSH_KEY

    @property
    def ssh_key_file(self) -> Path:
        return self.folder / self.ssh_key_name

    @property
    def ssh_key(self) -> SshKey:
        """The operator's own key, which every installed node lets in."""
        return self._ssh_key(self.ssh_key_name, self.reached)

    @cached_property
    def host_keys(self) -> HostKeys:
        return self.pins(self.folder / "hostkeys.json")

    @property
    def encryption_key(self) -> str:
        """The key that Secrets are encrypted with in etcd, in base64. Raises Refused where the cluster was founded and
        the key is lost: with another one, no Secret that is in etcd could be read."""
        return checked_encryption_key(self._kept(ENCRYPTION_KEY, new_encryption_key, self.founded))

    @property
    def pki(self) -> ClusterPki:
        """The cluster's authorities. Raises Refused where the cluster was founded and one of them is lost."""
        founded = self.founded
        found = kept_pki(lambda name, make: self._kept(name, make, founded))
        strangers = strangers_in(found)
        for public, private in strangers.items():
            if founded:
                both = [self.folder / name for name in (private, public)]
                raise damaged(both[0], f"it does not belong to {both[1].name} beside it", self._way_back, *both[1:])
            # Nothing was made with either yet: the private one decides.
            self.vault.make(public, made_public(public, self.vault.read(private) or b""))
        return self.pki if strangers else found

    def _kept(self, name: str, make: Callable[[], bytes], there: bool) -> bytes:
        """What the file holds; made where there is none, unless it has to be `there`."""
        found = self.vault.read(name)
        if found is None:
            if there:
                raise lost(self.folder / name, self._way_back)
            return self.vault.keep(name, make)
        try:
            check_part(name, found)
        except ValueError as error:
            raise damaged(self.folder / name, str(error), self._way_back if there else MADE_ANEW) from None
        return found

    def _ssh_key(self, name: str, there: bool) -> SshKey:
        def make() -> bytes:
            made = new_ssh_key()
            # For people and for agents; nothing here reads it.
            self.vault.make(f"{name}.pub", f"{made.public}\n".encode())
            return made.private

        private = self._kept(name, make, there)
        return SshKey(private, public_line(private))

    @property
    def _way_back(self) -> str:
        return FROM_A_SERVER if self.founded else FROM_A_COPY

    @property
    def pki_folder(self) -> Path:
        return self.folder / "pki"

    @property
    def bundle_folder(self) -> Path:
        """Where the state says which bundle the cluster's nodes are made of; the files are not in it."""
        return self.folder / "bundle"

    @property
    def network_note(self) -> Path:
        """Which networks the cluster has (see `bootstrap.phases.pinned`)."""
        return self.folder / "network.json"

    @property
    def keys_lock(self) -> Path:
        """Held while keys are written or replaced."""
        return self.folder / "keys.lock"

    @property
    def _format(self) -> Path:
        return self.folder / "format"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def roll(self) -> Path:
        """Who was applied until they have left (see `bootstrap.state.membership`)."""
        return self.folder / "roll.json"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def founded_note(self) -> Path:
        return self.folder / "etcd-founded"

    @property
    def founded(self) -> bool:
        """Whether the cluster's etcd was founded before, as far as is known here."""
        return bool(self.founded_by)

    @property
    def founded_by(self) -> list[Path]:
        """The files that say so: a note, and the handover files of servers, which get them after that."""
        return [path for path in (self.founded_note, self._handovers) if path.exists()]

    @property
    def reached(self) -> bool:
        """Whether something of the cluster is on a machine: what leads there must not be made again."""
        return self.founded or any(self.folder.glob("nodes/*/installed"))

    def note_founded(self) -> None:
        """Remember that etcd has been founded: it must not be founded a second time."""
        if not self.founded_note.exists():
            write_private(self.founded_note, b"")

    @property
    def handovers(self) -> list[str]:
        """SHA-256 of the handover files that were written from here or adopted, the newest last."""
        return self._digests(self._handovers)

    def note_handover(self, sha256: str) -> None:
        """Remember a handover file, so that one that was written from elsewhere is seen to be."""
        kept = [known for known in self.handovers if known != sha256][1 - REMEMBERED_HANDOVERS :]
        write_private(self._handovers, "".join(f"{known}\n" for known in (*kept, sha256)).encode())

    @property
    def _handovers(self) -> Path:
        return self.folder / "handovers"

    @property
    def ending_note(self) -> Path:
        return self.folder / "ending"

    def note_ending(self) -> None:
        """Remember that the cluster is being taken apart, until nothing of its life is kept here."""
        write_private(self.ending_note, b"")

    @property
    def known(self) -> bool:
        """Whether there is what leads into the cluster's nodes."""
        return self.ssh_key_file.exists()

    @property
    def forgotten(self) -> bool:
        """Whether the cluster was taken apart and all that is told of it is what happened. It may have to be forgotten
        once more, where somebody was interrupted."""
        return self.journal.exists() and (self._forgetting.exists() or not any(self._all_but_the_journal()))

    @property
    def _forgetting(self) -> Path:
        return self.folder / "forgetting"

    def _all_but_the_journal(self) -> list[Path]:
        kept = (self.journal, rotated(self.journal), self.lock, self._forgetting)
        return [path for path in sorted(self.folder.iterdir()) if path not in kept]

    def forget_life(self) -> None:
        """The cluster is no more: forget its authorities and what it was. What leads into its nodes stays, they may be
        part of another life of it; no certificate of this one will be worth anything there."""
        with waiting_lock(self.keys_lock):
            (self.folder / UNFINISHED).unlink(missing_ok=True)
            authority = read_if_there(self.pki_folder / "ca.crt")
            if authority is not None:
                ended = [*self.past_lives, hashlib.sha256(authority).hexdigest()][-REMEMBERED_LIVES:]
                write_private(self._past_lives, "".join(f"{digest}\n" for digest in ended).encode())
            # Renamed first: half an authority must not be taken for one.
            going = self.folder / ".pki.removed"
            for folder in (going, self.pki_folder):
                if folder.is_dir():
                    folder.rename(going)
                    shutil.rmtree(going)
            pins = (self.network_note, self.bundle_folder / MANIFEST)
            for note in (self._handovers, self.founded_note, self.ending_note, self.roll, *pins):
                note.unlink(missing_ok=True)

    @property
    def past_lives(self) -> list[str]:
        """SHA-256 of the authorities' certificates (ca.crt) of lives of this cluster that have ended, the newest
        last."""
        return self._digests(self._past_lives)

    def _digests(self, path: Path) -> list[str]:
        found = (read_note(path) or b"").decode("utf-8", "replace").split()
        if not all(re.fullmatch("[0-9a-f]{64}", digest) for digest in found):
            raise damaged(path, "a line of it is not a SHA-256", AS_IT_IS)
        return found

    @property
    def _past_lives(self) -> Path:
        return self.folder / "past-lives"

    def forget_all_but_the_journal(self) -> None:
        """The cluster is no more, nor are its nodes: what happened is all that is still told of it."""
        write_private(self._forgetting, b"")
        # What leads into the nodes goes first: `known` says no from then on.
        for path in [self.ssh_key_file, *self._all_but_the_journal()]:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self._forgetting.unlink()

    def note_wiped(self, node: str) -> None:
        """Remember that a node's disk was erased: it no longer shows the host key of its installed system."""
        write_private(self._wiped_note(node), b"")
        self._installed_note(node).unlink(missing_ok=True)
        self.host_keys.forget(node, INSTALLED)

    def was_wiped(self, node: str) -> bool:
        """Whether the node's disk was erased from this machine, and nothing installed to it since."""
        return self._wiped_note(node).exists()

    def _wiped_note(self, node: str) -> Path:
        return self.folder / "nodes" / node / "wiped"

    def note_installed(self, node: str) -> None:
        """Remember that the micro OS was put on a node, and keep what leads into it."""
        _ = self.ssh_key, self.identity(node)
        self.keep_made()
        write_private(self._installed_note(node), b"")
        self._wiped_note(node).unlink(missing_ok=True)

    def was_installed(self, node: str) -> bool:
        """Whether the micro OS was put on the node from this machine before."""
        return self._installed_note(node).exists()

    def _installed_note(self, node: str) -> Path:
        return self.folder / "nodes" / node / "installed"

    def identity(self, node: str) -> NodeIdentity:
        """Who the node is; made where it is not known yet. Raises Refused where a part of it is lost."""
        names = [f"nodes/{node}/{part}" for part in (MACHINE_ID, HOST_KEY)]
        there = self.was_installed(node) or (self.founded and any((self.folder / name).exists() for name in names))
        try:
            machine_id = self._kept(names[0], new_id, there)
            return NodeIdentity(machine_id.decode().strip(), self._ssh_key(names[1], there))
        except Refused as error:
            if there:
                folder = self.folder / "nodes" / node
                error.hint += f". Where no server has it, the node was never installed: mv {folder} {folder}.damaged"
            raise

    def forget_identity(self, node: str) -> None:
        """Forget who the node is: another machine may come under its name."""
        # First what says that it must be known.
        self._installed_note(node).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "nodes" / node, ignore_errors=True)


def state_folder(cluster: str) -> Path:
    """Where the state of the cluster of that name is, or would be."""
    return state_dir() / "clusters" / cluster


def forget_cluster(cluster: str, machines: Mapping[str, str | None]) -> bool:
    """Remove the state of a cluster that ran on `machines` (the public host keys of their live environments, by name,
    None for one that no one reached over SSH) and on no other: their end is its end. A machine that joined by itself
    has no such key there: it is one of these by its name, where another of the cluster's is one by its key.

    False, and nothing is touched, where there is none or where it knows another machine. Raises Refused while
    clusterup is at work on that cluster.
    """
    folder = state_folder(cluster)
    # Renamed first: an end in the middle of removing leaves nothing that looks like a cluster.
    going = folder.with_name(f".{cluster}.removed")
    if going.is_dir():
        shutil.rmtree(going)
    if not folder.is_dir():
        return False
    state = ClusterState(folder)
    with file_lock(state.lock, f"forget the cluster {cluster}"):
        known = state.host_keys.all_pinned()
        by_key = {node for node, keys in known.items() if LIVE in keys and keys[LIVE] == machines.get(node)}
        by_name = {
            node
            for node, keys in known.items()
            if LIVE not in keys and node in machines and (by_key or machines[node] is None)
        }
        if known.keys() - by_key - by_name:
            return False
        folder.rename(going)
        shutil.rmtree(going)
    return True


def cluster_state(cluster: str) -> ClusterState:
    """The state of the cluster of that name, for whoever changes something. Raises BadUse where a newer version of
    clusterup wrote it."""
    return _understood(ClusterState(state_folder(cluster)))


def state_to_look_at(cluster: str) -> ClusterState:
    """As `cluster_state`, for whoever only looks: which host keys they believe is not kept."""
    return _understood(ClusterState(state_folder(cluster), PassingHostKeys))


def _understood(state: ClusterState) -> ClusterState:
    path = state.folder / "format"
    found = read_note(path)
    text = (found or b"").decode("utf-8", "replace").strip()
    if found is None or text == str(FORMAT):
        return state
    if not text.isdecimal():
        raise damaged(path, "no number", AS_IT_IS)
    raise BadUse(
        "a newer clusterup has written the state of this cluster",
        step="state",
        tried=f"read {path}",
        got=f"format {text[:20]}, this version knows {FORMAT}",
        hint="use that version, or a newer one",
    )
