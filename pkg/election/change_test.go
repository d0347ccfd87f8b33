package election

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
)

// twoMemberships returns an active one, of servers 1, 2 and 3, and one that was seen last, of 3, 4 and 5.
func twoMemberships(t *testing.T) (active, next *ensemble.Config) {
	t.Helper()
	next, err := members(t, 5, 0).Change("", "1,2")
	if err != nil {
		t.Fatal(err)
	}
	return members(t, 3, 0), next.WithVersion(7)
}

func TestTwoMemberships(t *testing.T) {
	active, next := twoMemberships(t)
	look := step{"look 5/1", "connect 2 3 4 5; all LOOKING 1:5/1 r1"}
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"a quorum of the active one does not elect", []step{
			look, {"2 LOOKING 1:5/1 r1", "2 LOOKING 1:5/1 r1"}, {"3 LOOKING 1:5/1 r1", "3 LOOKING 1:5/1 r1"}, {"tick 200ms", look.want},
		}},
		{"a quorum of both does", []step{
			look,
			{"2 LOOKING 1:5/1 r1", "2 LOOKING 1:5/1 r1"},
			{"4 LOOKING 1:5/1 r1", "4 LOOKING 1:5/1 r1"},
			{"5 LOOKING 1:5/1 r1", "5 LOOKING 1:5/1 r1"},
			{"tick 200ms", "= LEADING 1:5/1 r1"},
		}},
		{"a quorum of the active one is followed when it has decided", []step{
			look, {"2 FOLLOWING 3:5/1 r4", ""}, {"3 LEADING 3:5/1 r4", "= FOLLOWING 3:5/1 r4"},
		}},
		{"a quorum of the next one is not", []step{
			look, {"4 FOLLOWING 5:5/1 r4", ""}, {"5 LEADING 5:5/1 r4", ""},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &story{t: t, e: New(Options{Self: 1, Members: active, Next: next, Reconfig: true})}
			s.tell(c.steps...)
		})
	}
	t.Run("who is not listed follows, and who observes observes", func(t *testing.T) {
		for self, want := range map[int]State{6: Following, 4: Observing} {
			s := &story{t: t, e: New(Options{Self: 6, Members: members(t, 4, 1), Reconfig: true})}
			if self == 4 {
				s.e = New(Options{Self: 4, Members: members(t, 4, 1), Reconfig: true})
			}
			s.do("look 9/1")
			s.do("2 FOLLOWING 3:5/1 r4")
			s.do("3 LEADING 3:5/1 r4")
			if s.e.State() != want {
				t.Errorf("server %d is %v, want %v", self, s.e.State(), want)
			}
		}
	})
}

// TestVoterOfTheNextMembershipAlone stands about every other time.
func TestVoterOfTheNextMembershipAlone(t *testing.T) {
	active, next := twoMemberships(t)
	s := &story{t: t, e: New(Options{Self: 4, Members: active, Next: next, Reconfig: true})}
	s.do("look 9/1")
	if s.e.votes[3].Leader >= 0 {
		t.Errorf("it votes for %d", s.e.votes[3].Leader)
	}
	s.do("2 LOOKING 3:5/1 r1")
	if got := s.e.votes[3].Leader; got != 3 {
		t.Errorf("it votes for %d, not 3", got)
	}
	s.do("look 9/1")
	if got := s.e.votes[3].Leader; got != 4 {
		t.Errorf("it votes for %d, not 4", got)
	}
	for _, want := range []ensemble.ID{4, 4, math.MinInt64, 4} { // from the third time on that nothing comes of it
		at, _ := s.e.Wake()
		s.now = at
		s.do("tick 0s")
		if got := s.e.votes[3].Leader; got != want {
			t.Errorf("after %v it votes for %d, not %d", at, got, want)
		}
	}
}

// TestNewerMembershipIsAdopted, while looking and where it may be, also if nothing but its version is another.
func TestNewerMembershipIsAdopted(t *testing.T) {
	ours := members(t, 3, 0)
	same, other := ours.WithVersion(5), members(t, 4, 0).WithVersion(5)
	for _, c := range []struct {
		name, config string
		adopts       bool
	}{
		{"the same members", same.Text(), true},
		{"other members", other.Text(), true},
		{"an older version", members(t, 4, 0).WithVersion(0).Text(), false},
	} {
		s := tell(t, Options{Self: 1, Members: ours.WithVersion(1), Reconfig: true}, step{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"})
		s.ef.Reset()
		n := note(t, "LOOKING 3:9/1 r1")
		n.Config = c.config
		s.e.Heard(s.now, 2, n, &s.ef)
		if newer := s.ef.Newer; (newer != nil) != c.adopts || len(s.ef.Differs) > 0 || c.adopts && (newer.Text() != c.config || len(s.ef.Send) > 0) {
			t.Errorf("%s: %+v", c.name, s.ef)
		}
		if !c.adopts {
			continue
		}
		s.ef.Reset()
		s.e.SetMembers(other, nil, &s.ef)
		s.e.Look(s.now, s.now, 5, 1, &s.ef)
		if got := s.effects(); !strings.HasPrefix(got, "connect 4 2 3 4; all LOOKING 1:5/1 r2") {
			t.Errorf("%s: then %q", c.name, got)
		}
	}
}

// TestAppointed: a leader that was suggested is followed without an election, by a vote of no round.
func TestAppointed(t *testing.T) {
	s := tell(t, Options{Self: 1, Members: members(t, 3, 0), Reconfig: true},
		step{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
		step{"2 FOLLOWING 3:5/1 r4", ""}, step{"3 LEADING 3:5/1 r4", "= FOLLOWING 3:5/1 r4"}, step{"epoch 2", ""})
	s.ef.Reset()
	s.e.Appoint(2, 9, &s.ef)
	if got := s.effects(); got != "= FOLLOWING 2:9/-1 r-1" {
		t.Error(got)
	}
	s.tell(step{"3 LOOKING 3:5/1 r5", "3 FOLLOWING 2:9/-1 r-1"}, step{"epoch 3", ""}, step{"3 LOOKING 3:5/1 r6", "3 FOLLOWING 2:9/3 r-1"})
	s.ef.Reset()
	s.e.Appoint(2, 11, &s.ef) // the same leader, in another role
	if got := s.effects(); got != "= FOLLOWING 2:9/3 r-1" {
		t.Error(got)
	}
	s.tell(step{"look 9/3", "connect 2 3; all LOOKING 1:9/3 r5"})
}

// TestWhoKnowsOfAnotherMembershipAsksSoon: the others elect a leader by the active one, and its repetition would come when that
// leader has given up. (Two that took turns in leading, and gave up for want of a follower, never met it.)
func TestWhoKnowsOfAnotherMembershipAsksSoon(t *testing.T) {
	active, next := twoMemberships(t)
	s := &story{t: t, e: New(Options{Self: 1, Members: active, Next: next, Reconfig: true})}
	s.do("look 5/1")
	for range 9 {
		at, _ := s.e.Wake()
		s.now = at
		s.do("tick 0s")
	}
	s.do("3 LOOKING 3:6/1 r1")
	if at, wants := s.e.Wake(); !wants || at > s.now+200*time.Millisecond {
		t.Errorf("it asks in %v", at-s.now)
	}
	s.do("tick 200ms")
	s.ef.Reset()
	s.tell(step{"3 LEADING 3:6/1 r1", "= FOLLOWING 3:6/1 r1"})
}

// TestVoterOfTheNextMembershipAloneInTheRoundsOfOthers: it need not wait for long to stand, or not, about every other time. (Where
// others began a round more often than that, it stood in each, and in the way of the only one who could lead.)
func TestVoterOfTheNextMembershipAloneInTheRoundsOfOthers(t *testing.T) {
	active, next := twoMemberships(t)
	s := &story{t: t, e: New(Options{Self: 4, Members: active, Next: next, Reconfig: true})}
	s.do("look 9/1")
	for _, leader := range []ensemble.ID{3, 6} { // who is known here, and who is not
		stood := 0
		for range 20 {
			n := note(t, "LOOKING 3:5/1 r1")
			n.Leader, n.Round = leader, s.e.Round()+1
			s.e.Heard(s.now, 2, n, &s.ef)
			if s.e.votes[3].Leader == 4 {
				stood++
			}
		}
		if stood < 8 || stood > 12 {
			t.Errorf("beside %d it stands in %d rounds of 20", leader, stood)
		}
	}
}
