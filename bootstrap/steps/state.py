"""What the operator's machine keeps of a cluster: keys, identities, pinned host keys, the journal and the lock.

All of it below the XDG state folder, readable by its owner alone.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bootstrap.engine.lock import file_lock
from bootstrap.locks import waiting_lock
from bootstrap.paths import state_dir
from bootstrap.pki.sshkeys import SshKey, kept_ssh_key
from bootstrap.pki.store import read_if_there, write_private
from bootstrap.steps.identity import NodeIdentity, kept_id, kept_identity
from bootstrap.transport.hostkeys import HostKeys

LIVE = "live"
INSTALLED = "installed"
# A server that was off for longer than that many changes is taken for one that another operator wrote to.
REMEMBERED_HANDOVERS = 100
REMEMBERED_LIVES = 100


@dataclass(frozen=True)
class ClusterState:
    """The folder of one cluster; everything in it is made when it is first asked for."""

    folder: Path

    @property
    def cluster_id(self) -> str:
        return kept_id(self.folder / "cluster-id")

    @property
    def ssh_key_file(self) -> Path:
        return self.folder / "ssh" / "id_ed25519"

    @property
    def ssh_key(self) -> SshKey:
        """The operator's own key, which every installed node lets in."""
        return kept_ssh_key(self.ssh_key_file)

    @property
    def host_keys(self) -> HostKeys:
        return HostKeys(self.folder / "hostkeys.json")

    @property
    def encryption_key(self) -> Path:
        """Where the key is kept that Secrets are encrypted with in etcd."""
        return self.folder / "encryption-key"

    @property
    def pki_folder(self) -> Path:
        return self.folder / "pki"

    @property
    def bundle_folder(self) -> Path:
        """Where an adopted cluster's state says which bundle its nodes are made of; the files are not in it."""
        return self.folder / "bundle"

    @property
    def keys_lock(self) -> Path:
        """Held while keys are made or replaced: two that begin at once must not each make an authority."""
        return self.folder / "keys.lock"

    @property
    def journal(self) -> Path:
        return self.folder / "journal.jsonl"

    @property
    def roll(self) -> Path:
        """Who was applied until they have left (see `bootstrap.steps.roll`)."""
        return self.folder / "roll.json"

    @property
    def lock(self) -> Path:
        return self.folder / "lock"

    @property
    def founded_note(self) -> Path:
        return self.folder / "etcd-founded"

    @property
    def founded(self) -> bool:
        """Whether the cluster's etcd was founded from this machine before."""
        return self.founded_note.exists()

    def note_founded(self) -> None:
        """Remember that etcd has been founded: it must not be founded a second time."""
        if not self.founded:
            write_private(self.founded_note, b"")

    @property
    def handovers(self) -> list[str]:
        """SHA-256 of the handover files that were written from here or adopted, the newest last."""
        return self._handovers.read_text().split() if self._handovers.exists() else []

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

    def forget_life(self) -> None:
        """The cluster is no more: forget its authorities and what it was. What leads into its nodes stays, they may be
        part of another life of it; no certificate of this one will be worth anything there."""
        with waiting_lock(self.keys_lock):
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
            for note in (self._handovers, self.founded_note, self.ending_note, self.roll):
                note.unlink(missing_ok=True)

    @property
    def past_lives(self) -> list[str]:
        """SHA-256 of the authorities' certificates (ca.crt) of lives of this cluster that have ended, the newest
        last."""
        return self._past_lives.read_text().split() if self._past_lives.exists() else []

    @property
    def _past_lives(self) -> Path:
        return self.folder / "past-lives"

    def forget_all_but_the_journal(self) -> None:
        """The cluster is no more, nor are its nodes: what happened is all that is still told of it."""
        # What leads into the nodes goes first: `known` says no from then on.
        for path in [self.ssh_key_file, *sorted(self.folder.iterdir())]:
            if path in (self.journal, self.lock):
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

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
        """Remember that the micro OS was put on a node."""
        write_private(self._installed_note(node), b"")
        self._wiped_note(node).unlink(missing_ok=True)

    def was_installed(self, node: str) -> bool:
        """Whether the micro OS was put on the node from this machine before."""
        return self._installed_note(node).exists()

    def _installed_note(self, node: str) -> Path:
        return self.folder / "nodes" / node / "installed"

    def identity(self, node: str) -> NodeIdentity:
        return kept_identity(self.folder / "nodes" / node)


def state_folder(cluster: str) -> Path:
    """Where the state of the cluster of that name is, or would be."""
    return state_dir() / "clusters" / cluster


def forget_cluster(cluster: str, machines: Mapping[str, str | None]) -> bool:
    """Remove the state of a cluster that ran on `machines` (the public host keys of their live environments, by name,
    None for one that nobody reached over SSH) and on no other: their end is its end.

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
        if any(node not in machines or keys.get(LIVE) != machines[node] for node, keys in known.items()):
            return False
        folder.rename(going)
        shutil.rmtree(going)
    return True


def cluster_state(cluster: str) -> ClusterState:
    """The state of the cluster of that name."""
    folder = state_folder(cluster)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return ClusterState(folder)
