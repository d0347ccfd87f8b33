"""kazoo's client program: ADDRESS SCENARIO ROOT. See clients_test.go."""

import queue
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import (
    BadVersionError,
    ConnectionLoss,
    InvalidACLError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.protocol.states import KazooState
from kazoo.security import ACL, Id, make_acl, make_digest_acl

PATIENCE = 90
MAX_BUFFER = 0xFFFFF


def connect(address, timeout=10):
    c = KazooClient(hosts=address, timeout=timeout)
    c.start(timeout=PATIENCE)
    return c


def check(what, got, want):
    if got != want:
        raise AssertionError("%s = %r, want %r" % (what, got, want))


def refuses(error, call, *args, **kwargs):
    try:
        got = call(*args, **kwargs)
    except error:
        return
    raise AssertionError("%s%r = %r, want %s" % (call.__name__, args, got, error.__name__))


def modes(address, root):
    c = connect(address)
    session = c.client_id[0]
    wanted = [
        ("p", "p", {}),
        ("e", "e", {"ephemeral": True}),
        ("ps-", "ps-0000000002", {"sequence": True}),
        ("es-", "es-0000000003", {"ephemeral": True, "sequence": True}),
        ("p2", "p2", {}),
        ("e2", "e2", {"ephemeral": True}),
        ("ps2-", "ps2-0000000006", {"sequence": True}),
        ("es2-", "es2-0000000007", {"ephemeral": True, "sequence": True}),
    ]
    for i, (name, want, flags) in enumerate(wanted):
        owner = session if flags.get("ephemeral") else 0
        if i < 4:
            path = c.create(root + "/" + name, name.encode(), **flags)
        else:  # create2
            path, stat = c.create(root + "/" + name, name.encode(), include_data=True, **flags)
            check("owner in the reply of create2", stat.ephemeralOwner, owner)
            check("czxid in the reply of create2", stat.czxid, c.exists(path).czxid)
        check("create", path, root + "/" + want)
        data, stat = c.get(path)
        check("data", data, name.encode())
        check("owner of " + path, stat.ephemeralOwner, owner)
    refuses(NodeExistsError, c.create, root + "/p")
    refuses(NoNodeError, c.create, root + "/none/x")
    refuses(NoChildrenForEphemeralsError, c.create, root + "/e/x")
    refuses(BadVersionError, c.set, root + "/p", b"", 7)
    refuses(BadVersionError, c.delete, root + "/p", 7)
    refuses(NotEmptyError, c.delete, root)
    refuses(NoNodeError, c.delete, root + "/none")
    c.stop()
    c.close()


def sequence(address, root):
    c = connect(address)
    for i in range(4):
        path = c.create(root + "/n-", sequence=True)
        check("create", path, "%s/n-%010d" % (root, i))
        c.delete(path)
    c.stop()


def stat(address, root):
    c = connect(address)
    n = root + "/n"
    c.create(n, b"one")
    first = c.exists(n)
    z, t = first.czxid, first.ctime
    check("new node", tuple(first), (z, z, t, t, 0, 0, 0, 0, 3, 0, z))
    second = c.set(n, b"three", 0)
    check("after set", tuple(second), (z, z + 1, t, second.mtime, 1, 0, 0, 0, 5, 0, z))
    c.create(n + "/c")
    check("child czxid", c.exists(n + "/c").czxid, z + 2)
    third = c.set_acls(n, [make_acl("world", "anyone", all=True)], 0)
    check("after child and setACL", tuple(third), (z, z + 1, t, second.mtime, 1, 1, 1, 0, 5, 1, z + 2))
    parent = c.exists(root)
    check("parent pzxid", parent.pzxid, z)
    check("parent numChildren", parent.numChildren, 1)
    c.stop()


def watches(address, root):
    c = connect(address)
    events = queue.Queue()

    def fired(step, kind, path):
        e = events.get(timeout=PATIENCE)
        check(step, (e.type, e.path), (kind, path))

    w, late = root + "/w", root + "/late"
    c.create(w)
    c.get(w, watch=events.put)
    c.set(w, b"1")
    fired("data watch", "CHANGED", w)
    c.set(w, b"2")  # the watch is gone: the next event is another one
    c.exists(late, watch=events.put)
    c.create(late)
    fired("exists watch on nothing", "CREATED", late)
    c.exists(late, watch=events.put)
    c.set(late, b"")
    fired("exists watch on a node", "CHANGED", late)
    c.get(late, watch=events.put)
    c.delete(late)
    fired("data watch, delete", "DELETED", late)
    c.get_children(w, watch=events.put)
    c.create(w + "/c")
    fired("children watch, create", "CHILD", w)
    c.get_children(w, watch=events.put, include_data=True)
    c.delete(w + "/c")
    fired("children watch, delete", "CHILD", w)
    c.get_children(w, watch=events.put)
    c.delete(w)
    fired("children watch, own delete", "DELETED", w)
    c.stop()


def multi(address, root):
    c = connect(address)
    m = root + "/m"
    t = c.transaction()
    t.create(m, b"a")
    t.set_data(m, b"bb", 0)
    t.check(m, 1)
    t.create(m + "/s-", sequence=True)
    t.create(m + "/s-", sequence=True)
    t.delete(m + "/s-0000000000", 0)
    res = t.commit()
    check("results", [res[0], res[1].version, res[2], res[3], res[4], res[5]],
          [m, 1, True, m + "/s-0000000000", m + "/s-0000000001", True])
    names, stat = c.get_children(m, include_data=True)
    check("children", names, ["s-0000000001"])
    check("cversion", stat.cversion, 3)
    check("zxids", (stat.czxid, stat.mzxid), (stat.pzxid, stat.pzxid))
    t = c.transaction()
    t.set_data(m, b"ccc")
    t.check(m, 99)
    t.delete(root + "/none")
    check("failing multi", [type(r) for r in t.commit()], [RolledBackError, BadVersionError, RuntimeInconsistency])
    check("data after the failing multi", c.get(m)[0], b"bb")
    c.stop()


def acl(address, root):
    owner, other = connect(address), connect(address)
    a = root + "/a"
    auth = [ACL(31, Id("auth", ""))]
    refuses(InvalidACLError, owner.create, a, acl=auth)
    owner.add_auth("digest", "alice:secret")
    owner.create(a, b"x", acl=auth)
    check("getACL", owner.get_acls(a)[0], [make_digest_acl("alice", "secret", all=True)])
    refuses(NoAuthError, other.get, a)
    refuses(NoAuthError, other.set, a, b"")
    refuses(NoAuthError, other.create, a + "/c")
    refuses(NoAuthError, other.get_children, a)
    refuses(NoAuthError, other.set_acls, a, [make_acl("world", "anyone", all=True)])
    other.add_auth("digest", "alice:wrong")
    refuses(NoAuthError, other.get, a)
    other.add_auth("digest", "alice:secret")
    check("get with an id", other.get(a)[0], b"x")
    other.set_acls(a, [make_acl("world", "anyone", read=True)], 0)
    refuses(NoAuthError, owner.set, a, b"")
    owner.get(a)
    owner.stop()
    other.stop()


def size(address, root):
    c = connect(address)
    # So long a name makes the reply with the data, which carries a Stat, shorter than the request.
    path = root + "/" + "n" * 100
    data = b"d" * (MAX_BUFFER - 20 - len(path))
    c.create(path)
    c.set(path, data)
    check("get of 1 MB", c.get(path)[0] == data, True)
    session = c.client_id[0]
    refuses(ConnectionLoss, c.set, path, data + b"d")
    check("version", c.retry(c.exists, path).version, 1)
    check("session", c.client_id[0], session)
    c.stop()


def hold(address, root):
    c = connect(address, timeout=2)
    c.create(root + "/held", ephemeral=True)
    print("ready", flush=True)
    sys.stdin.read()


def survive(address, root):
    c = connect(address, timeout=20)
    lost, back = threading.Event(), threading.Event()

    def state(s):
        if s == KazooState.SUSPENDED:
            lost.set()
        elif s == KazooState.CONNECTED:
            back.set()
        elif s == KazooState.LOST:
            print("session lost", flush=True)

    c.add_listener(state)
    c.create(root + "/mine", b"kept", ephemeral=True)
    c.create(root + "/watched")
    session = c.client_id[0]
    print("ready", flush=True)
    sys.stdin.readline()
    check("connection lost", lost.wait(PATIENCE), True)
    check("connected again", back.wait(PATIENCE), True)
    # The server that it has found may have lost its leader, and hang up as well.
    data, stat = c.retry(c.get, root + "/mine")
    check("data", data, b"kept")
    check("session", c.client_id[0], session)
    check("owner", stat.ephemeralOwner, session)
    # This library does not carry watches over to the next connection.
    c.set(root + "/watched", b"", 0)
    c.create(root + "/new")
    check("children", sorted(c.get_children(root)), ["mine", "new", "watched"])
    c.stop()


def recipes(address, root):
    """What programs build on a server: locks, elections, queues, watchers that arm themselves again."""
    clients = [connect(address) for _ in range(4)]
    c = clients[0]
    c.create(root + "/n", b"0")
    led = []

    def work(c, name):
        for _ in range(5):
            with c.Lock(root + "/lock", name):
                n = int(c.get(root + "/n")[0])
                c.set(root + "/n", str(n + 1).encode())
        election = c.Election(root + "/election", name)
        election.run(led.append, name)
        counter = c.Counter(root + "/counter")
        for _ in range(5):
            counter += 2

    seen = queue.Queue()
    c.create(root + "/watched")

    @c.ChildrenWatch(root + "/watched")
    def children(names):
        seen.put(sorted(names))

    @c.DataWatch(root + "/n")
    def data(value, stat):
        if value == b"20":
            seen.put(b"20")

    threads = [threading.Thread(target=work, args=(x, "client %d" % i)) for i, x in enumerate(clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(PATIENCE)
    check("number under the lock", c.get(root + "/n")[0], b"20")
    check("leaders", sorted(led), ["client %d" % i for i in range(4)])
    check("counter", c.Counter(root + "/counter").value, 40)
    check("events", [seen.get(timeout=PATIENCE), seen.get(timeout=PATIENCE)], [[], b"20"])
    for i in range(3):
        clients[i].create("%s/watched/%d" % (root, i))
        check("children", seen.get(timeout=PATIENCE), [str(n) for n in range(i + 1)])
    q = c.Queue(root + "/queue")
    for i in range(3):
        clients[i].Queue(root + "/queue").put(b"item %d" % i)
    check("queue", [q.get() for _ in range(4)], [b"item 0", b"item 1", b"item 2", None])
    for c in clients:
        c.stop()


if __name__ == "__main__":
    scenarios = {f.__name__: f for f in (modes, sequence, stat, watches, multi, acl, size, hold, survive, recipes)}
    scenarios[sys.argv[2]](sys.argv[1], sys.argv[3])
    print("ok")
