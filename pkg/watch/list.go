package watch

// EachData calls f with every watcher for a node's data, once for each path, in no order. f must not call the table.
func (t *Table) EachData(f func(path string, w *Watcher)) {
	for i := range t.shards {
		t.shards[i].eachData(f)
	}
}

func (s *shard) eachData(f func(path string, w *Watcher)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range kinds {
		if !dataSide.has(k) {
			continue
		}
		for path, l := range s.lists[k] {
			for _, w := range l.watchers {
				if first(w.on(path)&dataSide) == k {
					f(path, w)
				}
			}
		}
	}
}

// first returns the first kind of a set that is not empty.
func first(s set) kind {
	k := kind(0)
	for !s.has(k) {
		k++
	}
	return k
}
