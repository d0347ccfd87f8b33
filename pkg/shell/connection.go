package shell

import (
	"context"
	"strings"
	"sync"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// connection is a client as zkCli has it: reads leave watches by a flag, all events go to the shell, a session that is over
// stays over, and a command does not wait for a connection for longer than it takes to try all servers.
type connection struct {
	*client.Client
	shell   *Shell
	servers int           // how many there are
	told    chan struct{} // closed when the first session event has been told
	done    chan struct{} // closed when the last one has

	mu      sync.Mutex
	watches map[watch]bool     // those that stand
	left    int                // servers that may still fail before the command under way is given up
	giveUp  context.CancelFunc // of the command under way; nil if there is none
}

// A watch is what this client has left at a server, which tells of it once, however often it was left.
type watch struct {
	kind proto.WatcherType
	path string
}

func dial(s *Shell, servers string) (*connection, error) {
	hosts, _, _ := strings.Cut(servers, "/")
	z := &connection{shell: s, servers: strings.Count(hosts, ",") + 1, told: make(chan struct{}), done: make(chan struct{}), watches: map[watch]bool{}}
	var auth []client.Auth
	for _, a := range s.Auth {
		auth = append(auth, client.Auth{Scheme: a.Scheme, Credential: []byte(a.Text)})
	}
	c, err := client.New(servers, client.Options{
		Timeout: s.Timeout, OneSession: true, ReadOnly: s.ReadOnly, Auth: auth, Notified: z.fired, Metrics: client.Metrics{Lost: z.lost},
	})
	if err != nil {
		return nil, err
	}
	z.Client = c
	go z.follow(c.Events())
	return z, nil
}

// follow tells what becomes of the session.
func (z *connection) follow(events <-chan client.SessionEvent) {
	defer close(z.done)
	first := sync.OnceFunc(func() { close(z.told) })
	defer first()
	for e := range events {
		if name, ok := stateNames[e.State]; ok {
			z.shell.happened(event{name, "None", "null", -1})
			first()
		}
	}
}

// close ends the session; the servers end one that cannot be told.
func (z *connection) close() {
	_ = z.Close()
	<-z.done
}

// alive tells whether there is a session, or may be one yet.
func (z *connection) alive() bool {
	if z == nil {
		return false
	}
	switch z.State() {
	case client.StateExpired, client.StateAuthFailed, client.StateClosed:
		return false
	}
	return true
}

// lost counts servers that could not be connected to while a command waits for one.
func (z *connection) lost(_ string, err error) {
	if _, was := err.(*client.LossError); was {
		return // it may be there again
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.left--; z.left == 0 && z.giveUp != nil {
		z.giveUp()
	}
}

// patience returns the context of a command: it ends when all servers have failed since.
func (z *connection) patience(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	z.mu.Lock()
	defer z.mu.Unlock()
	z.left, z.giveUp = z.servers, cancel
	return ctx, cancel
}

// fired tells an event, and forgets the watches that it ends.
func (z *connection) fired(e client.Event) {
	z.mu.Lock()
	if e.Type != client.EventChildrenChanged {
		delete(z.watches, watch{proto.WatcherData, e.Path})
	}
	if e.Type == client.EventDeleted || e.Type == client.EventChildrenChanged {
		delete(z.watches, watch{proto.WatcherChildren, e.Path})
	}
	z.mu.Unlock()
	zxid := e.Zxid
	if zxid == 0 {
		zxid = -1 // the server does not tell
	}
	z.shell.happened(event{"SyncConnected", kindNames[e.Type], e.Path, zxid})
}

// leave notes that a watch is about to be left, and tells whether there is none yet. It comes before the request, for the
// event may come before the answer has been seen.
func (z *connection) leave(w watch) (fresh bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	fresh = !z.watches[w]
	z.watches[w] = true
	return fresh
}

// unless takes that back if the request has failed.
func (z *connection) unless(err error, w watch) {
	if err == nil {
		return
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	delete(z.watches, w)
}

func (z *connection) get(ctx context.Context, path string, watched bool) (data []byte, stat proto.Stat, err error) {
	w := watch{proto.WatcherData, path}
	if !watched || !z.leave(w) {
		return z.Get(ctx, path)
	}
	data, stat, _, err = z.GetW(ctx, path)
	z.unless(err, w)
	return data, stat, err
}

func (z *connection) config(ctx context.Context, watched bool) (data []byte, stat proto.Stat, err error) {
	w := watch{proto.WatcherData, configNode}
	if !watched || !z.leave(w) {
		return z.Config(ctx)
	}
	data, stat, _, err = z.ConfigW(ctx)
	z.unless(err, w)
	return data, stat, err
}

func (z *connection) exists(ctx context.Context, path string, watched bool) (stat proto.Stat, ok bool, err error) {
	w := watch{proto.WatcherData, path}
	if !watched || !z.leave(w) {
		return z.Exists(ctx, path)
	}
	stat, ok, _, err = z.ExistsW(ctx, path)
	z.unless(err, w)
	return stat, ok, err
}

func (z *connection) children(ctx context.Context, path string, watched bool) (names []string, stat proto.Stat, err error) {
	w := watch{proto.WatcherChildren, path}
	if !watched || !z.leave(w) {
		return z.Children(ctx, path)
	}
	names, stat, _, err = z.ChildrenW(ctx, path)
	z.unless(err, w)
	return names, stat, err
}

func (z *connection) addWatch(ctx context.Context, path string, mode client.WatchMode) error {
	w := watch{proto.WatcherPersistent, path}
	if mode == client.Recursive {
		w.kind = proto.WatcherRecursive
	}
	if !z.leave(w) {
		return nil
	}
	_, err := z.AddWatchFunc(ctx, path, mode, func(client.Event) {}) // fired tells it
	z.unless(err, w)
	return err
}

// removals are the events by which a client learns that its watches are gone.
var removals = []struct {
	name  string
	kinds []proto.WatcherType
}{
	{"ChildWatchRemoved", []proto.WatcherType{proto.WatcherChildren}},
	{"DataWatchRemoved", []proto.WatcherType{proto.WatcherData}},
	{"PersistentWatchRemoved", []proto.WatcherType{proto.WatcherPersistent, proto.WatcherRecursive}},
}

// removeWatches removes watches at the server, or here alone if local says so and there is no server. Servers before 3.9 may
// say that they have removed what was never there.
func (z *connection) removeWatches(ctx context.Context, path string, kind proto.WatcherType, local bool) error {
	err := z.RemoveWatches(ctx, path, kind)
	if code, _ := codeOf(err); err != nil && local && code == proto.ConnectionLoss {
		z.ForgetWatches(path, kind)
		err = nil
	}
	if err != nil {
		return err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	err = proto.NoWatcher
	for _, r := range removals {
		had := false
		for _, k := range r.kinds {
			if w := (watch{k, path}); z.watches[w] && (kind == k || kind == proto.WatcherAny) {
				had = true
				delete(z.watches, w)
			}
		}
		if had {
			err = nil
			z.shell.happened(event{"SyncConnected", r.name, path, -1})
		}
	}
	return err
}
