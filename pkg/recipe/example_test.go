package recipe_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
	"github.com/zabd/zabd/pkg/recipe"
)

// open starts a server for an example and connects to it. A program of your own has only client.New with the addresses of its
// servers, "zk1:2181,zk2:2181,zk3:2181".
func open() (c *client.Client, done func()) {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		log.Fatal(err)
	}
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress, cfg.PreAllocSize = dir, 0, "127.0.0.1", 64<<10
	s, err := daemon.Start(context.Background(), cfg.Complete(), daemon.Options{Log: slog.New(slog.DiscardHandler), Version: "example"})
	if err != nil {
		log.Fatal(err)
	}
	c, err = client.New(s.ClientAddr(), client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return c, func() {
		_ = c.Close()
		_ = s.Close(context.Background())
		_ = os.RemoveAll(dir)
	}
}

// A job that only one of many programs may do at a time. Its write goes through only while the lock is held: the transaction
// checks the lock's node.
func ExampleMutex() {
	c, done := open()
	defer done()
	ctx := context.Background()

	m := recipe.NewMutex(c, "/locks/report", recipe.Options{ID: "host-1"})
	lock, err := m.Lock(ctx)
	if err != nil {
		log.Fatal(err)
	}
	defer lock.Release(ctx)

	_, err = c.Txn().
		Check(lock.Path(), client.AnyVersion).
		Create("/report", []byte("written under the lock"), client.ModePersistent).
		Commit(lock.Context()) // which ends when the lock is lost
	fmt.Println("written:", err == nil)

	_, err = m.TryLock(ctx)
	fmt.Println("busy:", errors.Is(err, recipe.ErrBusy))
	// Output:
	// written: true
	// busy: true
}

// One of the candidates leads until it resigns, or its session ends.
func ExampleElection_Run() {
	c, done := open()
	defer done()
	ctx, stop := context.WithCancel(context.Background())

	e := recipe.NewElection(c, "/election", recipe.Options{ID: "host-1"})
	err := e.Run(ctx, func(ctx context.Context, term *recipe.Hold) error {
		leader, err := e.Leader(ctx)
		if err != nil {
			return err
		}
		fmt.Println("leader:", leader.ID)
		stop()
		<-ctx.Done() // a leader works until it no longer is one
		return nil
	})
	fmt.Println("ended:", err)
	// Output:
	// leader: host-1
	// ended: context canceled
}

// Services are found by name, not by address.
func ExampleRegistry() {
	c, done := open()
	defer done()
	ctx := context.Background()

	names := recipe.NewRegistry(c, "/services", recipe.Options{})
	i := recipe.Instance{Service: "orders", ID: "orders-1", Address: "10.0.0.7", Port: 8080, Payload: json.RawMessage(`{"zone":"a"}`)}
	registered, err := names.Register(ctx, i)
	if err != nil {
		log.Fatal(err)
	}
	found, err := names.Resolve(ctx, "orders")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s is at %s:%d, %s\n", found.Service, found.Address, found.Port, found.Payload)

	if err := registered.Release(ctx); err != nil {
		log.Fatal(err)
	}
	_, err = names.Resolve(ctx, "orders")
	fmt.Println(err)
	// Output:
	// orders is at 10.0.0.7:8080, {"zone":"a"}
	// recipe: the service has no instance: orders
}

// Ids that grow by one, for one write each.
func ExampleSequence() {
	c, done := open()
	defer done()

	invoices := recipe.NewSequence(c, "/ids/invoice", recipe.Options{})
	for range 3 {
		id, err := invoices.Next(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(id)
	}
	// Output:
	// 1
	// 2
	// 3
}

// Ids by the thousand: the servers are asked once for each block.
func ExampleBlocks() {
	c, done := open()
	defer done()

	here := recipe.NewBlocks(c, "/ids/event", 1000, recipe.Options{})
	there := recipe.NewBlocks(c, "/ids/event", 1000, recipe.Options{})
	for _, ids := range []*recipe.Blocks{here, there, here} {
		id, err := ids.Next(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(id)
	}
	// Output:
	// 1
	// 1001
	// 2
}

// Configuration that a program has at hand, and that follows its node.
func ExampleFollowConfig() {
	c, done := open()
	defer done()
	ctx := context.Background()

	type settings struct{ Workers int }
	write := func(text string) {
		err := recipe.Update(ctx, c, "/config/app", recipe.Options{}, func([]byte) ([]byte, error) { return []byte(text), nil })
		if err != nil {
			log.Fatal(err)
		}
	}
	write(`{"Workers": 4}`)

	app, err := recipe.FollowConfig(ctx, c, "/config/app", func(b []byte) (s settings, err error) {
		return s, json.Unmarshal(b, &s)
	})
	if err != nil {
		log.Fatal(err)
	}
	defer app.Close()
	fmt.Println("workers:", app.Value().Workers)

	changed := app.Changed()
	write(`{"Workers": 8}`)
	<-changed
	fmt.Println("workers:", app.Value().Workers)

	changed = app.Changed()
	write(`{"Workers": "many"}`)
	<-changed
	fmt.Println("workers:", app.Value().Workers, "because version", app.Stat().Version, "was the last good one")
	// Output:
	// workers: 4
	// workers: 8
	// workers: 8 because version 2 was the last good one
}

// Who is there: members are gone when they leave, and when their sessions end.
func ExampleGroup() {
	c, done := open()
	defer done()
	ctx := context.Background()

	g := recipe.NewGroup(c, "/groups/workers", recipe.Options{})
	for _, id := range []string{"a", "b"} {
		m, err := g.Join(ctx, id, []byte("idle"))
		if err != nil {
			log.Fatal(err)
		}
		defer m.Release(ctx)
	}
	members, err := g.Members(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, m := range members {
		fmt.Printf("%s is %s\n", m.ID, m.Data)
	}
	// Output:
	// a is idle
	// b is idle
}

// A copy of a tree, to be looked at without asking a server.
func ExampleOpenTree() {
	c, done := open()
	defer done()
	ctx := context.Background()

	tree, err := recipe.OpenTree(ctx, c, "/flags", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer tree.Close()
	changed := tree.Changed()
	if _, _, err := c.Create(ctx, "/flags", []byte("on"), client.ModePersistent); err != nil {
		log.Fatal(err)
	}
	<-changed
	n, ok := tree.Get("/flags")
	fmt.Println(string(n.Data), ok)
	// Output:
	// on true
}
