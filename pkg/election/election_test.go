package election

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
)

// members returns servers 1 to n, of which the last observers do not vote.
func members(t testing.TB, n, observers int) *ensemble.Config {
	t.Helper()
	var text strings.Builder
	for id := 1; id <= n; id++ {
		fmt.Fprintf(&text, "server.%d=h%d:2888:3888", id, id)
		if id > n-observers {
			text.WriteString(":observer")
		}
		text.WriteByte('\n')
	}
	c, err := ensemble.ParseConfig(text.String())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A story is a script of one server: what happens to it, and what it does then.
//
//	look 5/1           a new election, with last zxid 5 and epoch 1
//	2 LOOKING 3:6/1 r1 server 2 says that it looks, and votes for 3 with zxid 6 and epoch 1 in round 1
//	up 2, down 2, refused 2, tick 200ms, epoch 2
//
// It does: connect 2 3; all LOOKING 1:5/1 r1 (told to every other voter); 2 LOOKING ... (told to 2);
// = FOLLOWING 3:6/1 r1 (decided).
type story struct {
	t   *testing.T
	e   *Election
	now time.Duration
	ef  Effects
}

type step struct{ input, want string }

func tell(t *testing.T, o Options, steps ...step) *story {
	t.Helper()
	s := &story{t: t, e: New(o)}
	s.tell(steps...)
	return s
}

func (s *story) tell(steps ...step) {
	s.t.Helper()
	for i, st := range steps {
		s.do(st.input)
		if got := s.effects(); got != st.want {
			s.t.Fatalf("step %d, %s: %q, want %q", i+1, st.input, got, st.want)
		}
	}
}

func (s *story) do(input string) {
	s.t.Helper()
	s.ef.Reset()
	var a, b int64
	scan := func(format string, to ...any) bool {
		n, err := fmt.Sscanf(input, format, to...)
		return err == nil && n == len(to)
	}
	switch {
	case scan("look %d/%d", &a, &b):
		s.e.Look(s.now, s.now, proto.Zxid(a), uint32(b), &s.ef)
	case scan("up %d", &a):
		s.e.LinkUp(s.now, ensemble.ID(a), &s.ef)
	case scan("down %d", &a):
		s.e.LinkDown(s.now, ensemble.ID(a), false, &s.ef)
	case scan("refused %d", &a):
		s.e.LinkDown(s.now, ensemble.ID(a), true, &s.ef)
	case scan("epoch %d", &a):
		s.e.SetPeerEpoch(uint32(a))
	case strings.HasPrefix(input, "tick "):
		d, err := time.ParseDuration(input[5:])
		if err != nil {
			s.t.Fatal(err)
		}
		s.now += d
		s.e.Tick(s.now, &s.ef)
	default:
		id, text, _ := strings.Cut(input, " ")
		from, err := strconv.Atoi(id)
		if err != nil {
			s.t.Fatalf("cannot read %q", input)
		}
		s.e.Heard(s.now, ensemble.ID(from), note(s.t, text), &s.ef)
	}
}

// note reads "LOOKING 3:6/1 r1", and "old" behind it for a notification of version 0.
func note(t testing.TB, text string) Notification {
	t.Helper()
	var name string
	n := Notification{Version: 2}
	text, old := strings.CutSuffix(text, " old")
	if old {
		n.Version = 0
	}
	if _, err := fmt.Sscanf(text, "%s %d:%d/%d r%d", &name, &n.Leader, &n.Zxid, &n.PeerEpoch, &n.Round); err != nil {
		t.Fatalf("cannot read %q: %v", text, err)
	}
	for i, known := range stateNames {
		if name == known {
			n.State = State(i)
		}
	}
	return n
}

func show(s State, v Vote) string {
	return fmt.Sprintf("%v %d:%d/%d r%d", s, v.Leader, v.Zxid, v.PeerEpoch, v.Round)
}

func (s *story) effects() string {
	var out []string
	if len(s.ef.Connect) > 0 {
		out = append(out, strings.Trim(fmt.Sprintf("connect %v", s.ef.Connect), "]"))
		out[0] = strings.Replace(out[0], "[", "", 1)
	}
	others := 0
	for _, id := range s.e.who.Voters() {
		if id != s.e.Self {
			others++
		}
	}
	for i := 0; i < len(s.ef.Send); i++ {
		b := s.ef.Send[i]
		if b.Note.Config != s.e.Members.Text() || b.Note.Version != 2 || b.To == s.e.Self {
			s.t.Fatalf("sent %+v", b)
		}
		text, same := show(b.Note.State, b.Note.Vote), 0
		for same < others && i+same < len(s.ef.Send) && s.ef.Send[i+same].Note == b.Note {
			same++
		}
		if same == others && others > 1 {
			out = append(out, "all "+text)
			i += same - 1
		} else {
			out = append(out, fmt.Sprintf("%d %s", b.To, text))
		}
	}
	if s.ef.Decided {
		out = append(out, "= "+show(s.e.State(), s.e.Vote()))
	}
	return strings.Join(out, "; ")
}

// A rule is a story with a name.
type rule struct {
	name              string
	voters, observers int
	self              ensemble.ID
	steps             []step
}

func check(t *testing.T, rules []rule) {
	t.Helper()
	for _, c := range rules {
		t.Run(c.name, func(t *testing.T) {
			tell(t, Options{Self: c.self, Members: members(t, c.voters+c.observers, c.observers)}, c.steps...)
		})
	}
}

func TestProposals(t *testing.T) {
	check(t, []rule{
		{"looking tells every voter and opens all links", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
		}},
		{"links that are open are not opened", 3, 0, 1, []step{
			{"up 3", ""},
			{"look 5/1", "connect 2; all LOOKING 1:5/1 r1"},
		}},
		{"a better vote is adopted and told to all", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 3:6/1 r1", "all LOOKING 3:6/1 r1"},
		}},
		{"the epoch comes before the zxid", 3, 0, 3, []step{
			{"look 9/1", "connect 1 2; all LOOKING 3:9/1 r1"},
			{"1 LOOKING 1:5/2 r1", "all LOOKING 1:5/2 r1"},
		}},
		{"the zxid comes before the id", 3, 0, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"1 LOOKING 1:6/1 r1", "all LOOKING 1:6/1 r1"},
		}},
		{"proposals are repeated, ever less often", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"up 2", ""},
			{"tick 199ms", ""},
			{"tick 1ms", "connect 3; all LOOKING 1:5/1 r1"},
			{"tick 399ms", ""},
			{"tick 1ms", "connect 3; all LOOKING 1:5/1 r1"},
			{"tick 800ms", "connect 3; all LOOKING 1:5/1 r1"},
		}},
		{"a link that is lost while looking is opened at once, to hear who refuses", 3, 1, 1, []step{
			{"up 2", ""},
			{"up 4", ""},
			{"look 5/1", "connect 3; all LOOKING 1:5/1 r1"},
			{"refused 2", "connect 2"},
			{"refused 2", ""},
			{"down 4", ""},
		}},
	})
}

func TestRounds(t *testing.T) {
	check(t, []rule{
		{"a voter's first vote of a round is answered, so that it learns ours", 3, 0, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"1 LOOKING 1:5/1 r1", "1 LOOKING 3:5/1 r1"},
			{"1 LOOKING 1:5/1 r1", ""},
		}},
		{"a later round is joined with the better of its vote and ours", 5, 0, 3, []step{
			{"look 5/1", "connect 1 2 4 5; all LOOKING 3:5/1 r1"},
			{"4 LOOKING 4:9/1 r1", "all LOOKING 4:9/1 r1"},
			{"1 LOOKING 1:4/1 r7", "all LOOKING 3:5/1 r7"},
			{"2 LOOKING 2:6/1 r9", "all LOOKING 2:6/1 r9"},
		}},
		{"votes of the round before do not count in the next", 5, 0, 3, []step{
			{"look 5/1", "connect 1 2 4 5; all LOOKING 3:5/1 r1"},
			{"1 LOOKING 3:5/1 r1", "1 LOOKING 3:5/1 r1"},
			{"2 LOOKING 2:5/1 r2", "all LOOKING 3:5/1 r2"},
			{"2 LOOKING 3:5/1 r2", ""},
			{"tick 200ms", "connect 1 2 4 5; all LOOKING 3:5/1 r2"},
			{"1 LOOKING 3:5/1 r2", "1 LOOKING 3:5/1 r2"},
			{"tick 200ms", "= LEADING 3:5/1 r2"},
		}},
		{"an earlier round is answered and not counted", 3, 0, 2, []step{
			{"look 5/1", "connect 1 3; all LOOKING 2:5/1 r1"},
			{"1 LOOKING 1:4/1 r5", "all LOOKING 2:5/1 r5"},
			{"3 LOOKING 3:9/1 r4", "3 LOOKING 2:5/1 r5"},
		}},
		{"votes from or for those who may not vote are ignored", 3, 1, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 4:9/1 r1", ""},
			{"2 LOOKING 9:9/1 r1", ""},
			{"2 OBSERVING 3:9/1 r1", ""},
		}},
		{"the next election has the next round, and old words are forgotten", 3, 0, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"1 LEADING 1:9/2 r7", ""},
			{"2 FOLLOWING 1:9/2 r7", "= FOLLOWING 1:9/2 r7"},
			{"epoch 3", ""},
			{"look 9/3", "connect 1 2; all LOOKING 3:9/3 r8"},
			{"2 FOLLOWING 1:9/2 r7", ""},
			{"1 LOOKING 3:9/3 r8", "1 LOOKING 3:9/3 r8"},
			{"epoch 4", ""},
			{"tick 200ms", "= LEADING 3:9/3 r8"},
		}},
		{"nothing is said before the first election", 3, 0, 3, []step{
			{"1 LOOKING 1:5/1 r1", ""},
			{"9 LOOKING 1:5/1 r1", ""},
			{"refused 1", ""},
			{"tick 1h", ""},
		}},
		{"an own message is not heard", 3, 0, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"3 LOOKING 1:9/1 r9", ""},
		}},
	})
}

func TestDecidingEarly(t *testing.T) {
	check(t, []rule{
		{"nobody is waited for when all have voted", 3, 0, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"1 LOOKING 3:5/1 r1", "1 LOOKING 3:5/1 r1"},
			{"2 LOOKING 3:5/1 r1", "2 LOOKING 3:5/1 r1; = LEADING 3:5/1 r1"},
		}},
		{"a voter whose host refuses is not waited for", 3, 0, 1, []step{
			{"refused 3", ""},
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 2:5/1 r1", "all LOOKING 2:5/1 r1; = FOLLOWING 2:5/1 r1"},
		}},
		{"a refusal ends the wait", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 2:5/1 r1", "all LOOKING 2:5/1 r1"},
			{"down 3", ""},
			{"refused 3", "= FOLLOWING 2:5/1 r1"},
		}},
		{"a refusal from before the leader was lost says nothing", 3, 0, 1, []step{
			{"refused 3", ""},
			{"tick 1s", ""},
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 2:5/1 r1", "all LOOKING 2:5/1 r1"},
			{"tick 200ms", "= FOLLOWING 2:5/1 r1"},
		}},
		{"a voter that has connected again is waited for", 3, 0, 1, []step{
			{"refused 3", ""},
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"up 3", ""},
			{"2 LOOKING 2:5/1 r1", "all LOOKING 2:5/1 r1"},
			{"down 3", "connect 3"},
			{"tick 199ms", ""},
			{"tick 1ms", "= FOLLOWING 2:5/1 r1"},
		}},
		{"nobody is elected early who is known to be down", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"refused 3", ""},
			{"2 LOOKING 3:5/1 r1", "all LOOKING 3:5/1 r1"},
			{"tick 200ms", "= FOLLOWING 3:5/1 r1"},
		}},
		{"a lone voter elects itself", 1, 0, 1, []step{
			{"look 5/1", "= LEADING 1:5/1 r1"},
		}},
		{"who has decided for our candidate is for it, though its epoch is established since", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 3:5/1 r1", "all LOOKING 3:5/1 r1"},
			{"3 LEADING 3:5/2 r1", "= FOLLOWING 3:5/1 r1"},
		}},
		{"but not if its own word for itself is missing", 3, 0, 1, []step{
			{"refused 3", ""},
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 3:5/1 r1", "all LOOKING 3:5/1 r1"},
			{"2 FOLLOWING 3:5/2 r1", ""},
			{"tick 200ms", "connect 2 3; all LOOKING 3:5/1 r1"},
		}},
	})
}

func TestTheWait(t *testing.T) {
	check(t, []rule{
		{"a better vote that has a quorum at once is waited for as long", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 2:5/1 r1", "all LOOKING 2:5/1 r1"},
			{"tick 100ms", ""},
			{"3 LOOKING 3:5/1 r1", "all LOOKING 3:5/1 r1"},
			{"tick 199ms", ""},
			{"tick 1ms", "= FOLLOWING 3:5/1 r1"},
		}},
		{"a better vote during the wait is taken", 5, 0, 1, []step{
			{"look 5/1", "connect 2 3 4 5; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 3:5/1 r1", "all LOOKING 3:5/1 r1"},
			{"3 LOOKING 3:5/1 r1", "3 LOOKING 3:5/1 r1"},
			{"tick 100ms", ""},
			{"5 LOOKING 5:5/1 r1", "all LOOKING 5:5/1 r1"},
			{"tick 199ms", ""},
			{"2 LOOKING 5:5/1 r1", ""},
			{"tick 199ms", ""},
			{"tick 1ms", "= FOLLOWING 5:5/1 r1"},
		}},
		{"during the wait, what is not better and not of this round is discarded", 5, 0, 1, []step{
			{"look 5/1", "connect 2 3 4 5; all LOOKING 1:5/1 r1"},
			{"2 LOOKING 3:5/1 r1", "all LOOKING 3:5/1 r1"},
			{"3 LOOKING 3:5/1 r1", "3 LOOKING 3:5/1 r1"},
			{"4 LOOKING 2:5/1 r8", ""},
			{"4 FOLLOWING 2:5/1 r9", ""},
			{"tick 200ms", "= FOLLOWING 3:5/1 r1"},
		}},
		{"a late voter is answered during the wait, and ends it", 5, 0, 4, []step{
			{"refused 5", ""},
			{"look 5/1", "connect 1 2 3 5; all LOOKING 4:5/1 r1"},
			{"2 LOOKING 4:5/1 r1", "2 LOOKING 4:5/1 r1"},
			{"3 LOOKING 4:5/1 r1", "3 LOOKING 4:5/1 r1"},
			{"1 LOOKING 1:5/1 r1", "1 LOOKING 4:5/1 r1"},
			{"1 LOOKING 4:5/1 r1", "= LEADING 4:5/1 r1"},
		}},
	})
}

func TestAnswers(t *testing.T) {
	check(t, []rule{
		{"a decided server answers those who look, and nobody else", 3, 0, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"1 LOOKING 3:5/1 r1", "1 LOOKING 3:5/1 r1"},
			{"tick 200ms", "= LEADING 3:5/1 r1"},
			{"2 LOOKING 2:9/9 r4", "2 LEADING 3:5/1 r1"},
			{"1 FOLLOWING 3:5/1 r1", ""},
			{"1 OBSERVING 3:5/1 r1", ""},
			{"tick 1h", ""},
		}},
		{"an observer is answered in every state, with the vote of the last election and the current round", 3, 1, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"1 LOOKING 1:6/1 r1", "all LOOKING 1:6/1 r1"},
			{"4 LOOKING -9:-9/-9 r3", "4 LOOKING 3:5/1 r1"},
			{"2 LOOKING 1:6/1 r1", "2 LOOKING 1:6/1 r1; = FOLLOWING 1:6/1 r1"},
			{"4 LOOKING -9:-9/-9 r1", "4 FOLLOWING 1:6/1 r1"},
			{"look 7/1", "connect 1 2; all LOOKING 3:7/1 r2"},
			{"4 LOOKING -9:-9/-9 r2", "4 LOOKING 1:6/1 r2"},
			{"9 OBSERVING -9:-9/-9 r2", "9 LOOKING 1:6/1 r2"},
		}},
		{"two who hold each other for observers do not answer each other for ever", 3, 0, 3, []step{
			{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"9 LOOKING 9:5/1 r1", "9 LOOKING 3:5/1 r1"},
			{"9 LOOKING 9:5/1 r1", ""},
			{"tick 200ms", "connect 1 2; all LOOKING 3:5/1 r1"},
			{"9 LOOKING 9:5/1 r1", "9 LOOKING 3:5/1 r1"},
		}},
	})
}

func TestThoseWhoDoNotCount(t *testing.T) {
	check(t, []rule{
		{"an observer votes for nobody and follows the decided", 3, 1, 4, []step{
			{"look 5/1", "connect 1 2 3; all LOOKING -9223372036854775808:-9223372036854775808/-9223372036854775808 r1"},
			{"1 FOLLOWING 3:5/1 r6", ""},
			{"3 LEADING 3:5/1 r6", "= OBSERVING 3:5/1 r6"},
		}},
		{"an observer waits even where all voters agree: it does not hear every vote", 3, 1, 4, []step{
			{"look 5/1", "connect 1 2 3; all LOOKING -9223372036854775808:-9223372036854775808/-9223372036854775808 r1"},
			{"1 LOOKING 3:5/1 r1", "all LOOKING 3:5/1 r1"},
			{"2 LOOKING 3:5/1 r1", "2 LOOKING 3:5/1 r1"},
			{"3 LOOKING 3:5/1 r1", "3 LOOKING 3:5/1 r1"},
			{"tick 200ms", "= OBSERVING 3:5/1 r1"},
		}},
		{"a server that does not know what it holds does not count, and can follow", 3, 0, 3, []step{
			{"look -1/4", "connect 1 2; all LOOKING 3:-1/4 r1"},
			{"1 LOOKING 1:5/5 r1", ""},
			{"2 LOOKING 3:-1/4 r1", ""},
			{"1 LOOKING 1:5/5 r0", "1 LOOKING 3:-1/4 r1"},
			{"tick 200ms", "connect 1 2; all LOOKING 3:-1/4 r1"},
			{"1 LEADING 1:5/5 r2", ""},
			{"2 FOLLOWING 1:5/5 r2", "= FOLLOWING 1:5/5 r2"},
		}},
		{"the vote of such a server is ignored by the others", 3, 0, 1, []step{
			{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"},
			{"3 LOOKING 3:-1/9 r4", ""},
			{"2 LOOKING 1:5/1 r1", "2 LOOKING 1:5/1 r1"},
			{"tick 200ms", "= LEADING 1:5/1 r1"},
		}},
		{"nor does it elect itself, even if it is alone", 1, 0, 1, []step{
			{"look -1/4", ""},
			{"tick 1h", ""},
		}},
	})
}

// TestTrap5JoinDecidedEnsemble is about what a server must hear to join one that has a leader.
func TestTrap5JoinDecidedEnsemble(t *testing.T) {
	three, five := members(t, 3, 0), members(t, 5, 0)
	look := step{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"}
	look5 := step{"look 5/1", "connect 2 3 4 5; all LOOKING 1:5/1 r1"}
	for _, c := range []struct {
		name    string
		members *ensemble.Config
		steps   []step
	}{
		{"in the same round only the leader's id is compared", three, []step{
			look, {"2 FOLLOWING 3:7/1 r1", ""}, {"3 LEADING 3:9/2 r1", "= FOLLOWING 3:9/2 r1"},
		}},
		{"in another round its epoch is compared as well", three, []step{
			look, {"2 FOLLOWING 3:7/1 r4", ""}, {"3 LEADING 3:9/2 r4", ""}, {"2 FOLLOWING 3:7/2 r5", "= FOLLOWING 3:7/2 r5"},
		}},
		{"rounds and zxids of those who follow may differ", three, []step{
			look, {"2 FOLLOWING 3:7/2 r6", ""}, {"3 LEADING 3:9/2 r4", "= FOLLOWING 3:9/2 r4"},
		}},
		{"a server of version 0 is compared by the leader alone", three, []step{
			look, {"2 FOLLOWING 3:7/1 r6 old", ""}, {"3 LEADING 3:9/2 r4", "= FOLLOWING 3:9/2 r4"},
		}},
		{"two servers of version 0 by the epoch as well", three, []step{
			look, {"2 FOLLOWING 3:7/1 r6 old", ""}, {"3 LEADING 3:9/2 r4 old", ""},
		}},
		{"the leader's own word is required", five, []step{
			look5,
			{"2 FOLLOWING 5:7/2 r4", ""},
			{"3 FOLLOWING 5:7/2 r4", ""},
			{"4 FOLLOWING 5:7/2 r4", ""},
			{"5 LEADING 5:7/2 r4", "= FOLLOWING 5:7/2 r4"},
		}},
		{"it must say that it leads", three, []step{
			look, {"3 FOLLOWING 3:7/2 r4", ""}, {"2 FOLLOWING 3:7/2 r4", ""},
		}},
		{"the leader alone is no quorum", five, []step{
			look5, {"5 LEADING 5:7/2 r4", ""}, {"4 FOLLOWING 5:7/2 r4", ""}, {"3 FOLLOWING 5:7/2 r4", "= FOLLOWING 5:7/2 r4"},
		}},
		{"the last word of a server counts", five, []step{
			look5, {"5 LEADING 5:7/2 r4", ""}, {"4 FOLLOWING 5:7/2 r4", ""}, {"4 FOLLOWING 2:7/2 r4", ""}, {"3 FOLLOWING 5:7/2 r4", ""},
		}},
		{"a vote of this round that looks counts if it is the very same", five, []step{
			look5,
			{"2 LOOKING 4:7/2 r1", "all LOOKING 4:7/2 r1"},
			{"3 FOLLOWING 4:7/2 r1", ""},
			{"4 LEADING 4:7/2 r1", "= FOLLOWING 4:7/2 r1"},
		}},
		{"and not if anything differs", five, []step{
			look5,
			{"2 LOOKING 4:7/2 r1", "all LOOKING 4:7/2 r1"},
			{"3 FOLLOWING 4:7/3 r1", ""},
			{"4 LEADING 4:7/3 r1", ""},
		}},
		{"who is said to lead does so only in its own round", three, []step{
			look, {"2 FOLLOWING 1:7/2 r4", ""}, {"3 FOLLOWING 1:7/2 r4", ""}, {"2 FOLLOWING 1:7/2 r1", "= LEADING 1:7/2 r1"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) { tell(t, Options{Self: 1, Members: c.members}, c.steps...) })
	}
}

// TestTrap16DecidedVoteKeepsZxid: a decided vote keeps the zxid of the election and takes the epoch that the leader
// establishes; and a server that returns is met by stale votes, which each link repeats.
func TestTrap16DecidedVoteKeepsZxid(t *testing.T) {
	three := members(t, 3, 0)
	leader := tell(t, Options{Self: 2, Members: three},
		step{"look 5/1", "connect 1 3; all LOOKING 2:5/1 r1"},
		step{"refused 3", ""},
		step{"1 LOOKING 2:5/1 r1", "1 LOOKING 2:5/1 r1; = LEADING 2:5/1 r1"},
		step{"3 LOOKING 3:5/1 r1", "3 LEADING 2:5/1 r1"},
		step{"epoch 2", ""},
		step{"3 LOOKING 3:5/1 r1", "3 LEADING 2:5/2 r1"})
	if want := (Vote{Leader: 2, Zxid: 5, Round: 1, PeerEpoch: 2}); leader.e.Vote() != want {
		t.Errorf("Vote() = %+v, want %+v", leader.e.Vote(), want)
	}
	tell(t, Options{Self: 3, Members: three},
		step{"look 5/1", "connect 1 2; all LOOKING 3:5/1 r1"},
		step{"2 LOOKING 2:5/1 r4", "all LOOKING 3:5/1 r4"}, // repeated by the link, from the election that made 2 leader
		step{"1 LOOKING 2:5/1 r4", "1 LOOKING 3:5/1 r4"},
		step{"1 FOLLOWING 2:5/2 r4", ""},
		step{"2 LEADING 2:5/2 r4", "= FOLLOWING 2:5/2 r4"})
}

func TestIntervalsFromTheOptions(t *testing.T) {
	o := Options{Self: 1, Members: members(t, 3, 0), MinInterval: 10, MaxInterval: 30, FinalizeWait: 5}
	s := tell(t, o, step{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"})
	for i, want := range []time.Duration{10, 30, 60, 90} {
		if at, ok := s.e.Wake(); !ok || at != want {
			t.Fatalf("repetition %d: Wake() = %d, %v, want %d", i, at, ok, want)
		}
		s.now = want
		s.do("tick 0s")
	}
	s.do("2 LOOKING 1:5/1 r1")
	if at, ok := s.e.Wake(); !ok || at != 95 {
		t.Fatalf("Wake() = %d, %v, want 95, the end of the wait", at, ok)
	}
	s.tell(step{"tick 5ns", "= LEADING 1:5/1 r1"})
	if at, ok := s.e.Wake(); ok {
		t.Fatalf("Wake() = %d after the election", at)
	}
}

func TestMembershipsInMessages(t *testing.T) {
	ours := members(t, 3, 0)
	newer := strings.Replace(members(t, 4, 0).Text(), "version=0", "version=5", 1)
	vote := note(t, "LOOKING 3:9/1 r1")
	for _, c := range []struct {
		name, config           string
		decided, drop, differs bool
	}{
		{"our own", ours.Text(), false, false, false},
		{"newer, of other members", newer, false, true, true},
		{"newer, of the same members", strings.Replace(ours.Text(), "version=0", "version=5", 1), false, false, false},
		{"of other members, and not newer", members(t, 4, 0).Text(), false, false, true},
		{"that cannot be read", "server.1", false, false, true},
		{"newer, of other members, when we have a leader", newer, true, false, true},
	} {
		s := tell(t, Options{Self: 1, Members: ours}, step{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"})
		want := "all LOOKING 3:9/1 r1"
		if c.decided {
			s.do("2 LOOKING 2:5/1 r1")
			s.tell(step{"tick 200ms", "= FOLLOWING 2:5/1 r1"})
			want = "2 FOLLOWING 2:5/1 r1"
		}
		s.ef.Reset()
		n := vote
		n.Config = c.config
		s.e.Heard(s.now, 2, n, &s.ef)
		if got := s.effects(); c.drop != (got == "") || c.drop != (s.ef.Newer != nil) || !c.drop && got != want {
			t.Errorf("%s: %q, newer %v", c.name, got, s.ef.Newer)
		}
		s.e.Heard(s.now, 2, n, &s.ef)
		if told := len(s.ef.Differs); told != 0 && !c.differs || told != 1 && c.differs {
			t.Errorf("%s: servers with another list: %v", c.name, s.ef.Differs)
		}
	}
}

func TestSaid(t *testing.T) {
	s := tell(t, Options{Self: 1, Members: members(t, 3, 0)}, step{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"})
	s.do("2 LEADING 2:9/1 r-1")
	s.do("up 3")
	if n, ok := s.e.Said(2); !ok || n != note(t, "LEADING 2:9/1 r-1") {
		t.Errorf("Said(2) = %+v, %v", n, ok)
	}
	if n, ok := s.e.Said(3); ok {
		t.Errorf("Said(3) = %+v", n)
	}
}

func TestStrangersAreNotRememberedWithoutEnd(t *testing.T) {
	s := tell(t, Options{Self: 1, Members: members(t, 3, 0)}, step{"look 5/1", "connect 2 3; all LOOKING 1:5/1 r1"}, step{"up 2", ""})
	for id := 10; id < 10+3*maxPeers; id++ {
		s.do(strconv.Itoa(id) + " LOOKING -9:-9/-9 r1")
		if n := len(s.e.peers); n > maxPeers {
			t.Fatalf("%d servers are remembered", n)
		}
	}
	s.tell(step{"tick 200ms", "connect 3; all LOOKING 1:5/1 r1"})
}
