package watch

// Count returns the number of watches as ZooKeeper counts them: one for each watcher, path and side, data or children;
// a persistent watch stands on both.
func (t *Table) Count() int {
	n := 0
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.Lock()
		n += s.count
		s.mu.Unlock()
	}
	return n
}

// Each calls f once for each watcher of the data of each path, in no order: one-shot, persistent and recursive watches
// are the ones that ZooKeeper lists, those of children are not. f must not come back to the table.
func (t *Table) Each(f func(path string, w *Watcher)) {
	for i := range t.shards {
		t.shards[i].each(f)
	}
}

func (s *shard) each(f func(path string, w *Watcher)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range kinds {
		if !dataSide.has(k) {
			continue
		}
		for i, l := range s.lists[k].lists {
			if l == nil {
				continue
			}
			at := place{s, s.lists[k].tags[i], l.path}.look()
			l.each(func(w *Watcher) {
				if at.of(w)&dataSide&(only(k)-1) == 0 { // else it was listed under another kind
					f(l.path, w)
				}
			})
		}
	}
}
