package sim

import (
	"fmt"
	"io"
	"reflect"
	"time"
)

// Stats counts what a world has gone through, or a batch of worlds.
type Stats struct {
	Events, Requests, Writes, Reads, Syncs, Unknown int
	Sessions, Expired, Refused                      int
	Watches, Notifications                          int

	Elections, Leaderships, LeadersWithTail     int
	Diffs, DiffsFromLog, Truncs, Snaps          int
	TreesSent, Truncations, TailsCut, NoBase    int
	Rebuilt, TailsInstalled                     int
	Crashes, CrashesInSync, CrashesAtEffect     int
	CrashesOfDisk, CrashesAtStart               int
	TornKept, TornCut, Wiped, Snapshots, Purges int
	Partitions, OneWay, Pauses, ClockJumps      int
	SessionsMoved, ClientsMoved, MovedReplies   int
	ReadsHeld, ClientsAhead, Served             int

	// Changes of members that were committed, and of these by a leader who has found them in its log; that came to nothing
	// where they had been logged; leaders that were named by the one before; memberships learnt from others' votes.
	Reconfigs, ReconfigsInherited, ReconfigsUndone int
	Appointed, Adopted                             int
}

// required are the things that a batch of any size worth the name must have gone through.
var required = []string{
	"Elections", "Diffs", "DiffsFromLog", "Truncs", "Snaps", "CrashesInSync", "TornKept", "TornCut", "OneWay",
	"LeadersWithTail", "SessionsMoved", "ReadsHeld", "Reconfigs", "ReconfigsInherited", "ReconfigsUndone", "Appointed", "Adopted",
}

// Add adds what another has counted.
func (s *Stats) Add(o *Stats) {
	mine, other := reflect.ValueOf(s).Elem(), reflect.ValueOf(o).Elem()
	for i := range mine.NumField() {
		mine.Field(i).SetInt(mine.Field(i).Int() + other.Field(i).Int())
	}
}

// Missing returns the names of what a batch must have gone through and has not.
func (s *Stats) Missing() []string {
	var names []string
	for _, name := range required {
		if reflect.ValueOf(s).Elem().FieldByName(name).Int() == 0 {
			names = append(names, name)
		}
	}
	return names
}

// Print writes all counts, and how fast they came about.
func (s *Stats) Print(out io.Writer, seeds int, took time.Duration) {
	_, _ = fmt.Fprintf(out, "%d seeds in %v, %.1f a second\n", seeds, took.Round(time.Millisecond), float64(seeds)/took.Seconds())
	v := reflect.ValueOf(s).Elem()
	for i := range v.NumField() {
		_, _ = fmt.Fprintf(out, "%s %d", v.Type().Field(i).Name, v.Field(i).Int())
		if i%6 == 5 || i == v.NumField()-1 {
			_, _ = fmt.Fprintln(out)
		} else {
			_, _ = fmt.Fprint(out, "  ")
		}
	}
}

// collect takes in what a node has counted in its life.
func (s *Stats) collect(p *process) {
	n := &p.node.Stats
	s.Elections += n.Elections
	s.Leaderships += n.Leaderships
	s.Diffs += n.Diffs - n.DiffFromLog
	s.DiffsFromLog += n.DiffFromLog
	s.Truncs += n.Truncs
	s.Snaps += n.Snaps
	s.TailsCut += n.TailsCut
	s.SessionsMoved += n.SessionsMoved
	s.ReconfigsUndone += n.Undone
	s.Appointed += n.Appointed
	s.Adopted += n.Adopted
}

func (w *World) collect() {
	for _, h := range w.hosts {
		if h.p != nil {
			w.Stats.collect(h.p)
		}
	}
}
