// Package overview asks the servers of an ensemble what they do, zabd's and Java's, and puts their answers side by side. The
// server of this host is asked through its control socket, which tells everything; the others by four-letter words, of which
// each answers those that its whitelist has: srvr always, mntr where it is allowed. It changes nothing anywhere.
package overview

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// An Ensemble is what its servers tell at about one time.
type Ensemble struct {
	At      time.Time `json:"-"`
	Leader  int64     `json:"leader,omitempty"` // its id; 0 = nobody leads, or the id is not known
	Servers []Server  `json:"servers"`          // as they were asked for
}

// Ask asks all servers at once, and waits at most a few seconds for any of them.
func Ask(ctx context.Context, targets []Target) *Ensemble {
	e := &Ensemble{Servers: make([]Server, len(targets))}
	leaders := make([]int64, len(targets))
	var wg sync.WaitGroup
	for i := range targets {
		wg.Go(func() { e.Servers[i], leaders[i] = ask(ctx, &targets[i]) })
	}
	wg.Wait()
	e.At = time.Now()
	for _, id := range leaders {
		e.Leader = max(e.Leader, id)
	}
	e.compare()
	return e
}

// compare tells how far each server is behind the leader. Servers are not asked at the same instant: who seems to be
// ahead has what the leader has.
func (e *Ensemble) compare() {
	for i := range e.Servers {
		e.Servers[i].Epoch = e.Servers[i].Zxid.Epoch()
	}
	leader := e.leader()
	if leader == nil {
		return
	}
	if leader.ID != 0 {
		e.Leader = leader.ID
	}
	for i := range e.Servers {
		s := &e.Servers[i]
		if !s.Ready {
			continue
		}
		lag := int64(0)
		switch {
		case s.Zxid.Epoch() == leader.Zxid.Epoch():
			lag = max(0, int64(leader.Zxid-s.Zxid))
		case s.Zxid < leader.Zxid: // it has synchronised with this leader, or it would not serve
			lag, s.Epoch = leader.Zxid.counter(), leader.Zxid.Epoch()
		}
		s.Lag = &lag
	}
}

// leader returns who leads, by the highest zxid if several say so: the others have been cut off, and do not know yet.
func (e *Ensemble) leader() (leader *Server) {
	for i := range e.Servers {
		s := &e.Servers[i]
		if (s.Role == "leader" || s.Role == "standalone") && (leader == nil || s.Zxid > leader.Zxid) {
			leader = s
		}
	}
	return leader
}

// Summary says in one line what the servers are together. Observers do not count for the quorum.
func (e *Ensemble) Summary() string {
	voters, ready := 0, 0
	for _, s := range e.Servers {
		if s.Observer || s.Role == "observer" {
			continue
		}
		voters++
		if s.Ready {
			ready++
		}
	}
	leads := "nobody leads"
	switch leader := e.leader(); {
	case leader != nil && leader.Role == "standalone":
		return "a server alone" + e.oneVersion()
	case leader != nil && leader.ID == 0:
		leads = leader.Address + " leads"
	case e.Leader != 0:
		leads = fmt.Sprintf("server %d leads", e.Leader)
	}
	return fmt.Sprintf("%d of %d voters serve, %s%s", ready, voters, leads, e.oneVersion())
}

// Notes say what the table cannot: why servers do not serve, what they do not tell, and what does not fit together.
func (e *Ensemble) Notes() (notes []string) {
	leaders := 0
	missing := make(map[string][]string)
	for i := range e.Servers {
		s := &e.Servers[i]
		if s.Role == "leader" {
			leaders++
		}
		if s.Reason != "" {
			notes = append(notes, s.Name()+": "+strings.ReplaceAll(s.Reason, "\n", " "))
		}
		if s.Missing != "" {
			missing[s.Missing] = append(missing[s.Missing], s.Name())
		}
	}
	if leaders > 1 {
		notes = append(notes, "several servers say that they lead: all but the one with the highest epoch are cut off")
	}
	for _, what := range slices.Sorted(maps.Keys(missing)) {
		notes = append(notes, strings.Join(missing[what], ", ")+": "+what)
	}
	if versions := e.versions(); len(versions) > 1 {
		for _, v := range slices.Sorted(maps.Keys(versions)) {
			notes = append(notes, strings.Join(versions[v], ", ")+": version "+v)
		}
	}
	return notes
}

// versions tells which servers have which.
func (e *Ensemble) versions() map[string][]string {
	all := make(map[string][]string)
	for i := range e.Servers {
		if s := &e.Servers[i]; s.Version != "" {
			version, _, _ := strings.Cut(s.Version, ",") // behind it, when it was built
			all[version] = append(all[version], s.Name())
		}
	}
	return all
}

func (e *Ensemble) oneVersion() string {
	versions := e.versions()
	if len(versions) != 1 {
		return ""
	}
	for v := range versions {
		return ", version " + v
	}
	return ""
}

// Name is the server's id, or its address.
func (s *Server) Name() string {
	if s.ID != 0 {
		return fmt.Sprintf("server %d", s.ID)
	}
	if s.Address != "" {
		return s.Address
	}
	return "the server of this host"
}
