"""`clusterup-node join`: the command line, and the same out of the configuration that a machine was started with."""

from __future__ import annotations

import argparse
import getpass
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path

from bootstrap.constants.paths import KUBELET_CERTIFICATE
from bootstrap.node.joining.join import Wish, join
from bootstrap.node.machine import Machine, say
from bootstrap.protocol.discovery import pins_of, server_url
from bootstrap.protocol.failure import Failure
from bootstrap.protocol.token import token_in

VARIABLE = "CLUSTERUP_TOKEN"
DESCRIPTION = """\
Make this machine a node of a cluster: an agent or, where the token was made for this machine as a server
(`clusterup token create --role server --node NAME`), that server. `clusterup token create` on the operator's machine
prints the command; the same command goes on where an earlier one ended.

The token is read from --token-file, from standard input with --token -, from the environment variable
CLUSTERUP_TOKEN, or asked for on a terminal. Given as --token TOKEN it shows in the list of processes meanwhile.
"""
# Where there is no one to try again, the machine does.
AGAIN_SECONDS = 15.0


def main(arguments: Sequence[str]) -> int:
    """Join as the command line says: 0 done, 1 failed, 2 bad use, 130 interrupted."""
    parser = argparse.ArgumentParser(
        prog="clusterup-node join", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url", metavar="URL", help="a server of the cluster, as in https://192.0.2.11:6443")
    parser.add_argument("--token", help="the token; - reads it from standard input")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="a file that holds the token")
    parser.add_argument(
        "--ca-cert-hash", action="append", default=[], metavar="sha256:HEX", help="the pin of the cluster's authority"
    )
    parser.add_argument("--name", help="what the node is called in the cluster; default: the machine's host name")
    parser.add_argument("--address", help="how the others reach it; default: the address that leads to the server")
    given = parser.parse_args(arguments)
    try:
        wish = Wish(
            server_url(given.url),
            token_in(_token(given.token, given.token_file)),
            pins_of(given.ca_cert_hash),
            given.name or socket.gethostname(),
            given.address,
        )
    except (Failure, OSError) as error:
        return _failed(error, 2)
    if os.geteuid() != 0:
        return _failed(Failure("this changes the machine, for which you have to be root", hint="log in as root"), 2)
    try:
        join(wish, Machine(Path("/"), say))
    except KeyboardInterrupt:
        say("stopped; the same command goes on")
        return 130
    except (Failure, OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError) as error:
        return _failed(error, 1)
    except Exception as error:
        # Whoever answers may say anything: it ends in words, whatever it is.
        return _failed(_own_fault(error), 1)
    return 0


def unattended(path: str) -> int:
    """Join as the machine's configuration says, a JSON file with servers, token, pins, name and address; again and
    again, one server after the other, until it has joined or what is wrong will not pass by itself."""
    try:
        found = json.loads(Path(path).read_text())
        token, pins = token_in(found["token"]), pins_of(found["pins"])
        wishes = [
            Wish(server_url(server), token, pins, found["name"], found.get("address")) for server in found["servers"]
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        hint = "make the stick again: clusterup stick; or join by hand: clusterup-node join"
        return _failed(Failure(f"{path} can't be understood", got=type(error).__name__, hint=hint), 1)
    except Failure as failure:
        return _failed(failure, 1)
    said = ""
    for wish in cycle(wishes):
        try:
            join(wish, Machine(Path("/"), say))
            break
        except Failure as failure:
            if not failure.passing:
                return _failed(failure, 1)
            problem = str(failure)
        except (OSError, ValueError, http.client.HTTPException, subprocess.SubprocessError) as error:
            problem = f"{type(error).__name__}: {error}"
        except Exception as error:
            # One server that says what no one understands keeps no one from asking the next one.
            problem = str(_own_fault(error))
        if Path(KUBELET_CERTIFICATE).exists():
            # It is in: by an earlier round, or because somebody joined it by hand.
            break
        # The same trouble in every round would fill the journal and say nothing new.
        if problem != said:
            say(problem)
            said = problem
        time.sleep(AGAIN_SECONDS)
    return 0


def _token(given: str | None, file: Path | None) -> str:
    if file is not None:
        return file.read_text()
    if given == "-":
        return sys.stdin.readline()
    if given is not None:
        return given
    if VARIABLE in os.environ:
        return os.environ[VARIABLE]
    if sys.stdin.isatty():
        return getpass.getpass("token: ")
    raise Failure("no token was given", hint=f"--token-file FILE, --token - or the variable {VARIABLE}")


def _own_fault(error: Exception) -> Failure:
    """What no one expected: an error in the agent, or an answer that it was not made for."""
    return Failure(
        "an error in clusterup itself",
        got=f"{type(error).__name__}: {error}",
        hint="try again, or another server of the cluster; if it stays, report it with these lines",
    )


def _failed(error: Exception, code: int) -> int:
    text = str(error) if isinstance(error, Failure) else f"{type(error).__name__}: {error}"
    say(text)
    return code
