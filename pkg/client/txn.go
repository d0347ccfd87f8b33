package client

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// A Result is what became of one operation of a Txn or a Reads.
type Result struct {
	Op   proto.Op
	Path string // of a create, the name that the node has got
	Stat Stat   // of create, Set and Get, if the server tells it
	Data []byte
	// Names are the children that Reads.Children asked for.
	Names []string
	// Err is an *Error: in a Txn that failed, for the operation that did, and all others are undone or not tried.
	Err error
}

// A TxnError says which operation made a Txn fail. Nothing has happened. errors.Is finds the operation's code.
type TxnError struct {
	Index int // in the order in which they were added
	Err   error
}

// Error names the operation, its node and the reason.
func (e *TxnError) Error() string {
	return fmt.Sprintf("client: nothing is done, operation %d failed: %v", e.Index, e.Err)
}

// Unwrap returns the operation's *Error.
func (e *TxnError) Unwrap() error { return e.Err }

// A Txn is operations that are done all or not at all. Build it, commit it, and make a new one for the next.
type Txn struct {
	c      *Client
	ops    []proto.MultiOp
	paths  []string // as the caller gave them
	weight int
	err    error // what is wrong with an operation, found while it was added
}

// Txn begins a transaction.
func (c *Client) Txn() *Txn { return &Txn{c: c} }

func (t *Txn) add(path string, op proto.MultiOp, err error) *Txn {
	if err != nil && t.err == nil {
		t.err = &TxnError{len(t.ops), &Error{Op: op.Type, Path: path, Code: ErrBadArguments, Err: err}}
	}
	op.Path = t.c.toServer(path)
	t.ops, t.paths = append(t.ops, op), append(t.paths, path)
	t.weight += len(path) + len(op.Data) + 64
	return t
}

// Create adds Client.Create.
func (t *Txn) Create(path string, data []byte, m Mode, acl ...ACL) *Txn {
	op := proto.OpCreate2
	if m == ModeContainer {
		op = proto.OpCreateContainer
	}
	return t.add(path, proto.MultiOp{Type: op, Data: data, ACL: withDefault(acl), Flags: int32(m)}, checkCreate(path, m))
}

// CreateTTL adds Client.CreateTTL.
func (t *Txn) CreateTTL(path string, data []byte, m Mode, ttl time.Duration, acl ...ACL) *Txn {
	op := proto.MultiOp{Type: proto.OpCreateTTL, Data: data, ACL: withDefault(acl), Flags: proto.FlagTTL, TTL: ttl.Milliseconds()}
	if m.sequential() {
		op.Flags = proto.FlagTTLSequential
	}
	return t.add(path, op, checkCreate(path, m))
}

// Set adds Client.Set.
func (t *Txn) Set(path string, data []byte, version int32) *Txn {
	return t.add(path, proto.MultiOp{Type: proto.OpSetData, Data: data, Version: version}, checkPath(path))
}

// Delete adds Client.Delete.
func (t *Txn) Delete(path string, version int32) *Txn {
	return t.add(path, proto.MultiOp{Type: proto.OpDelete, Version: version}, checkPath(path))
}

// Check has the transaction fail unless the node is there and has the version.
func (t *Txn) Check(path string, version int32) *Txn {
	return t.add(path, proto.MultiOp{Type: proto.OpCheck, Version: version}, checkPath(path))
}

// Commit does the operations. If one fails, the error is a *TxnError and the results tell of each.
func (t *Txn) Commit(ctx context.Context) ([]Result, error) { return t.future().do(ctx) }

// CommitAsync is Commit without waiting.
func (t *Txn) CommitAsync() *Future[[]Result] { return t.future().begin() }

func (t *Txn) future() *Future[[]Result] {
	f := future(t.c, proto.OpMulti, "", &proto.MultiRequest{Ops: t.ops}, func(d *jute.Decoder, v *[]Result) (err error) {
		if *v, err = results(t.c, d, t.ops, t.paths); err != nil {
			return err
		}
		for i, r := range *v {
			// The failing one stands between those that were undone (OK) and those that were not tried (-2).
			if e, ok := r.Err.(*Error); ok && e.Code != proto.RuntimeInconsistency {
				return &TxnError{i, e}
			}
		}
		return nil
	})
	f.weight, f.err = t.weight, t.err
	return f
}

// results decodes the answer to a multi.
func results(c *Client, d *jute.Decoder, ops []proto.MultiOp, paths []string) ([]Result, error) {
	var r proto.MultiReply
	if err := r.Decode(keep(d)); err != nil {
		return nil, err
	}
	if len(r.Results) != len(ops) {
		return nil, fmt.Errorf("%d results for %d operations: %w", len(r.Results), len(ops), proto.ErrMultiOp)
	}
	out := make([]Result, len(ops))
	for i, one := range r.Results {
		out[i] = Result{Op: ops[i].Type, Path: paths[i], Stat: one.Stat, Data: bytes.Clone(one.Data), Names: one.Names}
		if one.Path != "" {
			out[i].Path = c.toClient(one.Path)
		}
		if one.Type == proto.OpError && one.Err != proto.OK {
			out[i].Err = &Error{Op: ops[i].Type, Path: paths[i], Code: one.Err}
		}
	}
	return out, nil
}

// Reads are several reads in one request, of one state of the tree (servers since 3.6).
type Reads struct {
	c     *Client
	ops   []proto.MultiOp
	paths []string
	err   error
}

// Reads begins a request of several reads.
func (c *Client) Reads() *Reads { return &Reads{c: c} }

func (r *Reads) add(op proto.Op, path string) *Reads {
	if err := checkPath(path); err != nil && r.err == nil {
		r.err = &Error{Op: op, Path: path, Code: ErrBadArguments, Err: err}
	}
	r.ops, r.paths = append(r.ops, proto.MultiOp{Type: op, Path: r.c.toServer(path)}), append(r.paths, path)
	return r
}

// Get adds a read of a node's data and Stat.
func (r *Reads) Get(path string) *Reads { return r.add(proto.OpGetData, path) }

// Children adds a read of a node's children.
func (r *Reads) Children(path string) *Reads { return r.add(proto.OpGetChildren, path) }

// Do sends the request. Each result has an error of its own.
func (r *Reads) Do(ctx context.Context) ([]Result, error) {
	f := future(r.c, proto.OpMultiRead, "", &proto.MultiRequest{Ops: r.ops}, func(d *jute.Decoder, v *[]Result) (err error) {
		*v, err = results(r.c, d, r.ops, r.paths)
		return err
	})
	f.err = r.err
	return f.do(ctx)
}
