"""The host closed to containers: iptables rules for every bridge of ours, whatever apps come and go.

Our bridges share a name prefix that no other interface has, so one wildcard rule covers the bridges of all apps,
those still to come included. Connections from the host (proxy, probe) pass: their replies are ESTABLISHED.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network
from pathlib import Path

import structlog

from core.errors import Unavailable
from runtime.marks import Marks

log = structlog.get_logger()
METADATA = "169.254.0.0/16"
RESOLVERS = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
ESTABLISHED = "-m conntrack --ctstate RELATED,ESTABLISHED"
REJECT = "-j REJECT --reject-with icmp-port-unreachable"
REJECT6 = "-j REJECT --reject-with icmp6-port-unreachable"
PARENTS = {"iptables": {"IN": "INPUT", "OUT": "DOCKER-USER"}, "ip6tables": {"IN": "INPUT", "OUT": "FORWARD"}}


class Firewall:
    """The rules of one installation whose apps live in `subnets`."""

    def __init__(self, installation: str, subnets: IPv4Network) -> None:
        self.marks = Marks(installation)
        self.subnets = subnets

    def assert_rules(self) -> None:
        """Make the rules stand as they should; changes nothing when they do. Unavailable when that fails."""
        for program in programs():
            present = run([program, "-w", "-S"]).splitlines()
            if not self.stands(program, present):
                self.write(program, present)
                log.info("firewall rules written", program=program)

    def remove_rules(self) -> None:
        """Remove every rule and chain of this installation."""
        for program in programs():
            present = run([program, "-w", "-S"]).splitlines()
            for kind, parent in PARENTS[program].items():
                for _ in range(present.count(self.jump(kind, parent))):
                    run([program, "-w", "-D", *self.jump(kind, parent).split()[1:]])
                if f"-N {self.chain(kind)}" in present:
                    run([program, "-w", "-F", self.chain(kind)])
                    run([program, "-w", "-X", self.chain(kind)])

    def stands(self, program: str, present: Sequence[str]) -> bool:
        def body(lines: Sequence[str], kind: str) -> list[str]:
            return [line for line in lines if line.startswith(f"-A {self.chain(kind)} ")]

        wanted = self.rules(program)
        return all(
            self.jump(kind, parent) in present and body(present, kind) == body(wanted, kind)
            for kind, parent in PARENTS[program].items()
        )

    def write(self, program: str, present: Sequence[str]) -> None:
        # One transaction: naming a chain empties it, so that it is refilled without a moment of being open.
        chains = PARENTS[program]
        new = [self.jump(kind, parent) for kind, parent in chains.items()]
        jumps = [line.replace("-A ", "-I ", 1) for line in new if line not in present]
        heads = [f":{self.chain(kind)} - [0:0]" for kind in chains]
        text = "\n".join(["*filter", *heads, *self.rules(program), *jumps, "COMMIT", ""])
        run([f"{program}-restore", "-w", "--noflush"], text)

    def chain(self, kind: str) -> str:
        return f"{self.marks.chain}-{kind}"

    def jump(self, kind: str, parent: str) -> str:
        return f"-A {parent} -i {self.marks.bridges}+ -m comment --comment {self.marks.prefix} -j {self.chain(kind)}"

    def rules(self, program: str) -> list[str]:
        """Our chains' rules, written as iptables itself prints them."""
        inward, outward = f"-A {self.chain('IN')}", f"-A {self.chain('OUT')}"
        if program == "ip6tables":
            return [f"{inward} {REJECT6}", f"{outward} {REJECT6}"]
        return [
            f"{inward} {ESTABLISHED} -j ACCEPT",
            *names(inward, "ACCEPT"),
            f"{inward} {REJECT}",
            f"{outward} {ESTABLISHED} -j RETURN",
            *names(outward, "RETURN"),
            f"{outward} -d {METADATA} {REJECT}",
            f"{outward} -d {self.subnets} {REJECT}",
        ]


def programs() -> list[str]:
    """The families of addresses this machine has; our networks are IPv4, the other is closed altogether."""
    return ["iptables", "ip6tables"] if Path("/proc/net/if_inet6").exists() else ["iptables"]


def names(chain: str, verdict: str) -> list[str]:
    """Rules that let name lookups through to the host's name servers, which may be the host itself."""
    return [
        f"{chain} -d {server}/32 -p {protocol} -m {protocol} --dport 53 -j {verdict}"
        for server in name_servers()
        for protocol in ("udp", "tcp")
    ]


def name_servers() -> list[str]:
    """IPv4 addresses of the host's name servers; the engine itself asks those on loopback."""
    lines = [line.split() for path in RESOLVERS if path.exists() for line in path.read_text().splitlines()]
    found = {fields[1] for fields in lines if len(fields) > 1 and fields[0] == "nameserver"}
    return sorted(server for server in found if outside(server))


def outside(server: str) -> bool:
    try:
        return not IPv4Address(server).is_loopback
    except AddressValueError:
        return False


def run(command: list[str], text: str = "") -> str:
    """The output of one firewall command."""
    try:
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=30, check=True)
    except FileNotFoundError as error:
        raise Unavailable(f"{command[0]} is not installed", "Install the package iptables.") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{command[0]} does not answer", "Another program may hold the firewall's lock.") from error
    except subprocess.CalledProcessError as error:
        evidence = error.stderr.strip()
        raise Unavailable("the firewall rules could not be set", "Rules need root.", evidence=evidence) from error
    return done.stdout
