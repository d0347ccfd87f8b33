//go:build interop

package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/recipe"
)

const curatorInstall = "apt-get install -y libcurator-recipes-java libcurator-discovery-java default-jdk-headless"

// compileCurator returns the program that plays Curator's recipes.
func compileCurator(t *testing.T) []string {
	t.Helper()
	var path []string
	for _, jar := range []string{"curator-recipes", "curator-framework", "curator-client", "curator-x-discovery", "jackson-databind", "zookeeper", "slf4j-nop"} {
		file := "/usr/share/java/" + jar + ".jar"
		needTool(t, file, curatorInstall)
		path = append(path, file)
	}
	needTool(t, "/usr/bin/javac", curatorInstall)
	classes := t.TempDir()
	classPath := strings.Join(append(path, classes), ":")
	// Debian's jars name annotations that it has no classes of: javac is not to mind.
	if out, err := exec.Command("/usr/bin/javac", "-proc:none", "-cp", classPath, "-d", classes, testdata(t, "Recipes.java")).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	argv := append([]string{"/usr/bin/java"}, jvm...)
	return append(argv, "-cp", classPath, "Recipes")
}

func kazooRecipes(t *testing.T) []string {
	t.Helper()
	needTool(t, "/usr/lib/python3/dist-packages/kazoo", "apt-get install -y python3-kazoo")
	return []string{"/usr/bin/python3", testdata(t, "kazoo_recipes.py")}
}

// ours is this side of a scenario: our client, and the root of the scenario.
type ours struct {
	c    *client.Client
	root string
}

// turns is how often each side does what a scenario is about.
const turns = 15

// ourClient connects to the servers.
func ourClient(t *testing.T, addrs string, o client.Options) *client.Client {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = longSession
	}
	c, err := client.New(addrs, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Connected(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func (o ours) number(ctx context.Context, name string) (int, error) {
	data, _, err := o.c.Get(ctx, o.root+"/"+name)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(data))
}

// add adds one in two steps, which loses counts wherever two are at it.
func (o ours) add(ctx context.Context, names ...string) error {
	for _, name := range names {
		n, err := o.number(ctx, name)
		if err != nil {
			return err
		}
		if _, err := o.c.Set(ctx, o.root+"/"+name, []byte(strconv.Itoa(n+1)), client.AnyVersion); err != nil {
			return err
		}
	}
	return nil
}

// hold does something while something is held, once for each turn.
func (o ours) hold(ctx context.Context, take func(context.Context) (*recipe.Hold, error), do func(ctx context.Context) error) error {
	for range turns {
		h, err := take(ctx)
		if err != nil {
			return err
		}
		if err := errors.Join(do(h.Context()), h.Release(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (o ours) addOne(ctx context.Context) error { return o.add(ctx, "n") }

// lock is a mutex of the layout.
func lock(l recipe.Layout) func(ctx context.Context, o ours) error {
	return func(ctx context.Context, o ours) error {
		return o.hold(ctx, recipe.NewMutex(o.c, o.root+"/lock", recipe.Options{Layout: l}).Lock, o.addOne)
	}
}

func lead(l recipe.Layout) func(ctx context.Context, o ours) error {
	return func(ctx context.Context, o ours) error {
		return o.hold(ctx, recipe.NewElection(o.c, o.root+"/lock", recipe.Options{Layout: l, ID: "zabd"}).Campaign, o.addOne)
	}
}

func readWrite(l recipe.Layout) func(ctx context.Context, o ours) error {
	return func(ctx context.Context, o ours) error {
		m := recipe.NewRWMutex(o.c, o.root+"/lock", recipe.Options{Layout: l})
		both := func(ctx context.Context) error { return o.add(ctx, "n", "m") }
		look := func(ctx context.Context) error {
			n, err := o.number(ctx, "n")
			m, err2 := o.number(ctx, "m")
			if n != m {
				return fmt.Errorf("m is %d beside n, which is %d", m, n)
			}
			return errors.Join(err, err2)
		}
		var reading sync.WaitGroup
		var err error
		reading.Go(func() { err = o.hold(ctx, m.RLock, look) })
		err2 := o.hold(ctx, m.Lock, both)
		reading.Wait()
		return errors.Join(err, err2)
	}
}

// besideReader finds that the other side holds the lock for reading, until it is told to give it back.
func besideReader(ctx context.Context, o ours) error {
	m := recipe.NewRWMutex(o.c, o.root+"/lock", recipe.Options{Layout: recipe.Kazoo})
	if err := o.awaitSeen(ctx); err != nil {
		return err
	}
	h, err := m.TryRLock(ctx)
	if err != nil {
		return err
	}
	if err := h.Release(ctx); err != nil {
		return err
	}
	if _, err := m.TryLock(ctx); !errors.Is(err, recipe.ErrBusy) {
		return fmt.Errorf("TryLock beside a reader = %w", err)
	}
	if err := o.c.Delete(ctx, o.root+"/seen", -1); err != nil {
		return err
	}
	h, err = m.Lock(ctx)
	if err != nil {
		return err
	}
	return h.Release(ctx)
}

func semaphore(ctx context.Context, o ours) error {
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() {
			errs[i] = o.hold(ctx, recipe.NewSemaphore(o.c, o.root+"/semaphore", 2, recipe.Options{}).Acquire, func(ctx context.Context) error {
				me, _, err := o.c.Create(ctx, o.root+"/inside/x", nil, client.ModeEphemeralSequential)
				if err != nil {
					return err
				}
				inside, _, err := o.c.Children(ctx, o.root+"/inside")
				if len(inside) > 2 {
					err = fmt.Errorf("%d are inside", len(inside))
				}
				return errors.Join(err, o.c.Delete(ctx, me, -1))
			})
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

func doubleBarrier(ctx context.Context, o ours) error {
	b := recipe.NewDoubleBarrier(o.c, o.root+"/barrier", 2, recipe.Options{})
	for i := range turns {
		round := fmt.Sprintf("%s/round%d", o.root, i)
		_, _, err := o.c.Create(ctx, round, nil, client.ModePersistent)
		if err != nil && !errors.Is(err, client.ErrNodeExists) {
			return err
		}
		if _, _, err := o.c.Create(ctx, round+"/x", nil, client.ModePersistentSequential); err != nil {
			return err
		}
		in, err := b.Enter(ctx)
		if err != nil {
			return err
		}
		if names, _, err := o.c.Children(ctx, round); err != nil || len(names) != 2 {
			return fmt.Errorf("members inside %q, %v", names, err)
		}
		if err := in.Leave(ctx); err != nil {
			return err
		}
	}
	return nil
}

// item is what the other side puts in, or is to take out, in turn i.
func item(i int) []byte { return fmt.Appendf(nil, "item %d", i) }

func queue(ctx context.Context, o ours) error {
	from, to := recipe.NewQueue(o.c, o.root+"/to", recipe.Options{}), recipe.NewQueue(o.c, o.root+"/from", recipe.Options{})
	for i := range turns {
		if err := to.Put(ctx, item(i)); err != nil {
			return err
		}
	}
	for i := range turns {
		if got, err := from.Take(ctx); err != nil || !bytes.Equal(got, item(i)) {
			return fmt.Errorf("took %q, %v, want %q", got, err, item(i))
		}
	}
	return nil
}

// priorities takes what kazoo has put in, the odd ones of which go first, once all is there.
func priorities(ctx context.Context, o ours) error {
	from, to := recipe.NewPriorityQueue(o.c, o.root+"/to", recipe.Options{}), recipe.NewPriorityQueue(o.c, o.root+"/from", recipe.Options{})
	for n := 0; n < turns; {
		var err error
		if n, err = from.Len(ctx); err != nil {
			return err
		}
	}
	for _, first := range []int{1, 0} {
		for i := first; i < turns; i += 2 {
			if got, err := from.Take(ctx); err != nil || !bytes.Equal(got, item(i)) {
				return fmt.Errorf("took %q, %v, want %q", got, err, item(i))
			}
		}
	}
	for i := range turns {
		if err := to.Put(ctx, i, item(i)); err != nil {
			return err
		}
	}
	return nil
}

// count adds as the other side does, and afterwards there is the sum.
func count(formats map[string]recipe.Format) func(ctx context.Context, o ours) error {
	return func(ctx context.Context, o ours) error {
		for range turns {
			for name, f := range formats {
				if _, err := recipe.NewCounter(o.c, o.root+"/"+name, f, recipe.Options{}).Add(ctx, 1); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func group(ctx context.Context, o ours) error {
	g := recipe.NewGroup(o.c, o.root+"/group", recipe.Options{})
	if _, err := g.Join(ctx, "zabd", []byte("ours")); err != nil {
		return err
	}
	seeing, stop := context.WithCancel(ctx)
	defer stop()
	err := g.Follow(seeing, func(all []recipe.Member) {
		for _, m := range all {
			if m.ID == "curator" && string(m.Data) == "theirs" {
				stop()
			}
		}
	})
	return o.seen(ctx, err)
}

func discovery(ctx context.Context, o ours) error {
	r := recipe.NewRegistry(o.c, o.root+"/services", recipe.Options{})
	us := recipe.Instance{Service: "svc", ID: "zabd", Address: "127.0.0.2", Port: 2, Payload: json.RawMessage(`{"@class":"java.util.HashMap","zone":"a"}`)}
	if _, err := r.Register(ctx, us); err != nil {
		return err
	}
	seeing, stop := context.WithCancel(ctx)
	defer stop()
	err := r.Follow(seeing, "svc", func(all []recipe.Instance) {
		for _, i := range all {
			if i.ID == "curator" && i.Address == "127.0.0.1" && i.Port == 1 && strings.Contains(string(i.Payload), `"zone":"b"`) {
				stop()
			}
		}
	})
	return o.seen(ctx, err)
}

// seen waits until the other side has seen us, after we have seen it, and ends its part.
func (o ours) seen(ctx context.Context, err error) error {
	if !errors.Is(err, context.Canceled) {
		return err
	}
	if err := o.awaitSeen(ctx); err != nil {
		return err
	}
	return o.c.Delete(ctx, o.root+"/seen", -1)
}

// awaitSeen waits for the node by which the other side says that it has come so far. It waits until that goes.
func (o ours) awaitSeen(ctx context.Context) error {
	for {
		_, there, fired, err := o.c.ExistsW(ctx, o.root+"/seen")
		if err != nil || there {
			return err
		}
		select {
		case <-fired:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// A scene is a scenario that the other side knows by name.
type scene struct {
	name string
	ours func(ctx context.Context, o ours) error
	sums map[string]recipe.Format // numbers to which each side has added one in each turn
}

// play plays it with others, and then looks at the sums.
func (x scene) play(t *testing.T, o ours, others ...*process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, path := range []string{"", "/n", "/m", "/inside"} {
		if _, _, err := o.c.Create(ctx, o.root+path, []byte("0"), client.ModePersistent); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range others {
		p.send(t, fmt.Sprintf("%s %s %d", x.name, o.root, turns))
	}
	if err := x.ours(ctx, o); err != nil {
		for _, p := range others {
			t.Logf("the other side said:\n%s", p.tail())
		}
		t.Fatal(err)
	}
	for _, p := range others {
		p.expect(t, regexp.MustCompile(`(?m)^done `+x.name+`$`))
	}
	for name, f := range x.sums {
		want := int64(turns * (1 + len(others)))
		if n, err := recipe.NewCounter(o.c, o.root+"/"+name, f, recipe.Options{}).Get(ctx); err != nil || n != want {
			t.Fatalf("%s is %d, %v, want %d", name, n, err, want)
		}
	}
}

// TestRecipesBesideOthers shares each recipe with a program on another library: locks exclude, queues hand over, members
// see each other. Then Curator, kazoo and ours contend for one lock.
func TestRecipesBesideOthers(t *testing.T) {
	t.Parallel()
	s := serve(t, underTest)
	c := ourClient(t, s.addr, client.Options{})
	n, both := map[string]recipe.Format{"n": recipe.Decimal}, map[string]recipe.Format{"n": recipe.Decimal, "m": recipe.Decimal}
	curators := map[string]recipe.Format{"long": recipe.Binary64, "int": recipe.Binary32}
	kazoos := map[string]recipe.Format{"text": recipe.Decimal, "int": recipe.Binary32}
	curator, kazoo := startProcess(t, append(compileCurator(t), s.addr)), startProcess(t, append(kazooRecipes(t), s.addr))
	t.Run("each", func(t *testing.T) {
		t.Run("curator", func(t *testing.T) {
			t.Parallel()
			for _, x := range []scene{
				{"mutex", lock(recipe.Curator), n},
				{"readwrite", readWrite(recipe.Curator), both},
				{"selector", lead(recipe.Curator), n},
				{"latch", lead(recipe.Latch), n},
				{"semaphore", semaphore, nil},
				{"barrier", doubleBarrier, nil},
				{"queue", queue, nil},
				{"counter", count(curators), curators},
				{"group", group, nil},
				{"discovery", discovery, nil},
			} {
				t.Run(x.name, func(t *testing.T) { x.play(t, ours{c, "/curator-" + x.name}, curator) })
			}
		})
		t.Run("kazoo", func(t *testing.T) {
			t.Parallel()
			for _, x := range []scene{
				{"lock", lock(recipe.Kazoo), n},
				{"seeing", lock(recipe.Curator), n},
				{"writer", readWrite(recipe.Kazoo), both},
				{"reader", besideReader, nil},
				{"election", lead(recipe.Kazoo), n},
				{"barrier", doubleBarrier, nil},
				{"queue", priorities, nil},
				{"counter", count(kazoos), kazoos},
			} {
				t.Run(x.name, func(t *testing.T) { x.play(t, ours{c, "/kazoo-" + x.name}, kazoo) })
			}
		})
	})
	t.Run("all", func(t *testing.T) {
		scene{"mutex", lock(recipe.Curator), n}.play(t, ours{c, "/all"}, curator, kazoo)
	})
}
