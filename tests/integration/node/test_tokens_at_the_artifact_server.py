"""Which tokens the server of artifacts lets in, and what each of them costs the API server: what is made up costs it
nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from bootstrap.pki.token import new_token
from bootstrap.protocol.discovery import CLUSTER_INFO
from bootstrap.protocol.token import Token
from bootstrap.spec.artifacts import QUESTION
from tests.helpers.daemons import wait_for
from tests.integration.node.artifact_server import TOKEN, ArtifactServer, Cluster, serving, sha256

CONTENT = b"the payload " * 1000
PATH = f"/artifacts/{sha256(CONTENT)}"
ONE_LOOK = {"refresh": 3600.0, "stale": 7200.0, "remember": 3600.0}
OFTEN = {"refresh": 0.1, "stale": 7200.0, "remember": 0.1}
NEW = Token("zyxwvu", "0123456789abcdef")


@pytest.fixture
def cluster(tmp_path: Path) -> Cluster:
    return Cluster(tmp_path)


@contextmanager
def server(cluster: Cluster, **times: float) -> Iterator[ArtifactServer]:
    (cluster.folder / "payload.raw").write_bytes(CONTENT)
    artifacts = {sha256(CONTENT): cluster.folder / "payload.raw"}
    with cluster.serves() as api, serving(cluster.folder, cluster, api, artifacts, times=times) as running:
        yield running


def test_tokens_that_somebody_made_up_cost_the_api_server_nothing(cluster: Cluster) -> None:
    with server(cluster, **ONE_LOOK) as running:
        made_up = [new_token().reveal() for _ in range(100)]
        made_up += [f"{TOKEN.id}.{'b' * 16}", TOKEN.reveal().upper(), f"{TOKEN.reveal()}x", "a b", "x" * 5000]
        for token in made_up:
            status, said = running.get(PATH, token)
            assert status == 401
            assert said.startswith(b"the cluster knows no such token; one that was made in the last 3600 s may not be")
        assert cluster.asked == [CLUSTER_INFO]
        assert "Traceback" not in running.said


def test_a_good_token_costs_the_api_server_one_question_for_a_while(cluster: Cluster) -> None:
    with server(cluster, **ONE_LOOK) as running:
        for _ in range(20):
            assert running.get(PATH) == (200, CONTENT)
    assert Counter(cluster.asked) == {CLUSTER_INFO: 1, QUESTION: 1}


def test_a_token_whose_group_may_not_join_is_refused(cluster: Cluster) -> None:
    cluster.question = 403
    with server(cluster, **ONE_LOOK) as running:
        assert running.get(PATH) == (403, b"the API server does not let this token in\n")


def test_a_revoked_token_is_refused_after_the_next_look(cluster: Cluster) -> None:
    with server(cluster, **{**OFTEN, "remember": 3600.0}) as running:
        assert running.get(PATH) == (200, CONTENT)
        cluster.signed_with = ()
        wait_for(lambda: running.get(PATH)[0] == 401, "the end of the token")


def test_a_new_token_is_known_after_the_next_look(cluster: Cluster) -> None:
    with server(cluster, **OFTEN) as running:
        assert running.get(PATH, NEW.reveal())[0] == 401
        cluster.signed_with = (TOKEN, NEW)
        wait_for(lambda: running.get(PATH, NEW.reveal()) == (200, CONTENT), "the new token")


def test_what_the_api_server_said_in_trouble_is_not_remembered_for_long(cluster: Cluster) -> None:
    cluster.question = 500
    with server(cluster, **{**OFTEN, "remember": 3600.0}) as running:
        assert running.get(PATH) == (503, b"the API server of this node says 500\n")
        cluster.question = 200
        wait_for(lambda: running.get(PATH) == (200, CONTENT), "the API server's yes")


def test_tokens_that_were_known_long_ago_let_no_one_in(cluster: Cluster) -> None:
    with ExitStack() as still, ExitStack() as api:
        port = api.enter_context(cluster.serves())
        times = {"refresh": 0.1, "stale": 0.5, "remember": 3600.0}
        running = still.enter_context(serving(cluster.folder, cluster, port, {}, times=times))
        api.close()
        refusal = (503, b"the API server of this node does not answer\n")
        wait_for(lambda: running.get(PATH) == refusal, "an end to what was known")
