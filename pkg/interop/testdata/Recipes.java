import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Map;
import java.util.Objects;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.retry.RetryNTimes;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.zookeeper.CreateMode;

/** Curator's part of the recipes: ADDRESS; then lines SCENARIO ROOT TURNS, each answered by "done SCENARIO". See recipes_test.go. */
public final class Recipes {
    private static final int PATIENCE = 60;

    private final CuratorFramework zk;
    private final String root;
    private final int turns;

    private Recipes(CuratorFramework zk, String root, int turns) {
        this.zk = zk;
        this.root = root;
        this.turns = turns;
    }

    private static void check(String what, Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new AssertionError(what + " = " + got + ", want " + want);
        }
    }

    private static void until(String what, Callable<Boolean> so) throws Exception {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE);
        while (!so.call()) {
            check(what + " in time", System.nanoTime() < end, true);
            Thread.sleep(20);
        }
    }

    private int number(String name) throws Exception {
        return Integer.parseInt(new String(zk.getData().forPath(root + "/" + name)));
    }

    /** Adds one in two steps, which loses counts wherever two are at it. */
    private void add(String name) throws Exception {
        int n = number(name);
        zk.setData().forPath(root + "/" + name, Integer.toString(n + 1).getBytes());
    }

    private void mutex() throws Exception {
        InterProcessMutex lock = new InterProcessMutex(zk, root + "/lock");
        for (int i = 0; i < turns; i++) {
            check("acquire", lock.acquire(PATIENCE, TimeUnit.SECONDS), true);
            add("n");
            lock.release();
        }
    }

    private void readwrite() throws Exception {
        InterProcessReadWriteLock lock = new InterProcessReadWriteLock(zk, root + "/lock");
        for (int i = 0; i < turns; i++) {
            check("write lock", lock.writeLock().acquire(PATIENCE, TimeUnit.SECONDS), true);
            add("n");
            add("m");
            lock.writeLock().release();
            check("read lock", lock.readLock().acquire(PATIENCE, TimeUnit.SECONDS), true);
            check("m beside n", number("m"), number("n"));
            lock.readLock().release();
        }
    }

    private void selector() throws Exception {
        CountDownLatch led = new CountDownLatch(turns);
        Throwable[] failed = new Throwable[1];
        LeaderSelector selector = new LeaderSelector(zk, root + "/lock", new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework c) {
                if (led.getCount() == 0) {
                    return;
                }
                try {
                    add("n");
                } catch (Throwable e) {
                    failed[0] = e;
                }
                led.countDown();
            }
        });
        selector.autoRequeue();
        selector.start();
        check("led in time", led.await(PATIENCE, TimeUnit.SECONDS), true);
        selector.close();
        check("failure of a leader", failed[0], null);
    }

    private void latch() throws Exception {
        for (int i = 0; i < turns; i++) {
            LeaderLatch latch = new LeaderLatch(zk, root + "/lock", "curator");
            latch.start();
            check("leads in time", latch.await(PATIENCE, TimeUnit.SECONDS), true);
            add("n");
            latch.close();
        }
    }

    private void semaphore() throws Exception {
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(zk, root + "/semaphore", 2);
        for (int i = 0; i < turns; i++) {
            Lease lease = semaphore.acquire(PATIENCE, TimeUnit.SECONDS);
            check("lease", lease != null, true);
            String me = zk.create().withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath(root + "/inside/x");
            check("no more than two inside", zk.getChildren().forPath(root + "/inside").size() <= 2, true);
            zk.delete().forPath(me);
            semaphore.returnLease(lease);
        }
    }

    private void barrier() throws Exception {
        for (int i = 0; i < turns; i++) {
            DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(zk, root + "/barrier", 2);
            zk.create().creatingParentsIfNeeded().withMode(CreateMode.PERSISTENT_SEQUENTIAL).forPath(root + "/round" + i + "/x");
            check("enter", barrier.enter(PATIENCE, TimeUnit.SECONDS), true);
            check("members inside", zk.getChildren().forPath(root + "/round" + i).size(), 2);
            check("leave", barrier.leave(PATIENCE, TimeUnit.SECONDS), true);
        }
    }

    private void queue() throws Exception {
        SimpleDistributedQueue to = new SimpleDistributedQueue(zk, root + "/to");
        SimpleDistributedQueue from = new SimpleDistributedQueue(zk, root + "/from");
        for (int i = 0; i < turns; i++) {
            to.offer(("item " + i).getBytes());
        }
        for (int i = 0; i < turns; i++) {
            byte[] item = from.poll(PATIENCE, TimeUnit.SECONDS);
            check("item", item == null ? null : new String(item), "item " + i);
        }
    }

    private void counter() throws Exception {
        DistributedAtomicLong counter = new DistributedAtomicLong(zk, root + "/long", new RetryNTimes(1000, 1));
        SharedCount shared = new SharedCount(zk, root + "/int", 0);
        shared.start();
        for (int i = 0; i < turns; i++) {
            AtomicValue<Long> v = counter.increment();
            check("increment", v.succeeded(), true);
            while (!shared.trySetCount(shared.getVersionedValue(), shared.getCount() + 1)) {
                Thread.sleep(1);
            }
        }
        shared.close();
    }

    private void group() throws Exception {
        GroupMember member = new GroupMember(zk, root + "/group", "curator", "theirs".getBytes());
        member.start();
        until("our member", () -> {
            byte[] ours = member.getCurrentMembers().get("zabd");
            return ours != null && new String(ours).equals("ours");
        });
        zk.create().forPath(root + "/seen");
        until("the end", () -> zk.checkExists().forPath(root + "/seen") == null);
        member.close();
    }

    @SuppressWarnings("rawtypes")
    private void discovery() throws Exception {
        ServiceDiscovery<Map> services = ServiceDiscoveryBuilder.builder(Map.class).client(zk).basePath(root + "/services").build();
        services.start();
        services.registerService(ServiceInstance.<Map>builder().name("svc").id("curator").address("127.0.0.1").port(1)
            .payload(Map.of("zone", "b")).build());
        until("our instance", () -> services.queryForInstance("svc", "zabd") != null);
        ServiceInstance<Map> ours = services.queryForInstance("svc", "zabd");
        check("port", ours.getPort(), 2);
        check("address", ours.getAddress(), "127.0.0.2");
        check("payload", ours.getPayload().get("zone"), "a");
        zk.create().forPath(root + "/seen");
        until("the end", () -> zk.checkExists().forPath(root + "/seen") == null);
        services.close();
    }

    private void play(String scenario) throws Exception {
        switch (scenario) {
            case "mutex": mutex(); break;
            case "readwrite": readwrite(); break;
            case "selector": selector(); break;
            case "latch": latch(); break;
            case "semaphore": semaphore(); break;
            case "barrier": barrier(); break;
            case "queue": queue(); break;
            case "counter": counter(); break;
            case "group": group(); break;
            case "discovery": discovery(); break;
            default: throw new IllegalArgumentException(scenario);
        }
    }

    public static void main(String[] args) throws Exception {
        CuratorFramework zk = CuratorFrameworkFactory.newClient(args[0], 20000, 10000, new RetryNTimes(100, 50));
        zk.start();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = in.readLine()) != null;) {
            String[] words = line.split(" ");
            try {
                new Recipes(zk, words[1], Integer.parseInt(words[2])).play(words[0]);
                System.out.println("done " + words[0]);
            } catch (Throwable e) {
                e.printStackTrace(System.out);
                System.exit(1);
            }
        }
        zk.close();
    }
}
