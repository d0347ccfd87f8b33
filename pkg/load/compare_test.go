//go:build bench

package load

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	cells   = flag.String("load.cells", "", "op:shape, comma separated; all if empty")
	seconds = flag.Float64("load.seconds", 2, "how long each cell is measured")
	rounds  = flag.Int("load.rounds", 1, "how often each cell is measured on each server, in turn")
	peers   = flag.String("load.peers", "zabd,java", "what is measured")
)

// target is what zabd has to reach against ZooKeeper: rate at least, CPU at most, p50 at most, as ratios; 0 = no matter.
type target struct{ rate, cpu, p50 float64 }

func targetOf(op, shape string) target {
	switch {
	case shape == "16x64" && op == "get":
		return target{rate: 6, cpu: 1.0 / 6}
	case shape == "16x64" && op == "set":
		return target{rate: 2, cpu: 0.5}
	case shape == "16x64" && op == "children":
		return target{rate: 4}
	case shape == "1x1" && op == "set":
		return target{rate: 1, cpu: 0.7, p50: 0.7}
	case shape == "1x1", shape == "50x1":
		return target{rate: 1, cpu: 0.7}
	}
	return target{}
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
	rate, cpu float64 // operations a second; CPU seconds for 100,000 of them
	p50, p99  time.Duration
}

func measure(t *testing.T, p *Peer, cell string) figures {
	name, shape, _ := strings.Cut(cell, ":")
	op, ok := Find(name)
	var s Shape
	if _, err := fmt.Sscanf(shape, "%dx%d", &s.Conns, &s.Outstanding); !ok || err != nil {
		t.Fatalf("no cell %q", cell)
	}
	d := time.Duration(*seconds * float64(time.Second))
	if _, err := Run(t.Context(), p.Addr, op, s, d/4); err != nil {
		t.Fatalf("%s %s: %v", p.Name, cell, err)
	}
	before := p.CPU()
	r, err := Run(t.Context(), p.Addr, op, s, d)
	if err != nil || r.Errors > 0 {
		t.Fatalf("%s %s: %d errors in %d, %v", p.Name, cell, r.Errors, r.Ops, err)
	}
	return figures{r.Rate(), (p.CPU() - before).Seconds() / float64(r.Ops) * 1e5, r.P50, r.P99}
}

// TestCompare measures every cell on zabd and on ZooKeeper in turn and prints rates, CPU and ratios.
func TestCompare(t *testing.T) {
	ctx := context.Background()
	var running []*Peer
	if strings.Contains(*peers, "zabd") {
		program := filepath.Join(t.TempDir(), "zabd")
		if out, err := exec.Command("go", "build", "-o", program, "../../cmd/zabd").CombinedOutput(); err != nil {
			t.Fatalf("build: %v\n%s", err, out)
		}
		p, err := StartZabd(ctx, program, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, p)
	}
	if strings.Contains(*peers, "java") && HasJava() {
		p, err := StartJava(ctx, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		running = append(running, p)
	}
	for _, p := range running {
		t.Cleanup(p.Stop)
		if err := Prepare(ctx, p.Addr); err != nil {
			t.Fatal(err)
		}
	}
	list := strings.Split(*cells, ",")
	if *cells == "" {
		list = allCells()
	}
	for _, cell := range list {
		compare(t, running, cell)
	}
	for _, p := range running {
		fmt.Printf("%-6s resident %.0f MB\n", p.Name, float64(p.Resident())/1e6)
	}
}

func compare(t *testing.T, running []*Peer, cell string) {
	sum := make([]figures, len(running))
	for range *rounds {
		for i, p := range running {
			f := measure(t, p, cell)
			sum[i].rate += f.rate / float64(*rounds)
			sum[i].cpu += f.cpu / float64(*rounds)
			sum[i].p50 += f.p50 / time.Duration(*rounds)
			sum[i].p99 = max(sum[i].p99, f.p99)
		}
	}
	line := fmt.Sprintf("%-20s", cell)
	for i, p := range running {
		f := sum[i]
		line += fmt.Sprintf(" %s %8.0f/s p50 %6.3f p99 %7.3f ms CPU %6.3f |", p.Name, f.rate, f.p50.Seconds()*1e3, f.p99.Seconds()*1e3, f.cpu)
	}
	if len(running) == 2 {
		z, j := sum[0], sum[1]
		name, shape, _ := strings.Cut(cell, ":")
		want := targetOf(name, shape)
		rate, cpu, p50 := z.rate/j.rate, z.cpu/j.cpu, float64(z.p50)/float64(j.p50)
		line += fmt.Sprintf(" rate %.2fx CPU %.2fx p50 %.2fx", rate, cpu, p50)
		if rate < want.rate || want.cpu > 0 && cpu > want.cpu || want.p50 > 0 && p50 > want.p50 {
			line += fmt.Sprintf("  MISSES %.2f, %.2f, %.2f", want.rate, want.cpu, want.p50)
		}
	}
	fmt.Println(line)
}
