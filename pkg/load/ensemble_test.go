//go:build bench

package load

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
)

// TestEnsemble measures three servers of zabd and of ZooKeeper in turn, and then what two observers cost zabd, of which
// no more is asked than what it did without them.
func TestEnsemble(t *testing.T) {
	running := contenders(t, 5, 4, 5)
	voters, observers := []int{1, 2, 3}, []int{4, 5}
	for _, e := range running {
		start(t, e, voters...)
	}
	warm(t, running, voters...)
	everywhere := func(e *lab.Ensemble) []string { return e.Addrs(voters...) }
	followers := func(e *lab.Ensemble) []string { return e.Addrs(follower(t, e, voters)...) }
	lone := func(e *lab.Ensemble) []string { return followers(e)[:1] }

	printHeading("three servers, clients at all of them")
	compare(t, running, "set:16x64", goals{rate: 3, cpu: 1.0 / 3}, everywhere)
	compare(t, running, "mix:16x64", goals{}, everywhere)
	printHeading("three servers, one client at a follower")
	compare(t, running, "set:1x1", goals{p50: 0.6}, lone)
	compare(t, running, "get:1x1", goalsOf("get", "1x1"), lone)
	printHeading("three servers, clients at the followers")
	for _, cell := range [][2]string{{"get", "16x64"}, {"children", "16x64"}, {"get", "50x1"}} {
		compare(t, running, cell[0]+":"+cell[1], goalsOf(cell[0], cell[1]), followers)
	}
	printResident(running)

	if chosen("observers") {
		fmt.Println("two observers beside the three, clients at the three")
		withObservers(t, running[0], voters, observers)
	}
}

// follower returns the ids of those that follow.
func follower(t *testing.T, e *lab.Ensemble, voters []int) []int {
	t.Helper()
	leader, err := e.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(slices.Clone(voters), func(id int) bool { return id == leader.ID })
}

// withObservers measures writes without and with observers in turn, so that what else the host does meets both. Each
// turn has a run before it that does not count: servers that have just started still make ready their log files.
func withObservers(t *testing.T, e *lab.Ensemble, voters, observers []int) {
	t.Helper()
	const turns = 3
	write := func() float64 {
		inSync(t, e)
		measure(t, e, "set:16x64", e.Addrs(voters...))
		return measure(t, e, "set:16x64", e.Addrs(voters...)).rate
	}
	var without, with float64
	for range turns {
		for _, id := range observers {
			e.Servers[id-1].Stop()
		}
		without += write() / turns
		start(t, e, observers...)
		with += write() / turns
	}
	fmt.Printf("%s set:16x64 %.0f/s without, %.0f/s with them; %s\n", e.Name, without, with,
		goal{0.85, false}.verdict("share of the rate", with/without))

	leader, err := e.Leader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	idle := usage(leader, func() { <-time.After(2 * duration()) })
	var rate float64
	reading := usage(leader, func() {
		op, _ := Find("get")
		r, err := Run(t.Context(), e.Addrs(observers...), op, Shape{16, 64}, 2*duration())
		if err != nil {
			t.Fatal(err)
		}
		rate = r.Rate()
	})
	fmt.Printf("%s get:16x64 %.0f/s at them; the leader's CPU is %.2f %% of a core idle and %.2f %% then; %s\n", e.Name, rate,
		idle, reading, goal{2, true}.verdict("% of a core more", reading-idle))
}

// usage is how much of a core a server takes while f runs, in per cent.
func usage(s *lab.Server, f func()) float64 {
	began, before := time.Now(), s.CPU()
	f()
	return (s.CPU() - before).Seconds() / time.Since(began).Seconds() * 100
}
