//go:build bench

package load

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

var (
	kills   = flag.Int("load.kills", 10, "how often the leader is killed")
	writers = flag.Int("load.writers", 9, "clients that write meanwhile")
)

// calm is how long the clients write before each kill, and after it before the killed server comes back.
const calm = time.Second

// TestFailover kills the leaders of three servers under clients that write, and tells for how long no write was
// acknowledged. It fails when one that was is not there at the end.
func TestFailover(t *testing.T) {
	for _, e := range contenders(t, 3) {
		start(t, e)
		failover(t, e)
		e.Kill() // the next has the host for itself
	}
}

func failover(t *testing.T, e *lab.Ensemble) {
	t.Helper()
	seen := &sight{last: time.Now()}
	crowd := crowdOf(t, e, seen)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, w := range crowd {
		wg.Go(func() { w.run(ctx) })
	}
	defer wg.Wait()
	defer stop()

	fmt.Printf("%s: %d clients write; the longest times without an acknowledged write, and after the kill the first session and the first write on it\n",
		e.Name, len(crowd))
	fmt.Printf(killColumns, "", "kill", "of", "writes/s", "before", "after", "session", "write", "comeback")
	var after, comeback []time.Duration
	for i := range *kills {
		a, c := killLeader(t, e, seen, i+1)
		after, comeback = append(after, a), append(comeback, c)
	}
	stop()
	wg.Wait()
	summarise(e.Name+" after the kill", after)
	summarise(e.Name+" while the killed server comes back", comeback)
	inSync(t, e)
	audit(t, e, crowd)
}

// crowdOf makes the clients and the nodes below which they write.
func crowdOf(t *testing.T, e *lab.Ensemble, seen *sight) []*writer {
	t.Helper()
	c, err := wire.Dial(t.Context(), e.Addrs()[0], wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var out []*writer
	for i := range *writers {
		out = append(out, &writer{id: i, addrs: e.Addrs(), at: i % len(e.Servers), seen: seen})
	}
	paths := []string{failoverBase}
	for _, w := range out {
		paths = append(paths, w.dir())
	}
	for _, path := range paths {
		if _, err := c.Create(t.Context(), path, nil, 0); err != nil && !errors.Is(err, proto.NodeExists) {
			t.Fatal(err)
		}
	}
	return out
}

const killColumns = "%-6s %4s %4s %10s %10s %10s %10s %10s %10s\n"

func summarise(what string, gaps []time.Duration) {
	slices.Sort(gaps)
	longest := gaps[len(gaps)-1]
	fmt.Printf("%s: median %s ms; %s\n", what, millis(gaps[len(gaps)/2]), goal{200, true}.verdict("longest, in ms", longest.Seconds()*1e3))
}

// killLeader kills, lets the clients go on, and starts the server again. It returns the longest times without an
// acknowledged write from the kill until the start, and from there until all are in sync.
func killLeader(t *testing.T, e *lab.Ensemble, seen *sight, n int) (after, comeback time.Duration) {
	t.Helper()
	inSync(t, e)
	seen.gap() // what was before is no matter
	count, began := seen.count(), time.Now()
	<-time.After(calm)
	rate, before := float64(seen.count()-count)/time.Since(began).Seconds(), seen.gap()
	leader, err := e.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	again := seen.begin(len(e.Servers) * 100)
	leader.Kill()
	select {
	case <-again:
	case <-time.After(time.Minute):
		t.Fatalf("%s: after the leader was killed nobody writes for a minute", e.Name)
	}
	<-time.After(calm)
	after = seen.gap()
	session, write := seen.phases()
	start(t, e, leader.ID)
	inSync(t, e)
	comeback = seen.gap()
	fmt.Printf(killColumns, e.Name, fmt.Sprint(n), fmt.Sprint(leader.ID), fmt.Sprintf("%.0f", rate), millis(before), millis(after),
		millis(session), millis(write), millis(comeback))
	return after, comeback
}

// audit fails the test if a server lacks an acknowledged write.
func audit(t *testing.T, e *lab.Ensemble, crowd []*writer) {
	t.Helper()
	acked, attempted, sessions := 0, 0, 0
	for _, w := range crowd {
		acked, attempted, sessions = acked+len(w.acked), attempted+w.next, sessions+w.lost
		for _, err := range w.denied {
			t.Errorf("%s: client %d: %v", e.Name, w.id, err)
		}
		for _, addr := range e.Addrs() {
			lost, err := w.missing(t.Context(), addr)
			if err != nil || len(lost) > 0 {
				t.Errorf("%s: client %d at %s: %d acknowledged writes are lost, such as %.3q, %v", e.Name, w.id, addr, len(lost), lost, err)
			}
		}
	}
	fmt.Printf("%s: %d writes acknowledged of %d, each looked for on each server; %d sessions refused\n", e.Name, acked, attempted, sessions)
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1e3) }
