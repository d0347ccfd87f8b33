package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

const (
	base      = "/bench"
	usualSize = 100 // bytes of a node's data
	nodes     = 64  // which connections share
	kids      = 1000
)

// A Site is the nodes that operations work on.
type Site struct {
	Root string // the node that they are below; it is part of the site
	Size int    // bytes of data that are written; 0 = 100
}

func usual() Site { return Site{Root: base} }

func (s Site) size() int {
	if s.Size == 0 {
		return usualSize
	}
	return s.Size
}

func (s Site) node(conn int) string { return fmt.Sprintf("%s/node-%02d", s.Root, conn%nodes) }

// Prepare makes the usual site.
func Prepare(ctx context.Context, addr string) error { return usual().Make(ctx, addr) }

// Make makes the nodes that are not there.
func (s Site) Make(ctx context.Context, addr string) error {
	c, err := wire.Dial(ctx, addr, wire.Options{Timeout: 30 * time.Second})
	if err != nil {
		return fmt.Errorf("load: %s: %w", addr, err)
	}
	defer c.Close()
	calls := []*wire.Call{}
	create := func(path string, data []byte) {
		calls = append(calls, c.Go(proto.OpCreate, &proto.CreateRequest{Path: path, Data: data, ACL: proto.WorldAll()}, nil))
	}
	create(s.Root, nil)
	create(s.Root+"/kids", nil)
	create(s.Root+"/seq", nil)
	for i := range kids {
		create(fmt.Sprintf("%s/kids/child-%06d", s.Root, i), nil)
	}
	for i := range nodes {
		create(s.node(i), make([]byte, s.size()))
	}
	for _, call := range calls {
		if _, err := c.Wait(ctx, call); err != nil && !errors.Is(err, proto.NodeExists) {
			return fmt.Errorf("load: make %s: %w", s.Root, err)
		}
	}
	return c.CloseSession(ctx)
}

// atOnce is how many removals are under way.
const atOnce = 1000

// Remove removes the site with all that operations have left in it. gone is told how many nodes are gone so far, and of
// how many.
func (s Site) Remove(ctx context.Context, addr string, gone func(n, of int)) error {
	c, err := wire.Dial(ctx, addr, wire.Options{Timeout: 30 * time.Second})
	if err != nil {
		return fmt.Errorf("load: remove %s: %w", s.Root, err)
	}
	defer c.Close()
	paths, err := s.paths(ctx, c)
	if err != nil {
		return fmt.Errorf("load: remove %s: %w", s.Root, err)
	}
	for n := 0; n < len(paths); n += atOnce {
		gone(n, len(paths))
		calls := []*wire.Call{}
		for _, path := range paths[n:min(n+atOnce, len(paths))] {
			calls = append(calls, c.Go(proto.OpDelete, &proto.VersionRequest{Path: path, Version: -1}, nil))
		}
		for _, call := range calls {
			if _, err := c.Wait(ctx, call); err != nil && !errors.Is(err, proto.NoNode) {
				return fmt.Errorf("load: remove %s: %w", s.Root, err)
			}
		}
	}
	gone(len(paths), len(paths))
	return c.CloseSession(ctx)
}

// paths returns the site's nodes, children before their parents. Only kids and seq have children.
func (s Site) paths(ctx context.Context, c *wire.Conn) (paths []string, err error) {
	for _, parent := range []string{s.Root + "/kids", s.Root + "/seq", s.Root} {
		names, _, err := c.Children(ctx, parent, false)
		if err != nil && !errors.Is(err, proto.NoNode) {
			return nil, err
		}
		for _, name := range names {
			paths = append(paths, parent+"/"+name)
		}
	}
	return append(paths, s.Root), nil
}
