//go:build bench

package load

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
	"github.com/zabd/zabd/pkg/proto"
)

const (
	watchCount    = 100_000
	manyWatchers  = 4000
	fewWatchers   = 4
	setsInAMulti  = 1000
	watchedPerOne = watchCount / fewWatchers
)

// TestWatches measures 100,000 watches that fire: the time from the first write until the last notification has been
// read.
func TestWatches(t *testing.T) {
	if !chosen("watches") {
		return
	}
	allowDescriptors(t, 2*manyWatchers) // of which a server needs half
	running := contenders(t, 1)
	for _, e := range running {
		start(t, e)
		makeWatched(t, e)
		e.Stop() // what making them has left behind is no watch's
		start(t, e)
		before := e.Resident()
		watchers := watchMany(t, e)
		fmt.Printf("%s: %d watches take %.0f bytes of resident memory each\n", e.Name, watchCount,
			float64(e.Resident()-before)/watchCount)
		watchers.dismiss(t, e)
	}
	fmt.Printf("as many bytes written to as many sockets by no server at all, ms %.1f\n", fireBare(t))
	half := goal{0.5, true}
	takeTurns(t, running, 2, []row{
		{fmt.Sprintf("%d writes to a node with %d watchers, ms", watchCount/manyWatchers, manyWatchers), half},
		{"CPU of the server then, ms", goal{}},
		{fmt.Sprintf("%d nodes with a watch each of %d watchers written, ms", watchCount, fewWatchers), half},
	}, func(e *lab.Ensemble) []float64 {
		took, cpu := fireOne(t, e)
		return []float64{took, cpu, fireMany(t, e)}
	})
}

func watchedNode(i int) string { return fmt.Sprintf("%s/watched/node-%06d", base, i) }

// makeWatched makes the nodes, many in one write.
func makeWatched(t *testing.T, e *lab.Ensemble) {
	t.Helper()
	writer := gather(t, e, 1)
	defer writer.dismiss(t, e)
	var all []proto.MultiOp
	for _, path := range []string{base, base + "/watched"} {
		all = append(all, proto.MultiOp{Type: proto.OpCreate, Path: path, ACL: proto.WorldAll()})
	}
	for i := range watchCount {
		all = append(all, proto.MultiOp{Type: proto.OpCreate, Path: watchedNode(i), ACL: proto.WorldAll()})
	}
	if err := write(writer[0], all); err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
}

// write sends operations in multis and waits for the answers.
func write(nc net.Conn, ops []proto.MultiOp) error {
	var frames []byte
	n := 0
	for ; len(ops) > 0; n++ {
		part := ops[:min(len(ops), setsInAMulti)]
		frames = append(frames, build(proto.OpMulti, &proto.MultiRequest{Ops: part})...)
		ops = ops[len(part):]
	}
	return send(nc, frames, n)
}

// send sends frames and takes as many answers.
func send(nc net.Conn, frames []byte, n int) error {
	sent := make(chan error, 1)
	go func() {
		_, err := nc.Write(frames)
		sent <- err
	}()
	err := (&inbox{nc: nc}).take(n)
	if err != nil {
		_ = nc.Close()
	}
	return errors.Join(err, <-sent)
}

func watchFrame(path string) []byte {
	return build(proto.OpGetData, &proto.ReadRequest{Path: path, Watch: true})
}

// fireOne has one node watched by many and written, again and again, and returns how many milliseconds passed from the
// writes until all had been told, and how many the server was at work meanwhile.
func fireOne(t *testing.T, e *lab.Ensemble) (millis, cpu float64) {
	t.Helper()
	watchers, writer := gather(t, e, manyWatchers), gather(t, e, 1)
	defer watchers.dismiss(t, e)
	defer writer.dismiss(t, e)
	in := make([]inbox, manyWatchers)
	for i, nc := range watchers {
		in[i] = inbox{nc: nc, buf: make([]byte, 1<<10)}
	}
	watch, set := watchFrame(watchedNode(0)), build(proto.OpSetData, &proto.SetDataRequest{Path: watchedNode(0), Version: -1})
	var took, used time.Duration
	for range watchCount / manyWatchers {
		each(t, e, manyWatchers, func(i int) error {
			if _, err := watchers[i].Write(watch); err != nil {
				return err
			}
			return in[i].take(1)
		})
		before, began := e.CPU(), time.Now()
		err := send(writer[0], set, 1)
		for i := 0; i < len(in) && err == nil; i++ { // whoever is told first: all must have been
			err = in[i].take(1)
		}
		if err != nil {
			t.Fatalf("%s: %v", e.Name, err)
		}
		took += time.Since(began)
		used += e.CPU() - before
	}
	return took.Seconds() * 1e3, used.Seconds() * 1e3
}

// watchMany has each node watched by one of a few.
func watchMany(t *testing.T, e *lab.Ensemble) crowd {
	t.Helper()
	watchers := gather(t, e, fewWatchers)
	each(t, e, fewWatchers, func(w int) error {
		var frames []byte
		for i := range watchedPerOne {
			frames = append(frames, watchFrame(watchedNode(w+i*fewWatchers))...)
		}
		return send(watchers[w], frames, watchedPerOne)
	})
	return watchers
}

// fireMany has many nodes watched by a few and all of them written, and returns how many milliseconds passed until the
// last notification.
func fireMany(t *testing.T, e *lab.Ensemble) float64 {
	t.Helper()
	watchers, writer := watchMany(t, e), gather(t, e, 1)
	defer watchers.dismiss(t, e)
	defer writer.dismiss(t, e)
	var sets []proto.MultiOp
	for i := range watchCount {
		sets = append(sets, proto.MultiOp{Type: proto.OpSetData, Path: watchedNode(i), Version: -1})
	}
	began := time.Now()
	written := make(chan error, 1)
	go func() { written <- write(writer[0], sets) }()
	each(t, e, fewWatchers, func(w int) error { return (&inbox{nc: watchers[w]}).take(watchedPerOne) })
	if err := <-written; err != nil {
		t.Fatalf("%s: %v", e.Name, err)
	}
	return time.Since(began).Seconds() * 1e3
}
