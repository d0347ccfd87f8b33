package recipe

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// A ConfigError says that a node's data cannot be used. The value before it stays in force.
type ConfigError struct {
	Path    string
	Version int32 // of the node
	Err     error
}

// Error names the node, its version and what is wrong.
func (e *ConfigError) Error() string {
	return fmt.Sprintf("recipe: version %d of %s: %v", e.Version, e.Path, e.Err)
}

// Unwrap returns what is wrong.
func (e *ConfigError) Unwrap() error { return e.Err }

// A Config is a value that follows a node. It outlives sessions.
type Config[T any] struct {
	at     dir
	decode func([]byte) (T, error)
	stop   context.CancelFunc
	ended  chan struct{}

	mu      sync.Mutex // guards what follows
	value   T
	stat    proto.Stat // of the value
	err     error
	changed chan struct{}
}

// FollowConfig returns the value of the node at path, and keeps it up to date until Close. decode says what the data
// mean. It is an error if there is no such node, or decode refuses it: a program that is just starting had better not.
func FollowConfig[T any](ctx context.Context, c *client.Client, path string, decode func([]byte) (T, error)) (*Config[T], error) {
	f := &Config[T]{at: dir{c: c, path: path}, decode: decode, ended: make(chan struct{}), changed: make(chan struct{})}
	data, stat, fired, err := c.GetW(ctx, path)
	if err != nil {
		return nil, err
	}
	if f.take(data, stat); f.err != nil {
		return nil, f.err
	}
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	go f.follow(ctx, fired)
	return f, nil
}

// Value returns the newest good value. It asks nobody.
func (f *Config[T]) Value() T {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.value
}

// Stat returns that of the node when it had the value.
func (f *Config[T]) Stat() proto.Stat {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.stat
}

// Err says why the value is not what the node says now: a *ConfigError, a deleted node (client.ErrNoNode), or why it is
// followed no longer. nil is all well.
func (f *Config[T]) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

// Changed returns a channel that is closed when the value or Err changes next. Ask for it before the value.
func (f *Config[T]) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.changed
}

// Close ends it.
func (f *Config[T]) Close() {
	f.stop()
	<-f.ended
}

// follow waits for changes.
func (f *Config[T]) follow(ctx context.Context, fired <-chan client.Event) {
	defer close(f.ended)
	for {
		select {
		case <-fired:
		case <-ctx.Done():
			f.fail(client.ErrClosed)
			return
		}
		data, stat, next, err := f.at.c.GetW(ctx, f.at.path)
		if errors.Is(err, client.ErrNoNode) {
			f.fail(err)
			var there bool
			if _, there, next, err = f.at.c.ExistsW(ctx, f.at.path); err == nil && there {
				next = now()
			}
		} else if err == nil {
			f.take(data, stat)
		}
		switch {
		case err == nil:
			fired = next
		case passing(err) && f.at.c.Connected(ctx) == nil:
			fired = now()
		default:
			f.fail(err)
			return
		}
	}
}

// take takes what the node says.
func (f *Config[T]) take(data []byte, stat proto.Stat) {
	value, err := f.decode(data)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.err = &ConfigError{f.at.path, stat.Version, err}
	} else {
		f.value, f.stat, f.err = value, stat, nil
	}
	f.tell()
}

func (f *Config[T]) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	f.tell()
}

func (f *Config[T]) tell() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// now is the channel of a watch that has fired.
func now() <-chan client.Event {
	ch := make(chan client.Event)
	close(ch)
	return ch
}

// Update replaces the data of a node by what f makes of it, and makes the node if it is missing. When another has changed
// it meanwhile, f is called anew with what that has left. If it cannot be known whether the change has happened, the
// error says so.
func Update(ctx context.Context, c *client.Client, path string, o Options, f func(old []byte) ([]byte, error)) error {
	return dir{c, path, o.ACL, client.ModePersistent}.update(ctx, f)
}
