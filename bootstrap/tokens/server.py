"""What a server's token opens: the cluster's handover file, sealed for the token, in a Secret that its holder reads.

The bootstrap Secret owns all of it: what the token cleaner or anybody else takes away takes the rest with it.
Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/owners-dependents/
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bootstrap.clients.kubernetes import KubeClient
from bootstrap.constants.tokens import TOKENS_NAMESPACE
from bootstrap.errors import ClusterupError, Refused
from bootstrap.machine.objects import Manifest
from bootstrap.pki.sealed import seal
from bootstrap.protocol.token import Token
from bootstrap.tokens.rbac import delete_secret_for_holder, secret_for_holder

DEFAULT_LIFE = timedelta(minutes=15)
LONGEST_LIFE = timedelta(hours=1)
# The key of the sealed file in its Secret.
HANDOVER_KEY = "handover"
# The API server takes 1 MiB of data in a Secret.
# Source: https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size
LARGEST = 1 << 20


def server_secret_name(token_id: str) -> str:
    """The name of the Secret that holds the sealed handover file, and of the Role and RoleBinding that open it."""
    return f"clusterup-server-{token_id}"


def server_token_objects(token: Token, bootstrap_secret: Mapping[str, Any], handover: bytes) -> tuple[Manifest, ...]:
    """The Secret with the handover file, and what lets exactly the token's holder get exactly that Secret.

    Raises ClusterupError for a file that no Secret takes.
    """
    name, sealed = server_secret_name(token.id), seal(handover, token)
    if len(sealed) > LARGEST:
        raise ClusterupError(
            "the cluster's handover file is too large for a token",
            step="token",
            tried="put it into a Secret, compressed",
            got=f"{len(sealed)} bytes, and {LARGEST} are possible",
            hint="let the server join from the inventory: add it there, and `clusterup apply`",
        )
    return secret_for_holder(name, token.id, {HANDOVER_KEY: sealed}, ["get"], bootstrap_secret)


def claim_server_token(api: KubeClient, token_id: str) -> None:
    """Use a server's token up: of several that come with the same one, one gets past here. Called with the cluster's
    own keys, when the handover file was read and before anything is changed with it.

    Raises Refused where the token was used, revoked or over by now, KubeError.
    """
    first = api.delete("Secret", f"bootstrap-token-{token_id}", TOKENS_NAMESPACE)
    delete_server_objects(api, token_id)
    if not first:
        raise Refused(
            "this token was used by somebody else just now, or revoked",
            step="token",
            tried=f"use up the token {token_id}",
            got="it is not there any more",
            hint="find out who used it: its holder has the cluster's keys. If it was you, make another token",
        )


def delete_server_objects(api: KubeClient, token_id: str) -> bool:
    """Delete what a server's token opens. Whether there was any. Raises KubeError."""
    return delete_secret_for_holder(api, server_secret_name(token_id))
