//go:build bench

package load

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
)

var cells = flag.String("load.cells", "", "op:shape, and observers, comma separated; all if empty")

func chosen(cell string) bool {
	return *cells == "" || slices.Contains(strings.Split(*cells, ","), cell)
}

// goals are what zabd has to reach, as ratios to ZooKeeper's rate, CPU and p50; 0 = no matter.
type goals struct{ rate, cpu, p50 float64 }

// goalsOf are those of one server, and of reads through followers.
func goalsOf(op, shape string) goals {
	switch {
	case shape == "16x64" && op == "get":
		return goals{rate: 6, cpu: 1.0 / 6}
	case shape == "16x64" && op == "set":
		return goals{rate: 2, cpu: 0.5}
	case shape == "16x64" && op == "children":
		return goals{rate: 4}
	case shape == "1x1" && op == "set":
		return goals{rate: 1, cpu: 0.7, p50: 0.7}
	case shape == "1x1", shape == "50x1":
		return goals{rate: 1, cpu: 0.7}
	}
	return goals{}
}

func allCells() []string {
	var out []string
	for _, shape := range []string{"1x1", "50x1", "16x64"} {
		for _, o := range operations {
			out = append(out, o.Name+":"+shape)
		}
	}
	return out
}

type figures struct {
	rate, cpu float64 // operations a second; CPU seconds of all servers for 100,000 of them
	p50, p99  time.Duration
}

// measure puts a contender under a cell's load, at the servers with the addresses.
func measure(t *testing.T, e *lab.Ensemble, cell string, addrs []string) figures {
	t.Helper()
	name, shape, _ := strings.Cut(cell, ":")
	op, ok := Find(name)
	var s Shape
	if _, err := fmt.Sscanf(shape, "%dx%d", &s.Conns, &s.Outstanding); !ok || err != nil {
		t.Fatalf("no cell %q", cell)
	}
	if _, err := Run(t.Context(), addrs, op, s, duration()/4); err != nil {
		t.Fatalf("%s %s: %v", e.Name, cell, err)
	}
	before := e.CPU()
	r, err := Run(t.Context(), addrs, op, s, duration())
	if err != nil || r.Errors > 0 {
		t.Fatalf("%s %s: %d errors in %d, %v", e.Name, cell, r.Errors, r.Ops, err)
	}
	return figures{r.Rate(), (e.CPU() - before).Seconds() / float64(r.Ops) * 1e5, r.P50, r.P99}
}

// compare measures a cell on all contenders in turn, each at the servers that at tells, and prints its rows.
func compare(t *testing.T, running []*lab.Ensemble, cell string, want goals, at func(*lab.Ensemble) []string) {
	t.Helper()
	if !chosen(cell) {
		return
	}
	sum := make([]figures, len(running))
	for range *rounds {
		for i, e := range running {
			f := measure(t, e, cell, at(e))
			sum[i].rate += f.rate / float64(*rounds)
			sum[i].cpu += f.cpu / float64(*rounds)
			sum[i].p50 += f.p50 / time.Duration(*rounds)
			sum[i].p99 = max(sum[i].p99, f.p99)
		}
	}
	for i, e := range running {
		f := sum[i]
		fmt.Printf(columns, cell, e.Name, fmt.Sprintf("%.0f", f.rate), fmt.Sprintf("%.3f", f.p50.Seconds()*1e3),
			fmt.Sprintf("%.3f", f.cpu), fmt.Sprintf("%.3f", f.p99.Seconds()*1e3))
	}
	if len(running) == 2 {
		printRatios(cell, sum[0], sum[1], want)
	}
}

const columns = "%-14s %-6s %12s %12s %12s %12s\n"

func printHeading(of string) {
	fmt.Println(of)
	fmt.Printf(columns, "", "", "rate/s", "p50 ms", "CPU s/100k", "p99 ms")
}

// printRatios prints what zabd got, as ratios to ZooKeeper, and below it what was asked.
func printRatios(cell string, zabd, java figures, want goals) {
	got := []float64{zabd.rate / java.rate, float64(zabd.p50) / float64(java.p50), zabd.cpu / java.cpu}
	asked := []goal{{want.rate, false}, {want.p50, true}, {want.cpu, true}}
	var ratios, bounds [3]string
	verdict, asks := "kept", false
	for i, g := range asked {
		ratios[i] = fmt.Sprintf("%.2fx", got[i])
		if g.bound == 0 {
			continue
		}
		asks = true
		bounds[i] = fmt.Sprintf("%.2fx", g.bound)
		if !g.kept(got[i]) {
			verdict = "MISSED"
		}
	}
	fmt.Printf(columns, cell, "got", ratios[0], ratios[1], ratios[2], "")
	if asks {
		fmt.Printf(columns, cell, "asked", bounds[0], bounds[1], bounds[2], verdict)
	}
}

// warm makes the nodes that are worked on, and lets the contenders compile and fill what they keep: a JVM is ten times
// slower at first than after half a minute, and that is not what is to be compared.
func warm(t *testing.T, running []*lab.Ensemble, ids ...int) {
	t.Helper()
	for _, e := range running {
		addrs := e.Addrs(ids...)
		if err := Prepare(t.Context(), addrs[0]); err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		inSync(t, e)
		for _, name := range []string{"set", "get", "children"} {
			op, _ := Find(name)
			best, since := 0.0, 0
			for round := 0; since < 3 && round < 20; round++ {
				r, err := Run(t.Context(), addrs, op, Shape{16, 64}, duration())
				if err != nil {
					t.Fatalf("%s: warm-up: %v", e.Name, err)
				}
				since++
				if r.Rate() > 1.1*best {
					best, since = r.Rate(), 0
				}
			}
		}
	}
}

func printResident(running []*lab.Ensemble) {
	for _, e := range running {
		fmt.Printf("%s: resident memory of all its servers %.0f MB\n", e.Name, float64(e.Resident())/1e6)
	}
}

// TestCompare measures every cell on one zabd and on one ZooKeeper in turn and prints rates, CPU and ratios.
func TestCompare(t *testing.T) {
	running := contenders(t, 1)
	for _, e := range running {
		start(t, e)
	}
	warm(t, running)
	printHeading("one server")
	for _, cell := range allCells() {
		name, shape, _ := strings.Cut(cell, ":")
		compare(t, running, cell, goalsOf(name, shape), func(e *lab.Ensemble) []string { return e.Addrs() })
	}
	printResident(running)
}
