package load

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/daemon"
	"github.com/zabd/zabd/pkg/lab"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// TestMain is also the server that the tests start: this program as zabd.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "--config" {
		os.Exit(daemon.Main(os.Args[1:], os.Environ(), os.Stderr, daemon.Program{Version: "test"}))
	}
	os.Exit(m.Run())
}

func serve(t *testing.T) string {
	t.Helper()
	e, err := lab.New(t.TempDir(), lab.Kind{Name: "zabd", Argv: []string{os.Args[0], "--config"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Kill)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return e.Servers[0].Addr
}

func TestEveryOperationRunsAndNothingIsLeft(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	site := Site{Root: "/here", Size: 10}
	if err := site.Make(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	for _, name := range append(Names(), "get=2,createdelete=3,sequential=1") {
		op, err := Parse(name)
		if err != nil {
			t.Fatal(err)
		}
		r, err := site.Run(t.Context(), []string{addr}, op, Shape{2, 8}, 20*time.Millisecond)
		if err != nil || r.Errors > 0 || r.Ops < 16 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if r.P50 <= 0 || r.P50 > r.P90 || r.P90 > r.P99 || r.P99 > r.P999 || r.P999 > r.Most {
			t.Errorf("%s: the latencies are in no order: %+v", name, r)
		}
	}
	c, err := wire.Dial(t.Context(), addr, wire.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if data, _, err := c.Get(t.Context(), "/here/node-00", false); err != nil || len(data) != 10 { // by the sets of the mix
		t.Errorf("%d bytes, %v", len(data), err)
	}
	most := 0
	if err := site.Remove(t.Context(), addr, func(n, of int) { most = max(most, of) }); err != nil || most < 1000 {
		t.Errorf("%d removed, %v", most, err)
	}
	if names, _, err := c.Children(t.Context(), "/", false); err != nil || !slices.Equal(names, []string{"zookeeper"}) {
		t.Errorf("what is left is %q, %v", names, err)
	}
}

func TestARunEndsWithItsContext(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	if err := Prepare(t.Context(), addr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	op := Operation{"get, until the first has been sent", func(s Site, conn int) func([]byte, int) []byte {
		next := get.frames(s, conn)
		return func(dst []byte, n int) []byte {
			cancel()
			return next(dst, n)
		}
	}}
	if _, err := Run(ctx, []string{addr}, op, Shape{2, 1}, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("Run() = %v", err)
	}
}

func TestRepliesThatAreErrorsAreCounted(t *testing.T) {
	t.Parallel()
	addr := serve(t)
	r, err := Site{Root: "/none"}.Run(t.Context(), []string{addr}, get, Shape{1, 1}, time.Millisecond)
	if err != nil || r.Ops == 0 || r.Errors != r.Ops {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestAServerThatTakesNoSessionIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.Close()
		}
	}()
	addr := l.Addr().String()
	if _, err := Run(t.Context(), []string{addr}, get, Shape{1, 1}, time.Hour); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("Run() = %v", err)
	}
	if err := Prepare(t.Context(), addr); err == nil || !strings.Contains(err.Error(), addr) {
		t.Errorf("Prepare() = %v", err)
	}
}

func TestMixesAreSpreadEvenly(t *testing.T) {
	t.Parallel()
	if got := spread([]int{3, 1, 2}, 6); !slices.Equal(got, []int{0, 2, 0, 1, 2, 0}) {
		t.Errorf("3, 1 and 2 of 6 are spread as %v", got)
	}
	op, err := Parse("get=1,createdelete=2")
	if err != nil {
		t.Fatal(err)
	}
	next := op.frames(usual(), 0)
	var ops []proto.Op
	for n := range 6 {
		b := next(nil, n)
		if xid := int(b[7]); xid != n+1 {
			t.Errorf("request %d has xid %d", n, xid)
		}
		ops = append(ops, proto.Op(b[11]))
	}
	if want := []proto.Op{proto.OpCreate, proto.OpGetData, proto.OpDelete, proto.OpCreate, proto.OpGetData, proto.OpDelete}; !slices.Equal(ops, want) {
		t.Errorf("sent %v, want %v", ops, want)
	}
}

func TestWrongLoadsAreRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "git", "get=9,sot=1", "get=0", "get=x", "get=1,", "get=9999,set=2"} {
		if op, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %+v", text, op)
		}
	}
	for _, text := range []string{"", "1", "x", "1x", "0x1", "1x0", "1x1x1", "10001x1", "-1x1"} {
		if s, err := ParseShape(text); err == nil {
			t.Errorf("ParseShape(%q) = %v", text, s)
		}
	}
	if s, err := ParseShape("16x64"); err != nil || s != (Shape{16, 64}) {
		t.Errorf("ParseShape(16x64) = %v, %v", s, err)
	}
}
