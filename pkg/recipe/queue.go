package recipe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/client"
)

// A Queue hands each item to one taker, first in, first out. An item is out of the queue before its taker works on it: what a
// taker does not finish is lost.
type Queue struct{ store }

// NewQueue returns the queue whose items are children of path. Nothing is asked of the server.
func NewQueue(c *client.Client, path string, o Options) *Queue {
	return &Queue{newStore(c, path, "qn-", o)}
}

// Put puts an item in, once, through lost connections too. If the session ends, or ctx, before it is known whether it is
// in, the error says that it may have happened.
func (q *Queue) Put(ctx context.Context, data []byte) error { return q.put(ctx, "qn-", data) }

// The priorities of a PriorityQueue.
const (
	FirstPriority   = 0
	DefaultPriority = 100 // kazoo's, where none is said
	LastPriority    = 999
)

// A PriorityQueue is a Queue from which the items with the lowest number are taken first.
type PriorityQueue struct{ store }

// NewPriorityQueue returns the queue whose items are children of path. Nothing is asked of the server.
func NewPriorityQueue(c *client.Client, path string, o Options) *PriorityQueue {
	return &PriorityQueue{newStore(c, path, "entry-", o)}
}

// A PriorityError is a priority that cannot be.
type PriorityError int

// Error returns the sentence.
func (e PriorityError) Error() string {
	return fmt.Sprintf("recipe: priority %d is not between %d and %d", int(e), FirstPriority, LastPriority)
}

// Put puts an item in, FirstPriority to LastPriority, once, as Queue.Put.
func (q *PriorityQueue) Put(ctx context.Context, priority int, data []byte) error {
	if priority < FirstPriority || priority > LastPriority {
		return PriorityError(priority)
	}
	return q.put(ctx, fmt.Sprintf("entry-%03d-", priority), data)
}

// A store is the items of a queue, and beside them a directory of its clients: those who wait for an item stand in line
// there, and the first alone watches the items, so that one that is put in wakes one; and there are the receipts of what
// is put in and taken.
type store struct {
	dir
	mark     string // that the names of items begin with
	waiting  contest
	receipts *receipts
}

func newStore(c *client.Client, path, mark string, o Options) store {
	o.Layout = Curator
	waiting := newContest(c, path+"-clients", o)
	return store{dir{c, path, o.ACL, client.ModeContainer}, mark, waiting, &receipts{dir: waiting.dir}}
}

func (s store) put(ctx context.Context, name string, data []byte) error {
	return s.made(ctx, func() error {
		return s.receipts.once(ctx, func(t *client.Txn) { t.Create(s.in(name), data, client.ModePersistentSequential, s.acl...) })
	})
}

// Len returns the number of items.
func (s store) Len(ctx context.Context) (int, error) {
	names, err := s.list(ctx)
	return len(s.order(names)), err
}

// TryTake takes an item; ok is false where Take would wait. As for errors, it is as Take.
func (s store) TryTake(ctx context.Context) (data []byte, ok bool, err error) {
	names, err := s.list(ctx)
	if err != nil {
		return nil, false, err
	}
	return s.first(ctx, names)
}

// Take waits until there is an item, and takes it. It is taken once, through lost connections too. Only where the session
// ends, or ctx, before it is known whether it was this call that took the item, the item comes with an error that says
// so: another may have it as well.
func (s store) Take(ctx context.Context) ([]byte, error) {
	if data, ok, err := s.TryTake(ctx); ok || err != nil {
		return data, err
	}
	h, err := s.waiting.enter(ctx, exclusive, true)
	if err != nil {
		return nil, err
	}
	defer h.withdraw(nil)
	for {
		names, changed, err := s.listW(ctx)
		if err != nil {
			return nil, err
		}
		if data, ok, err := s.first(ctx, names); ok || err != nil {
			return data, err
		}
		select {
		case <-changed:
		case <-h.ctx.Done():
			return nil, h.Err()
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		if data, ok, err := s.TryTake(ctx); ok || err != nil { // without a watch, which would tell what this does itself
			return data, err
		}
	}
}

// first takes the first of the items that is still there.
func (s store) first(ctx context.Context, names []string) (data []byte, ok bool, err error) {
	for _, name := range s.order(names) {
		data, _, err := s.get(ctx, name)
		if err != nil {
			if errors.Is(err, client.ErrNoNode) {
				continue // another was quicker
			}
			return nil, false, err
		}
		ok, err := s.take(ctx, name)
		if ok || err != nil {
			return data, ok, err
		}
	}
	return nil, false, nil
}

// take deletes an item; ok is false if another did. If it cannot be known who did, the item is given out with the error,
// rather than lost.
func (s store) take(ctx context.Context, name string) (ok bool, err error) {
	err = s.receipts.once(ctx, func(t *client.Txn) { t.Delete(s.in(name), client.AnyVersion) })
	if errors.Is(err, client.ErrNoNode) {
		return false, nil
	}
	return err == nil || client.Uncertain(err), err
}

// order returns the names of items, the first to be taken first.
func (s store) order(names []string) []string {
	type item struct {
		name     string
		priority string // three digits, or none
		seq      int32
	}
	var items []item
	for _, name := range names {
		rest, is := strings.CutPrefix(name, s.mark)
		if !is || len(rest) < 10 {
			continue
		}
		i := item{name: name}
		if s.mark == "entry-" {
			i.priority, rest, is = strings.Cut(rest, "-")
		}
		seq, err := strconv.ParseInt(rest, 10, 32)
		if i.seq = int32(seq); is && err == nil {
			items = append(items, i)
		}
	}
	slices.SortFunc(items, func(a, b item) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), int(a.seq-b.seq))
	})
	var ordered []string
	for _, i := range items {
		ordered = append(ordered, i.name)
	}
	return ordered
}
