"""What is wrong on the operator's own machine."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from bootstrap.doctor.findings import HERE, Finding, fault, warning
from bootstrap.host.programs import PROGRAMS, how_to_install, missing
from bootstrap.operations.intent import Intent
from bootstrap.pki.x509 import expires

# What apply wants of this machine; images and labs want more.
WANTED = ("mcopy", "mformat", "ssh")
# Ten years after they were made. To replace one is work that has to be planned.
ENDS_SOON = timedelta(days=365)


def judged_here(intent: Intent, now: datetime) -> Iterator[Finding]:
    """What is wrong with this machine's programs and with what is kept on it."""
    for name in missing(WANTED):
        install = how_to_install([name])
        yield warning(
            HERE,
            "programs",
            f"{name} is missing",
            why=f"it is for {PROGRAMS[name].purpose}",
            mend=f"install it: {' '.join(install)}" if install else f"install the package that brings {name}",
        )
    pki = intent.keys.pki
    authorities = {"the cluster's": pki.ca, "etcd's": pki.etcd, "the front proxy's": pki.front_proxy}
    for whose, authority in authorities.items():
        end = expires(authority.cert_pem)
        if end - now > ENDS_SOON:
            continue
        kind = warning if end > now else fault
        yield kind(
            HERE,
            "authorities",
            f"{whose} authority {'ends within a year' if kind is warning else 'has ended: nothing trusts it any more'}",
            why=f"its certificate is good until {end:%Y-%m-%d}",
            mend="no command replaces an authority yet: make a new cluster beside this one and move what runs, "
            "before it ends",
        )
