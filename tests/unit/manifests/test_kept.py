"""What was brought into a cluster is kept there, in a ConfigMap."""

from __future__ import annotations

import dataclasses

import pytest

from bootstrap.errors import ClusterupError
from bootstrap.manifests.kept import Kept, KeptObject, config_map, kept_in

WEB = KeptObject("apps/v1", "Deployment", "default", "web")
SHOP = KeptObject("v1", "Namespace", "", "shop")


def test_what_is_kept_is_read_as_it_was_written() -> None:
    kept = Kept((WEB, SHOP), {"apps": "5" * 64})
    assert kept_in(config_map(kept)) == kept
    assert kept_in(None) == Kept()


def test_an_object_is_kept_once_whatever_the_version_of_its_api() -> None:
    later = dataclasses.replace(WEB, api_version="apps/v2")
    found = Kept((WEB, SHOP)).with_objects([later])
    assert found.objects == (later, SHOP)


@pytest.mark.parametrize("objects", ["[", "[5]", '[["v1"]]', "{}5", '"text"', "[" * 100_000])
def test_a_damaged_one_is_said_with_how_to_go_on(objects: str) -> None:
    with pytest.raises(ClusterupError) as caught:
        kept_in({"data": {"objects": objects}})
    assert caught.value.final
    assert "kubectl -n kube-system delete configmap clusterup-manifests" in (caught.value.hint or "")
