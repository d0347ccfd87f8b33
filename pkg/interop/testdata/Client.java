import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** ZooKeeper's Java client's program: ADDRESS SCENARIO ROOT. See clients_test.go. */
public final class Client implements AutoCloseable {
    private static final int PATIENCE = 90;
    private static final int MAX_BUFFER = 0xfffff;

    private static String address;
    private static String root;

    private final ZooKeeper zk;
    private final LinkedBlockingQueue<WatchedEvent> sessions = new LinkedBlockingQueue<>();
    private final LinkedBlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
    private final Watcher watcher = e -> {
        if (e.getType() != EventType.None) {
            events.add(e);
        }
    };

    private Client(int timeoutMillis) throws Exception {
        zk = new ZooKeeper(address, timeoutMillis, e -> {
            if (e.getType() == EventType.None && e.getState() == KeeperState.SyncConnected) {
                sessions.add(e);
            }
        });
        awaitConnected();
    }

    private void awaitConnected() throws Exception {
        check("connected", sessions.poll(PATIENCE, TimeUnit.SECONDS) != null, true);
    }

    // The server that it has found may have lost its leader, and hang up as well.
    private byte[] getOnceMoved(String path, Stat stat) throws Exception {
        while (true) {
            awaitConnected();
            try {
                return zk.getData(path, false, stat);
            } catch (KeeperException.ConnectionLossException e) {
                continue;
            }
        }
    }

    @Override
    public void close() throws Exception {
        zk.close();
    }

    private static void check(String what, Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError(what + " = " + got + ", want " + want);
        }
    }

    private interface Call {
        void run() throws Exception;
    }

    private static void refuses(Code want, Call call) throws Exception {
        try {
            call.run();
        } catch (KeeperException e) {
            check("refusal", e.code(), want);
            return;
        }
        throw new AssertionError("success, want " + want);
    }

    private void fired(String step, EventType type, String path) throws Exception {
        WatchedEvent e = events.poll(PATIENCE, TimeUnit.SECONDS);
        check(step, e == null ? "nothing" : e.getType() + " " + e.getPath(), type + " " + path);
    }

    private String create(String path, String data, CreateMode mode) throws Exception {
        return zk.create(path, data.getBytes(), Ids.OPEN_ACL_UNSAFE, mode);
    }

    private static void modes() throws Exception {
        String[] names = {"p", "e", "ps-", "es-", "p2", "e2", "ps2-", "es2-"};
        String[] wanted = {
            "p", "e", "ps-0000000002", "es-0000000003", "p2", "e2", "ps2-0000000006", "es2-0000000007"
        };
        CreateMode[] all = {
            CreateMode.PERSISTENT, CreateMode.EPHEMERAL, CreateMode.PERSISTENT_SEQUENTIAL, CreateMode.EPHEMERAL_SEQUENTIAL
        };
        try (Client c = new Client(10000)) {
            for (int i = 0; i < names.length; i++) {
                CreateMode mode = all[i % 4];
                String path;
                Stat made = null;
                if (i < 4) {
                    path = c.create(root + "/" + names[i], names[i], mode);
                } else { // create2
                    made = new Stat();
                    path = c.zk.create(root + "/" + names[i], names[i].getBytes(), Ids.OPEN_ACL_UNSAFE, mode, made);
                }
                check("create", path, root + "/" + wanted[i]);
                Stat stat = new Stat();
                check("data", new String(c.zk.getData(path, false, stat)), names[i]);
                check("owner of " + path, stat.getEphemeralOwner(), mode.isEphemeral() ? c.zk.getSessionId() : 0L);
                if (made != null) {
                    check("stat in the reply of create2", made, stat);
                }
            }
            refuses(Code.NODEEXISTS, () -> c.create(root + "/p", "", CreateMode.PERSISTENT));
            refuses(Code.NONODE, () -> c.create(root + "/none/x", "", CreateMode.PERSISTENT));
            refuses(Code.NOCHILDRENFOREPHEMERALS, () -> c.create(root + "/e/x", "", CreateMode.PERSISTENT));
            refuses(Code.BADVERSION, () -> c.zk.setData(root + "/p", null, 7));
            refuses(Code.BADVERSION, () -> c.zk.delete(root + "/p", 7));
            refuses(Code.NOTEMPTY, () -> c.zk.delete(root, -1));
            refuses(Code.NONODE, () -> c.zk.delete(root + "/none", -1));
        }
    }

    private static void sequence() throws Exception {
        try (Client c = new Client(10000)) {
            for (int i = 0; i < 4; i++) {
                String path = c.create(root + "/n-", "", CreateMode.PERSISTENT_SEQUENTIAL);
                check("create", path, String.format("%s/n-%010d", root, i));
                c.zk.delete(path, -1);
            }
        }
    }

    private static void stat() throws Exception {
        try (Client c = new Client(10000)) {
            String n = root + "/n";
            c.create(n, "one", CreateMode.PERSISTENT);
            Stat first = c.zk.exists(n, false);
            long z = first.getCzxid();
            long t = first.getCtime();
            check("new node", first, new Stat(z, z, t, t, 0, 0, 0, 0, 3, 0, z));
            Stat second = c.zk.setData(n, "three".getBytes(), 0);
            check("after set", second, new Stat(z, z + 1, t, second.getMtime(), 1, 0, 0, 0, 5, 0, z));
            c.create(n + "/c", "", CreateMode.PERSISTENT);
            check("child czxid", c.zk.exists(n + "/c", false).getCzxid(), z + 2);
            Stat third = c.zk.setACL(n, Ids.OPEN_ACL_UNSAFE, 0);
            check("after child and setACL", third, new Stat(z, z + 1, t, second.getMtime(), 1, 1, 1, 0, 5, 1, z + 2));
            Stat parent = c.zk.exists(root, false);
            check("parent pzxid", parent.getPzxid(), z);
            check("parent numChildren", parent.getNumChildren(), 1);
        }
    }

    private static void watches() throws Exception {
        String w = root + "/w";
        String late = root + "/late";
        try (Client c = new Client(10000)) {
            c.create(w, "", CreateMode.PERSISTENT);
            c.zk.getData(w, c.watcher, null);
            c.zk.setData(w, "1".getBytes(), -1);
            c.fired("data watch", EventType.NodeDataChanged, w);
            c.zk.setData(w, "2".getBytes(), -1); // the watch is gone: the next event is another one
            c.zk.exists(late, c.watcher);
            c.create(late, "", CreateMode.PERSISTENT);
            c.fired("exists watch on nothing", EventType.NodeCreated, late);
            c.zk.exists(late, c.watcher);
            c.zk.setData(late, null, -1);
            c.fired("exists watch on a node", EventType.NodeDataChanged, late);
            c.zk.getData(late, c.watcher, null);
            c.zk.delete(late, -1);
            c.fired("data watch, delete", EventType.NodeDeleted, late);
            c.zk.getChildren(w, c.watcher);
            c.create(w + "/c", "", CreateMode.PERSISTENT);
            c.fired("children watch, create", EventType.NodeChildrenChanged, w);
            c.zk.getChildren(w, c.watcher, new Stat());
            c.zk.delete(w + "/c", -1);
            c.fired("children watch, delete", EventType.NodeChildrenChanged, w);
            c.zk.getChildren(w, c.watcher);
            c.zk.delete(w, -1);
            c.fired("children watch, own delete", EventType.NodeDeleted, w);
        }
    }

    private static void multi() throws Exception {
        String m = root + "/m";
        try (Client c = new Client(10000)) {
            List<OpResult> res = c.zk.multi(Arrays.asList(
                Op.create(m, "a".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.setData(m, "bb".getBytes(), 0),
                Op.check(m, 1),
                Op.create(m + "/s-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
                Op.create(m + "/s-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
                Op.delete(m + "/s-0000000000", 0)));
            check("path", ((OpResult.CreateResult) res.get(0)).getPath(), m);
            check("version", ((OpResult.SetDataResult) res.get(1)).getStat().getVersion(), 1);
            check("path", ((OpResult.CreateResult) res.get(3)).getPath(), m + "/s-0000000000");
            check("path", ((OpResult.CreateResult) res.get(4)).getPath(), m + "/s-0000000001");
            Stat stat = new Stat();
            check("children", c.zk.getChildren(m, false, stat), Arrays.asList("s-0000000001"));
            check("cversion", stat.getCversion(), 3);
            check("mzxid", stat.getMzxid(), stat.getCzxid());
            check("pzxid", stat.getPzxid(), stat.getCzxid());
            List<Integer> codes = new ArrayList<>();
            refuses(Code.BADVERSION, () -> {
                try {
                    c.zk.multi(Arrays.asList(
                        Op.setData(m, "ccc".getBytes(), -1), Op.check(m, 99), Op.delete(root + "/none", -1)));
                } catch (KeeperException e) {
                    for (OpResult r : e.getResults()) {
                        codes.add(((OpResult.ErrorResult) r).getErr());
                    }
                    throw e;
                }
            });
            check("failing multi's results", codes, Arrays.asList(0, -103, -2));
            check("data after the failing multi", new String(c.zk.getData(m, false, null)), "bb");
        }
    }

    private static void acl() throws Exception {
        String a = root + "/a";
        try (Client owner = new Client(10000); Client other = new Client(10000)) {
            refuses(Code.INVALIDACL, () -> owner.zk.create(a, null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
            owner.zk.addAuthInfo("digest", "alice:secret".getBytes());
            owner.zk.create(a, "x".getBytes(), Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            ACL entry = owner.zk.getACL(a, null).get(0);
            check("perms", entry.getPerms(), Perms.ALL);
            check("id", entry.getId().getId(), DigestAuthenticationProvider.generateDigest("alice:secret"));
            refuses(Code.NOAUTH, () -> other.zk.getData(a, false, null));
            refuses(Code.NOAUTH, () -> other.zk.setData(a, null, -1));
            refuses(Code.NOAUTH, () -> other.create(a + "/c", "", CreateMode.PERSISTENT));
            refuses(Code.NOAUTH, () -> other.zk.getChildren(a, false));
            refuses(Code.NOAUTH, () -> other.zk.setACL(a, Ids.OPEN_ACL_UNSAFE, -1));
            other.zk.addAuthInfo("digest", "alice:wrong".getBytes());
            refuses(Code.NOAUTH, () -> other.zk.getData(a, false, null));
            other.zk.addAuthInfo("digest", "alice:secret".getBytes());
            check("data", new String(other.zk.getData(a, false, null)), "x");
            other.zk.setACL(a, Ids.READ_ACL_UNSAFE, 0);
            refuses(Code.NOAUTH, () -> owner.zk.setData(a, null, -1));
            owner.zk.getData(a, false, null);
        }
    }

    private static void size() throws Exception {
        // So long a name makes the reply with the data, which carries a Stat, shorter than the request.
        String path = root + "/" + String.join("", Collections.nCopies(100, "n"));
        byte[] data = new byte[MAX_BUFFER - 20 - path.length()];
        Arrays.fill(data, (byte) 'd');
        try (Client c = new Client(10000)) {
            long session = c.zk.getSessionId();
            c.create(path, "", CreateMode.PERSISTENT);
            c.zk.setData(path, data, -1);
            check("get of 1 MB", Arrays.equals(c.zk.getData(path, false, null), data), true);
            refuses(Code.CONNECTIONLOSS, () -> c.zk.setData(path, new byte[data.length + 1], -1));
            c.awaitConnected();
            check("version", c.zk.exists(path, false).getVersion(), 1);
            check("session", c.zk.getSessionId(), session);
        }
    }

    private static void hold() throws Exception {
        Client c = new Client(2000);
        c.create(root + "/held", "", CreateMode.EPHEMERAL);
        System.out.println("ready");
        while (System.in.read() >= 0) {
        }
    }

    private static void survive() throws Exception {
        String watched = root + "/watched";
        try (Client c = new Client(20000)) {
            c.create(root + "/mine", "kept", CreateMode.EPHEMERAL);
            c.create(watched, "", CreateMode.PERSISTENT);
            c.zk.getData(watched, c.watcher, null);
            c.zk.getChildren(root, c.watcher);
            long session = c.zk.getSessionId();
            System.out.println("ready");
            while (System.in.read() != '\n') {
            }
            Stat stat = new Stat();
            check("data", new String(c.getOnceMoved(root + "/mine", stat)), "kept");
            check("session", c.zk.getSessionId(), session);
            check("owner", stat.getEphemeralOwner(), session);
            c.zk.setData(watched, null, 0);
            c.fired("data watch set again", EventType.NodeDataChanged, watched);
            c.create(root + "/new", "", CreateMode.PERSISTENT);
            c.fired("children watch set again", EventType.NodeChildrenChanged, root);
            List<String> names = c.zk.getChildren(root, false);
            Collections.sort(names);
            check("children", names, Arrays.asList("mine", "new", "watched"));
        }
    }

    public static void main(String[] args) throws Exception {
        address = args[0];
        root = args[2];
        Client.class.getDeclaredMethod(args[1]).invoke(null);
        System.out.println("ok");
        System.exit(0);
    }
}
