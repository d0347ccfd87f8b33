package client_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"
	"time"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/daemon"
	"github.com/zabd/zabd/pkg/proto"
)

// startServer starts a server for an example and returns its address.
func startServer() (address string, stop func()) {
	dir, err := os.MkdirTemp("", "zabd-example-")
	if err != nil {
		log.Fatal(err)
	}
	cfg := config.Default()
	cfg.DataDir, cfg.ClientPort, cfg.ClientPortAddress, cfg.PreAllocSize = dir, 0, "127.0.0.1", 64<<10
	s, err := daemon.Start(context.Background(), cfg.Complete(), daemon.Options{Log: slog.New(slog.DiscardHandler), Version: "example"})
	if err != nil {
		log.Fatal(err)
	}
	return s.ClientAddr(), func() {
		_ = s.Close(context.Background())
		_ = os.RemoveAll(dir)
	}
}

func Example() {
	servers, stop := startServer() // or "zk1:2181,zk2:2181,zk3:2181/chroot"
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	c, err := client.New(servers, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	if _, _, err := c.Create(ctx, "/greeting", []byte("hello"), client.ModePersistent); err != nil {
		log.Fatal(err)
	}
	data, stat, err := c.Get(ctx, "/greeting")
	fmt.Printf("%s, version %d, %v\n", data, stat.Version, err)

	// Another one has changed the node meanwhile: the version tells.
	if _, err := c.Set(ctx, "/greeting", []byte("good morning"), stat.Version); err != nil {
		log.Fatal(err)
	}
	_, err = c.Set(ctx, "/greeting", []byte("good night"), stat.Version)
	fmt.Println(errors.Is(err, client.ErrBadVersion))
	fmt.Println(err)
	// Output:
	// hello, version 0, <nil>
	// true
	// client: setData /greeting: bad version (-103): the node has changed meanwhile; read it again
}

// Many calls are under way at once, on one connection; each Future has the result of one.
func ExampleClient_Async() {
	servers, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(servers, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	var nodes []*client.Future[client.Created]
	for range 100 {
		nodes = append(nodes, c.Async().Create("/n-", nil, client.ModePersistentSequential))
	}
	for _, f := range nodes[98:] {
		node, err := f.Wait(ctx)
		fmt.Println(node.Path, err)
	}

	told := make(chan string)
	c.Async().AllChildrenNumber("/").Then(func(n int, err error) { told <- fmt.Sprint(n >= 100, " ", err) })
	fmt.Println(<-told)
	// Output:
	// /n-0000000098 <nil>
	// /n-0000000099 <nil>
	// true <nil>
}

// A loop that follows a node: read it, wait until it has changed, read it again.
func ExampleClient_GetW() {
	servers, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(servers, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	_, _, _ = c.Create(ctx, "/settings", []byte("blue"), client.ModePersistent)

	for {
		data, _, changed, err := c.GetW(ctx, "/settings")
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", data)
		if string(data) == "blue" {
			c.Async().Set("/settings", []byte("green"), client.AnyVersion) // somebody else would
		} else {
			c.Async().Delete("/settings", client.AnyVersion)
		}
		if e := <-changed; e.Err != nil { // the session is over, or the client closed
			fmt.Println(e.Err)
			return
		}
	}
	// Output:
	// blue
	// green
	// client: getData /settings: no node (-101)
}

// A recursive watch tells of a whole subtree, for as long as it is wanted.
func ExampleClient_AddWatch() {
	servers, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(servers, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	w, err := c.AddWatch(ctx, "/app", client.Recursive)
	if err != nil {
		log.Fatal(err)
	}
	defer w.Close()
	_, err = c.Txn().Create("/app", nil, client.ModePersistent).Create("/app/a", nil, client.ModePersistent).Commit(ctx)
	if err != nil {
		log.Fatal(err)
	}
	_, _ = c.Set(ctx, "/app/a", []byte("x"), client.AnyVersion)
	_ = c.Delete(ctx, "/app/a", client.AnyVersion)
	for e := range w.Events() {
		if e.Type == client.EventReconnected {
			continue // events may be missing: read the subtree again
		}
		fmt.Println(e.Path, e.Type)
		if e.Type == client.EventDeleted {
			break
		}
	}
	// Output:
	// /app created
	// /app/a created
	// /app/a data changed
	// /app/a deleted
}

// All of the operations are done, or none.
func ExampleClient_Txn() {
	servers, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(servers, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	r, err := c.Txn().
		Create("/account", []byte("100"), client.ModePersistent).
		Create("/account/log-", []byte("opened"), client.ModePersistentSequential).
		Commit(ctx)
	fmt.Println(r[1].Path, err)

	_, err = c.Txn().
		Set("/account", []byte("50"), 0).
		Check("/limits", 3).
		Commit(ctx)
	fmt.Println(errors.Is(err, client.ErrNoNode), err)
	// Output:
	// /account/log-0000000000 <nil>
	// true client: nothing is done, operation 1 failed: client: check /limits: no node (-101)
}

// A change without an answer may have happened: the node tells.
func ExampleUncertain() {
	servers, stop := startServer()
	defer stop()
	ctx := context.Background()
	c, err := client.New(servers, client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()

	_, _, err = c.Create(ctx, "/job", []byte("mine"), client.ModeEphemeral)
	if client.Uncertain(err) {
		_ = c.Sync(ctx, "/job")
		var stat client.Stat
		if stat, _, err = c.Exists(ctx, "/job"); err == nil && stat.EphemeralOwner != c.SessionID() {
			err = errors.New("it has not, or somebody else's is there")
		}
	}
	fmt.Println(err)
	// Output: <nil>
}

// Connections are encrypted by a dialer; slog and hooks tell what goes on.
func ExampleOptions() {
	_, err := client.New("zk1:2281,zk2:2281", client.Options{
		Timeout: 20 * time.Second,
		Auth:    []client.Auth{{Scheme: "digest", Credential: []byte("user:password")}},
		Dial:    (&tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS13}}).DialContext,
		Log:     slog.Default(),
		Metrics: client.Metrics{
			Call: func(op proto.Op, took time.Duration, err error) { /* count, observe */ },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}
