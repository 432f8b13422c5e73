"""HAProxy, driven through its runtime API: a change is files first, then memory, without a reload.

Each app has one of a pool of spare backends (a slot). When the pool is used up it is doubled, which takes the only
reload there is. Files in `folder`: `router.json` (the truth), and written from it `haproxy.cfg`, `hosts.map`, pages.
"""

from __future__ import annotations

import os
import pwd
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import structlog

from core.errors import Unavailable
from core.failpoints import INERT, FailPoints
from router import checked, haproxy_stats, plan
from router.base import Route, Target, TargetStats
from router.haproxy_book import Book
from router.haproxy_config import API, Frame, mark, slot_names
from router.haproxy_files import Files
from router.haproxy_socket import Master
from router.lock import FileLock
from router.plan import Mode, Server

log = structlog.get_logger()

USER = "haproxy"
SOCKET = "master.sock"
RELOAD_PATIENCE = 20.0
"""Seconds a new configuration has to become the running one."""


class HAProxy:
    """A `Proxy`. Whoever supervises runs `command()` after `prepare()`; the server calls `attach()` when it starts.

    `api` is the `address:port` of the platform's own server, which answers for `domain`, localhost and 127.0.0.1.
    `slots` is how many spare backends a new installation begins with.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bind: str,
        http_port: int,
        api: str,
        domain: str,
        slots: int = 64,
        fail: FailPoints = INERT,
    ) -> None:
        address = str(checked.address(bind))
        self._own_hosts = frozenset({checked.domain(domain), "localhost", "127.0.0.1"} | ({address} - {"0.0.0.0"}))
        self._frame = Frame(address, http_port, api, self._own_hosts, unprivileged_user())
        self._files = Files(folder.absolute(), self._frame, slots)
        self._master = Master(folder.absolute() / SOCKET)
        self._lock = FileLock(folder.absolute() / "router.lock")
        self._fail = fail

    def command(self) -> list[str]:
        """The argv of the proxy: stays in the foreground, ends when its worker dies, ends on SIGTERM."""
        return [*self._files.program, "-W", "-db", "-S", f"unix@{SOCKET},mode,600", "-f", "haproxy.cfg"]

    def prepare(self) -> None:
        """Write the proxy's files from what is on disk. Needs no running proxy; changes nothing when run again."""
        with self._lock:
            self._files.create()
            self._files.write(self._files.book())

    def attach(self) -> None:
        """Make the running proxy serve what the files say; what it has beyond that drains."""
        with self._lock:
            self.prepare()
            book = self._files.book()
            self._reload_if_needed(book)
            servers, hosts = self._master.servers(), self._master.hosts()
            orders = list(plan.name(API, hosts, sorted(self._own_hosts)))
            for slot in slot_names(book.slots):
                route = book.route(slot)
                more = surplus(servers.get(slot, ()), route) if route.app else ()
                orders += plan.changes(slot, servers.get(slot, ()), hosts, replace(route, draining=more))
            self._order(orders)

    def routes(self) -> list[Route]:
        """What is in effect, sorted by app; hosts and targets sorted."""
        with self._lock:
            book = self._files.book()
            servers, hosts = self._master.servers(), self._master.hosts()
        found = [in_effect(route.app, slot, servers.get(slot, ()), hosts) for slot, route in book.routes.items()]
        return sorted(found, key=lambda route: route.app)

    def put(self, route: Route) -> None:
        """See `Proxy`. Invalid for what no proxy file may contain, Conflict for a host that leads elsewhere."""
        wanted = checked.route(route)
        with self._lock:
            book = self._files.book()
            checked.free(wanted, book.routes.values(), self._own_hosts)
            after = book.with_route(wanted)
            self._files.write(after)
            self._fail("proxy.written")
            self._bring(after, after.slot(wanted.app), wanted.draining)

    def delete(self, app: str) -> None:
        with self._lock:
            book = self._files.book()
            slot = book.slot(checked.app(app))
            after = book.without(app)
            self._files.write(after)
            self._bring(after, slot)

    def stats(self) -> list[TargetStats]:
        """Counters of every target. After a reload, a target an old worker may still use has a session at least."""
        with self._lock:
            apps = {slot: route.app for slot, route in self._files.book().routes.items()}
            workers = self._master.workers()
            current = self._master.statistics(workers.current)
            old = [row for worker in workers.old for row in self._master.statistics(worker, old=True)]
        return haproxy_stats.count(apps, current, old)

    def _bring(self, book: Book, slot: str | None, draining: tuple[Target, ...] = ()) -> None:
        """Make the running proxy serve one slot as `book` says."""
        self._reload_if_needed(book)
        if slot is None:
            return
        servers = self._master.servers(slot).get(slot, ())
        self._order(plan.changes(slot, servers, self._master.hosts(), replace(book.route(slot), draining=draining)))

    def _order(self, orders: Iterable[str]) -> None:
        for order in orders:
            self._master.order(order)
            log.debug("proxy ordered", order=order)

    def _reload_if_needed(self, book: Book) -> None:
        wanted = mark(self._frame, book.slots)
        if self._master.mark() == wanted:
            return
        log.info("proxy reloads", slots=book.slots)
        self._master.reload()
        deadline = time.monotonic() + RELOAD_PATIENCE
        while self._mark_or_nothing() != wanted:
            if time.monotonic() > deadline:
                raise Unavailable("the proxy did not take its new configuration", "Its own log says why.")
            time.sleep(0.01)

    def _mark_or_nothing(self) -> str:
        """Empty while the master is deaf, in the middle of a reload."""
        try:
            return self._master.mark()
        except Unavailable:
            return ""


def in_effect(app: str, slot: str, servers: Sequence[Server], hosts: dict[str, str]) -> Route:
    def those(mode: Mode) -> tuple[Target, ...]:
        return tuple(sorted(target(one) for one in servers if one.mode is mode))

    names = tuple(sorted(host for host, leads_to in hosts.items() if leads_to == slot))
    return Route(app, names, those(Mode.READY), those(Mode.DRAIN))


def surplus(servers: Sequence[Server], route: Route) -> tuple[Target, ...]:
    """Those that serve or drain and are not targets: a change was cut short, and they may have requests."""
    names = {one.name for one in route.targets}
    return tuple(target(one) for one in servers if one.name not in names and one.mode is not Mode.MAINT)


def target(server: Server) -> Target:
    return Target(server.address, server.port, server.name)


def unprivileged_user() -> str:
    """Whom the proxy becomes once it has its sockets, when root starts it and Debian's user for it exists."""
    if os.geteuid() != 0:
        return ""
    try:
        return pwd.getpwnam(USER).pw_name
    except KeyError:
        return ""
