package recipe

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// Why something is held no more: causes of a LostError, and of the context of a Hold.
var (
	ErrReleased       = errors.New("released")                                                         // by Release
	ErrSessionExpired = errors.New("the session is over")                                              // with all that it held
	ErrRemoved        = errors.New("its node was removed by another")                                  // as an operator does
	ErrCutOff         = errors.New("no server was reached for as long as the session is sure to live") // it may be held still
)

// A LostError says that what was to be held is not held, or not surely, though it was not released. What is done under it
// is to be given up; to go on, it has to be taken anew.
type LostError struct {
	Path string // of the node by which it was held
	Err  error  // ErrSessionExpired, ErrRemoved or ErrCutOff
}

// Error names the node and the cause.
func (e *LostError) Error() string { return "recipe: lost " + e.Path + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *LostError) Unwrap() error { return e.Err }

// A Hold is a lock, a lease, a leadership or a place that is held by an ephemeral node.
type Hold struct {
	at     dir
	path   string
	stat   proto.Stat
	ctx    context.Context
	cancel context.CancelCauseFunc
	over   <-chan struct{} // closed when the session that owns the node has ended
	minded chan struct{}   // closed when nobody minds it any more
}

// hold makes an ephemeral sequential child of the directory with a protected name, and minds it.
func (d dir) hold(ctx context.Context, prefix, guid string, data []byte) (*Hold, error) {
	name, stat, err := d.protect(ctx, prefix, guid, data)
	if err != nil {
		return nil, err
	}
	return d.held(ctx, name, stat)
}

// holdNamed makes an ephemeral child of that name, and minds it. If there is one, the error is client.ErrNodeExists.
func (d dir) holdNamed(ctx context.Context, name string, data []byte) (*Hold, error) {
	for uncertain := false; ; {
		var stat proto.Stat
		err := d.made(ctx, func() (err error) {
			_, stat, err = d.c.Create(ctx, d.in(name), data, client.ModeEphemeral, d.acl...)
			return err
		})
		if uncertain && errors.Is(err, client.ErrNodeExists) {
			found, ok, lookErr := d.exists(ctx, name)
			if lookErr == nil && ok && found.EphemeralOwner == d.c.SessionID() {
				stat, err = found, nil // the create whose answer was lost
			}
		}
		switch {
		case err == nil:
			return d.held(ctx, name, stat)
		case ctx.Err() == nil && passing(err):
			uncertain = uncertain || client.Uncertain(err)
			if err := d.c.Connected(ctx); err == nil {
				continue
			}
		}
		if uncertain || client.Uncertain(err) {
			go d.drop(context.WithoutCancel(ctx), func(n string) bool { return n == name })
		}
		return nil, err
	}
}

// held minds a node that has been made.
func (d dir) held(ctx context.Context, name string, stat proto.Stat) (*Hold, error) {
	h := &Hold{at: d, path: d.in(name), stat: stat, over: d.c.SessionOver(), minded: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	go h.mind()
	if d.c.SessionID() != stat.EphemeralOwner { // asked behind SessionOver: if they are the same, that is of this session
		return nil, h.lose(ErrSessionExpired)
	}
	return h, nil
}

// Path returns the path of the node by which it is held: a transaction that begins with a Check of it, of any version, is
// done only while it is held.
func (h *Hold) Path() string { return h.path }

// Token returns the fencing token: whoever holds the same thing later has a higher one. It is the zxid of the node's
// creation.
func (h *Hold) Token() proto.Zxid { return h.stat.Czxid }

// Context returns a context, with the values of the one that was given when it was taken, that ends when it is held no
// longer. Its cause is ErrReleased or a *LostError.
func (h *Hold) Context() context.Context { return h.ctx }

// Err returns nil while it is held, and then why not: ErrReleased or a *LostError.
func (h *Hold) Err() error { return context.Cause(h.ctx) }

// Release gives it up. A *LostError says that it was lost before. When ctx ends first, the node is removed in the
// background, and ctx's error returned.
func (h *Hold) Release(ctx context.Context) error {
	if h.Err() == ErrReleased {
		return nil
	}
	if lost := h.end(ErrReleased); lost != nil {
		return lost
	}
	there, err := h.remove(ctx)
	if err == nil && !there {
		return &LostError{h.path, ErrRemoved}
	}
	return err
}

// withdraw gives it up because of an error, which it returns, without waiting.
func (h *Hold) withdraw(err error) error {
	if h.end(ErrReleased) == nil {
		go func() { _, _ = h.remove(context.WithoutCancel(h.ctx)) }()
	}
	return err
}

// busy gives it up because others are ahead.
func (h *Hold) busy(ctx context.Context) error {
	if err := h.Release(ctx); err != nil {
		return err
	}
	return ErrBusy
}

// gone gives it up because its node is not there.
func (h *Hold) gone() error {
	select {
	case <-h.over:
		return h.lose(ErrSessionExpired)
	default:
		return h.lose(ErrRemoved)
	}
}

// remove removes the node. Where it cannot before ctx ends, that goes on in the background: nobody is to wait behind the
// node of one who has gone on.
func (h *Hold) remove(ctx context.Context) (there bool, err error) {
	select {
	case <-h.minded: // and its watch is removed, so that nobody is told of the end who knows
		there, err = h.at.remove(ctx, h.path)
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	if err != nil && ctx.Err() != nil {
		go func() {
			<-h.minded
			_, _ = h.at.remove(context.WithoutCancel(ctx), h.path)
		}()
	}
	return there, err
}

// end ends the context. It returns the *LostError by which it had ended before, if that is so.
func (h *Hold) end(cause error) error {
	h.cancel(cause)
	var lost *LostError
	if errors.As(context.Cause(h.ctx), &lost) {
		return lost
	}
	return nil
}

// lose ends the context because of a loss, and returns why it has ended.
func (h *Hold) lose(cause error) error {
	h.cancel(&LostError{h.path, cause})
	return context.Cause(h.ctx)
}

// name is that of the node.
func (h *Hold) name() string { return h.path[strings.LastIndexByte(h.path, '/')+1:] }

// mind waits for a loss. The servers keep a session for its timeout since they last heard from the client; of that, a
// sixth is left for the time that their last word was under way, and for what they forget when one of them dies. The node
// is watched only once it has been held for a while, so that short holds cost nothing.
func (h *Hold) mind() {
	timeout := h.at.c.SessionTimeout()
	doubt, look := time.NewTimer(timeout), time.NewTimer(timeout/10)
	doubt.Stop()
	defer doubt.Stop()
	defer look.Stop()
	var watch sync.WaitGroup
	defer close(h.minded)
	defer watch.Wait()
	for cutOff := false; ; {
		state, changed := h.at.c.Changes()
		if now := state == client.StateDisconnected || state == client.StateReadOnly; now != cutOff {
			if cutOff = now; !now {
				doubt.Stop()
			} else {
				doubt.Reset(time.Until(h.at.c.Heard().Add(timeout * 5 / 6)))
			}
		}
		select {
		case <-h.ctx.Done():
			return
		case <-h.over:
			_ = h.lose(ErrSessionExpired)
		case <-doubt.C:
			_ = h.lose(ErrCutOff)
			go func() { _, _ = h.remove(context.WithoutCancel(h.ctx)) }()
		case <-look.C:
			watch.Go(h.watch)
		case <-changed:
		}
	}
}

// watch waits for the removal of the node by another. The watch is of a kind that nothing else here uses, so that it can be
// taken away without taking those of waiters. Servers before 3.6 have none.
func (h *Hold) watch() {
	w, err := h.at.c.AddWatch(context.WithoutCancel(h.ctx), h.path, client.Persistent)
	if err != nil {
		return
	}
	defer w.Close()
	for {
		if _, there, err := h.at.exists(h.ctx, h.name()); err == nil && !there {
			_ = h.gone()
		}
		select {
		case <-h.ctx.Done():
			return
		case _, ok := <-w.Events():
			if !ok {
				return
			}
		}
	}
}
