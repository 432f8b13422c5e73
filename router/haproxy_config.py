"""The text of `haproxy.cfg` and `hosts.map`. Pure; every name in it has passed `router/checked.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from router.base import Route
from router.plan import CHECK, HOSTS

API = "api"


@dataclass(frozen=True)
class Frame:
    """What is the same whatever the routes are."""

    bind: str
    http_port: int
    api: str
    """`address:port` of the platform's own server."""
    own_hosts: frozenset[str]
    """They lead to the platform's own server."""
    user: str = ""
    """System user the proxy runs as after it has its sockets; empty: whoever starts it."""


GLOBAL = """\
# Written by the router; changes made by hand are lost.
global
  description {mark}
  maxconn 8000
  no strict-limits
  nbthread 2
  hard-stop-after 1h
{user}
defaults
  mode http
  balance roundrobin
  timeout connect 3s
  timeout client 30s
  timeout server 30s
  timeout queue 30s
  timeout tunnel 1h
  timeout client-fin 30s
  timeout http-request 10s
  timeout http-keep-alive 15s
  # A kept connection to an app may close just as a request is sent on it, and a POST cannot be sent twice.
  option http-server-close
  # After a reload, idle clients finish with an answer instead of a reset.
  option idle-close-on-response
  retries 3
  option redispatch 1
  retry-on conn-failure empty-response
  errorfile 404 404.http
  errorfile 502 502.http
  errorfile 503 503.http
  errorfile 504 504.http

frontend http
  bind {bind}:{http_port}
  # A lookup ends at a zero byte, an app may read on.
  http-request deny deny_status 400 if {{ req.fhdr(host) -m reg [^]A-Za-z0-9.:_[-] }}
  http-request set-var(txn.slot) req.fhdr(host),field(1,:),lower,map({hosts})
  http-request return status 404 default-errorfiles unless {{ var(txn.slot) -m found }}
  # Names with _ too: CGI and WSGI cannot tell them from those with -.
  http-request del-header (?i)^x[-_](forwarded|real[-_]ip) -m reg
  http-request del-header (?i)^(forwarded|proxy)$ -m reg
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto http
  http-request set-header X-Forwarded-Host %[req.fhdr(host)]
  http-request set-header X-Forwarded-Port {http_port}
  http-request disable-l7-retry unless {{ method GET HEAD OPTIONS }}
  use_backend %[var(txn.slot)]

backend api
  errorfile 503 503-api.http
  # A server that is being restarted is waited for, 5 times this long.
  timeout connect 300ms
  retries 5
  # It streams logs, and limits its own requests.
  timeout server 1h
  server api {api}
"""


def config(frame: Frame, slots: int, assigned: Mapping[str, Route]) -> str:
    """`haproxy.cfg` with `slots` backends; `assigned` is slot to route. What drains is left out."""
    return skeleton(frame, slots, mark(frame, slots), assigned)


def mark(frame: Frame, slots: int) -> str:
    """Names everything that cannot be changed at run time: a running proxy with another mark needs a reload."""
    return hashlib.sha256(skeleton(frame, slots, "", {}).encode()).hexdigest()[:16]


def skeleton(frame: Frame, slots: int, mark: str, assigned: Mapping[str, Route]) -> str:
    user = f"  user {frame.user}\n  group {frame.user}\n" if frame.user else ""
    head = GLOBAL.format(mark=mark, user=user, bind=frame.bind, http_port=frame.http_port, api=frame.api, hosts=HOSTS)
    return head + "".join(backend(slot, assigned.get(slot)) for slot in slot_names(slots))


def slot_names(slots: int) -> list[str]:
    return [f"slot{number:04}" for number in range(1, slots + 1)]


def backend(slot: str, route: Route | None) -> str:
    targets = route.targets if route else ()
    servers = [f"  server {one.name} {one.address}:{one.port} {CHECK}\n" for one in targets]
    return f"\nbackend {slot}\n" + "".join(servers)


def without_servers(text: str) -> str:
    """A configuration's text without what changes at run time."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith("  server "))


def hosts_map(frame: Frame, assigned: Mapping[str, Route]) -> str:
    """`hosts.map`: a host and where it leads, a line each."""
    lines = [f"{host} {API}" for host in sorted(frame.own_hosts)]
    lines += [f"{host} {slot}" for slot, route in sorted(assigned.items()) for host in route.hosts]
    return "".join(f"{line}\n" for line in lines)
