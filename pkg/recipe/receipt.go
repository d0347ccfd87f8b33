package recipe

import (
	"context"
	"errors"
	"strconv"
	"sync"

	"github.com/zabd/zabd/pkg/client"
)

// receipts let a transaction be done exactly once, though its answer may be lost: the transaction also writes a number
// into an ephemeral node of this client, and whether that is there tells whether the transaction has happened. Each call
// that is under way has a node of its own; nodes are used again, and go with the session.
type receipts struct {
	dir
	mu   sync.Mutex
	free []receipt
}

type receipt struct {
	path    string
	session int64
	number  int64
}

// once does the operations that add adds to a transaction, exactly once. A *client.TxnError counts them from 1. If the
// session, or ctx, ended before it was known whether they were done, the error says so.
func (r *receipts) once(ctx context.Context, add func(t *client.Txn)) error {
	for {
		one, err := r.borrow(ctx)
		if err != nil {
			return err
		}
		one.number++
		number := strconv.FormatInt(one.number, 10)
		t := r.c.Txn().Set(one.path, []byte(number), client.AnyVersion)
		add(t)
		_, err = t.Commit(ctx)
		failed := (*client.TxnError)(nil)
		switch {
		case errors.As(err, &failed) && failed.Index == 0:
			continue // the receipt went with its session
		case client.Uncertain(err):
			done, known := r.look(ctx, one.path, number)
			if !known {
				return err
			}
			if done {
				err = nil
			}
		}
		r.mu.Lock()
		r.free = append(r.free, one)
		r.mu.Unlock()
		if ctx.Err() != nil || !passing(err) {
			return err
		}
		if err := r.c.Connected(ctx); err != nil {
			return err
		}
	}
}

// look finds out whether a transaction has happened; known is false if that cannot be known any more.
func (r *receipts) look(ctx context.Context, path, number string) (done, known bool) {
	if ctx.Err() != nil || r.again(ctx, func() error { return r.c.Sync(ctx, path) }) != nil {
		return false, false
	}
	data, _, err := dir{c: r.c, path: path}.getSelf(ctx)
	return string(data) == number, err == nil
}

// borrow returns a receipt of the present session.
func (r *receipts) borrow(ctx context.Context) (receipt, error) {
	r.mu.Lock()
	for len(r.free) > 0 {
		one := r.free[len(r.free)-1]
		r.free = r.free[:len(r.free)-1]
		if one.session == r.c.SessionID() {
			r.mu.Unlock()
			return one, nil
		}
	}
	r.mu.Unlock()
	one := receipt{path: r.in(protected(newGUID(), "receipt"))}
	err := r.made(ctx, func() error {
		return r.again(ctx, func() error {
			_, stat, err := r.c.Create(ctx, one.path, nil, client.ModeEphemeral, r.acl...)
			one.session = stat.EphemeralOwner
			return err
		})
	})
	if errors.Is(err, client.ErrNodeExists) { // the name is ours alone
		one.session, err = r.c.SessionID(), nil
	}
	return one, err
}
