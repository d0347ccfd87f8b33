"""kazoo's part of the recipes: ADDRESS; then lines SCENARIO ROOT TURNS, each answered by "done SCENARIO". See recipes_test.go."""

import sys
import time

from kazoo.client import KazooClient
from kazoo.recipe.lock import Lock
from kazoo.retry import RetryFailedError

PATIENCE = 60


def check(what, got, want):
    if got != want:
        raise AssertionError("%s = %r, want %r" % (what, got, want))


def until(what, so):
    end = time.monotonic() + PATIENCE
    while not so():
        check(what + " in time", time.monotonic() < end, True)
        time.sleep(0.02)


def number(c, path):
    return int(c.get(path)[0])


def add(c, path):
    """Adds one in two steps, which loses counts wherever two are at it."""
    n = number(c, path)
    c.set(path, b"%d" % (n + 1))


class SharedLock(Lock):
    """kazoo's lock with the word in its nodes' names that Curator looks for."""

    _NODE_NAME = "-lock-"
    _EXCLUDE_NAMES = ["-lock-"]


def mutex(c, root, turns):
    for _ in range(turns):
        with SharedLock(c, root + "/lock"):
            add(c, root + "/n")


def lock(c, root, turns):
    for _ in range(turns):
        with c.Lock(root + "/lock", "kazoo"):
            add(c, root + "/n")


def seeing(c, root, turns):
    """Sees the nodes of Curator's layout, by kazoo's own means."""
    for _ in range(turns):
        with c.Lock(root + "/lock", "kazoo", extra_lock_patterns=["-lock-"]):
            add(c, root + "/n")


def writer(c, root, turns):
    for _ in range(turns):
        with c.WriteLock(root + "/lock"):
            add(c, root + "/n")
            add(c, root + "/m")


def reader(c, root, turns):
    """Holds the lock until its node "seen" has gone. kazoo's ReadLock waits for writers behind it too, so that a reader
    and a writer who both wait do so for ever: nobody else waits here."""
    with c.ReadLock(root + "/lock"):
        c.create(root + "/seen")
        until("the end", lambda: c.exists(root + "/seen") is None)


def election(c, root, turns):
    for _ in range(turns):
        c.Election(root + "/lock", "kazoo").run(add, c, root + "/n")


def barrier(c, root, turns):
    for i in range(turns):
        b = c.DoubleBarrier(root + "/barrier", 2)
        c.create("%s/round%d/x" % (root, i), sequence=True, makepath=True)
        b.enter()
        check("members inside", len(c.get_children("%s/round%d" % (root, i))), 2)
        b.leave()


def queue(c, root, turns):
    to, come = c.Queue(root + "/to"), c.Queue(root + "/from")
    for i in range(turns):
        to.put(b"item %d" % i, priority=500 - i % 2)
    got = []

    def take():
        item = come.get()
        if item is not None:
            got.append(item)
        return len(got) == turns

    until("items", take)
    check("items", got, [b"item %d" % i for i in range(turns)])


def counter(c, root, turns):
    text, shared = c.Counter(root + "/text"), c.Counter(root + "/int", support_curator=True)
    for n in (text, shared):
        for _ in range(turns):
            while True:
                try:
                    n += 1
                    break
                except RetryFailedError:  # the other side was quicker, twice
                    pass


def main():
    c = KazooClient(hosts=sys.argv[1], timeout=20)
    c.start(timeout=PATIENCE)
    scenarios = {f.__name__: f for f in (mutex, lock, seeing, writer, reader, election, barrier, queue, counter)}
    for line in sys.stdin:
        name, root, turns = line.split()
        scenarios[name](c, root, int(turns))
        print("done " + name, flush=True)
    c.stop()
    c.close()


if __name__ == "__main__":
    main()
