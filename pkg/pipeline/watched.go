package pipeline

import (
	"cmp"
	"slices"

	"github.com/zabd/zabd/pkg/watch"
)

// Watched is a node whose data a session watches.
type Watched struct {
	Path    string
	Session int64
}

// Watched returns the watches that wchc and wchp list, by path and then session. Connections that die while it looks are
// there or not.
func (p *Pipeline) Watched() []Watched {
	var out []Watched
	p.watches.Each(func(path string, w *watch.Watcher) {
		out = append(out, Watched{path, w.Owner.(*Client).SessionID()}) // it has one since before its first watch
	})
	slices.SortFunc(out, func(a, b Watched) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Session, b.Session))
	})
	return slices.Compact(out) // a session that has just moved to another connection
}
