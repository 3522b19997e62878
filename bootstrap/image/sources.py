"""Where Kubernetes comes from: its project, Debian's source package, or a folder."""

from __future__ import annotations

from dataclasses import dataclass

from bootstrap.errors import BadUse, ClusterupError
from bootstrap.image.architecture import Architecture
from bootstrap.image.kubernetes_debian import build_kubernetes
from bootstrap.image.programs import STEP, More, Programs, own_programs, require_programs
from bootstrap.image.trees import Log
from bootstrap.image.upstream.table import read_table
from bootstrap.image.versions import is_of, minor_of
from bootstrap.paths import expanded
from bootstrap.releases import DEBIAN_KUBERNETES

AUTO, DEBIAN, UPSTREAM = "auto", "debian", "upstream"
UNSUPPORTED = f"Debian's Kubernetes {DEBIAN_KUBERNETES} has had no support since 2022: it is for trying out"


@dataclass(frozen=True, slots=True)
class Source:
    """Where Kubernetes comes from: "auto", "debian", "upstream", or a folder with binaries. `versions` are releases, as
    in 1.36.2, or minor versions for the newest of theirs, as in 1.36; none at all for the newest that is supported."""

    kind: str = AUTO
    versions: tuple[str, ...] = ()


def check_source(source: Source) -> None:
    """Look at what a person asked for before anything is built. Raises BadUse for a source that is none, for a release
    that is none or not supported, and for one that the source does not have."""
    from bootstrap.image.upstream.fetch import wanted_release

    if not source.kind:
        raise BadUse("the source of Kubernetes is empty", step=STEP, hint="auto, debian, upstream, or a folder's path")
    for version in source.versions:
        require_supported(wanted_release(version))
        if source.kind == UPSTREAM or (source.kind == AUTO and not is_of(DEBIAN_KUBERNETES, version)):
            _require_row(wanted_release(version))
    if source.kind in (AUTO, UPSTREAM):
        return
    if len(source.versions) > 1:
        raise BadUse(
            f"{_named(source.kind)} has one release of Kubernetes",
            step=STEP,
            got=", ".join(source.versions),
            hint="several releases come with --source upstream",
        )
    if source.kind == DEBIAN:
        for version in source.versions:
            _require_release(DEBIAN, DEBIAN_KUBERNETES, version)
        return
    if "/" not in source.kind and not expanded(source.kind).is_dir():
        raise BadUse(
            f"there is no source {source.kind}",
            step=STEP,
            hint="auto, debian, upstream, or the path of a folder with Kubernetes' binaries, as in ./kubernetes",
        )
    require_programs(expanded(source.kind))


def supported_minors() -> tuple[str, ...]:
    """The minor versions of Kubernetes that nodes can be made of, the newest first."""
    return (*read_table().minors, minor_of(DEBIAN_KUBERNETES))


def require_supported(release: str) -> None:
    """Raise BadUse for a release of Kubernetes, or a minor version, that is not supported."""
    if minor_of(release) not in supported_minors():
        raise BadUse(
            f"Kubernetes {minor_of(release)} is not one that clusterup supports",
            step=STEP,
            got=f"supported: {', '.join(supported_minors())}",
            hint="use one of them (docs/kubernetes.md), or another version of clusterup",
        )


def _require_row(release: str) -> None:
    if minor_of(release) not in read_table().minors:
        raise BadUse(
            f"Kubernetes {release} is not taken from its project",
            step=STEP,
            got=f"from there: {', '.join(read_table().minors)}",
            hint=f"Debian has {DEBIAN_KUBERNETES}: --source debian",
        )


def programs_of(source: str, wanted: str | None, architecture: Architecture, log: Log) -> Programs:
    """The programs for that architecture that a payload is made of, fetched or built where need be; `wanted` is a
    release or a minor version, None for the newest that is supported. Raises BadUse where the source does not have it,
    ClusterupError where it can't be had."""
    if source == AUTO:
        return _whichever_is_reached(wanted, architecture, log)
    if source == UPSTREAM:
        return _from_upstream(wanted or read_table().newest, architecture, log)
    if source == DEBIAN:
        _require_release(DEBIAN, DEBIAN_KUBERNETES, wanted)
        return _from_debian(architecture, log)
    programs = own_programs(expanded(source), architecture, log)
    _require_release(source, programs.release, wanted)
    require_supported(programs.release)
    return programs


def _whichever_is_reached(wanted: str | None, architecture: Architecture, log: Log) -> Programs:
    from bootstrap.image.upstream.fetch import kept_release, why_not_reached

    if wanted is not None and is_of(DEBIAN_KUBERNETES, wanted):
        log(f"Kubernetes {wanted} is Debian's")
        return _from_debian(architecture, log)
    minor = read_table().newest if wanted is None else minor_of(wanted)
    why = why_not_reached(minor)
    if why is None:
        log("Kubernetes comes from its project, which is reached")
        return _from_upstream(wanted or minor, architecture, log)
    kept = kept_release(wanted or minor, architecture.name)
    if kept is not None:
        log(f"Kubernetes {kept} was fetched from its project before; now that is not reached ({why})")
        return _from_upstream(kept, architecture, log)
    if wanted is not None:
        raise ClusterupError(
            f"Kubernetes {wanted} can't be had",
            step=STEP,
            tried="ask its project's server, and look for what was fetched before",
            got=why,
            hint="check the network and the proxy (HTTPS_PROXY), name a mirror (CLUSTERUP_MIRROR) or a folder with the "
            "binaries (--source FOLDER)",
        )
    log(f"Kubernetes comes from Debian: its project is not reached ({why})")
    return _from_debian(architecture, log)


def _from_debian(architecture: Architecture, log: Log) -> Programs:
    log(UNSUPPORTED)
    return Programs(*build_kubernetes(architecture, log))


def _from_upstream(wanted: str, architecture: Architecture, log: Log) -> Programs:
    from bootstrap.image.upstream.fetch import fetch_components, fetch_kubernetes, release_of

    release = release_of(wanted, log)
    kubernetes = fetch_kubernetes(release, architecture.name, log)
    fetched = fetch_components(minor_of(release), architecture.name, log)
    return Programs(kubernetes, release, {name: More(*found) for name, found in fetched.items()})


def _require_release(source: str, found: str, wanted: str | None) -> None:
    if wanted is None or is_of(found, wanted):
        return
    raise BadUse(
        f"{_named(source)} has no Kubernetes {wanted}",
        step=STEP,
        got=f"Kubernetes {found} there",
        hint=f"--source upstream --version {wanted}, or a folder with its binaries",
    )


def _named(source: str) -> str:
    return "Debian" if source == DEBIAN else source
