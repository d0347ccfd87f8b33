package ensemble

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestMajority(t *testing.T) {
	for _, c := range []struct {
		positions []int
		want      bool
	}{
		{[]int{5}, true}, {[]int{4}, false}, {[]int{5, 4}, false}, {[]int{5, 6}, true}, {[]int{5, 4, 9}, true}, {[]int{5, 5, 4, 4}, false},
	} {
		if got := Reached(NewMajority(len(c.positions)), c.positions, 5); got != c.want {
			t.Errorf("%v at 5: %v", c.positions, got)
		}
	}
}

const (
	four = "server.1=a:2888:3888:participant\nserver.2=b:2888:3888:participant\n" +
		"server.3=c:2888:3888:participant\nserver.4=d:2888:3888:observer\nversion=0"
	dynamic = "server.1=127.0.0.1:14410:14420:observer;127.0.0.1:14400\nserver.2=127.0.0.1:14411:14421:participant;127.0.0.1:14401\n" +
		"version=100000006"
	networks = "server.1=127.0.0.1:14710:14720|127.0.0.2:14710:14720:participant\nversion=0"
)

func config(t *testing.T, text string) *Config {
	t.Helper()
	c, err := ParseConfig(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestConfigTextsOfServersAreReadAndWrittenTheSame(t *testing.T) {
	for _, text := range []string{four, dynamic, networks} {
		if got := config(t, text).Text(); got != text {
			t.Errorf("ParseConfig(%q).Text() = %q", text, got)
		}
	}
}

func TestWhoVotes(t *testing.T) {
	c := config(t, four)
	if want := []ID{1, 2, 3}; !slices.Equal(c.Voters(), want) || c.Quorum().Voters() != 3 {
		t.Errorf("Voters() = %v, Quorum().Voters() = %d, want %v", c.Voters(), c.Quorum().Voters(), want)
	}
	for id, want := range map[ID]int{1: 0, 3: 2, 4: -1, 0: -1} {
		slot, ok := c.Slot(id)
		if ok != (want >= 0) || ok && slot != want || c.IsVoter(id) != ok {
			t.Errorf("Slot(%d) = %d, %v, IsVoter %v, want %d", id, slot, ok, c.IsVoter(id), want)
		}
	}
	if m, ok := c.Member(4); !ok || m.Role != Observer || m.Quorum[0] != (Addr{"d", 2888}) || m.Election[0] != (Addr{"d", 3888}) {
		t.Errorf("Member(4) = %v, %v", m, ok)
	}
	if _, ok := c.Member(5); ok {
		t.Error("Member(5) is known")
	}
	for _, tc := range []struct {
		ids  []ID
		want bool
	}{{nil, false}, {[]ID{2}, false}, {[]ID{2, 4}, false}, {[]ID{2, 3}, true}, {[]ID{1, 2, 3}, true}} {
		if got := c.Holds(func(id ID) bool { return slices.Contains(tc.ids, id) }); got != tc.want {
			t.Errorf("Holds(%v) = %v", tc.ids, got)
		}
	}
}

func TestFormsOfALine(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"static form", "h:1:2", "h:1:2:participant"},
		{"spaces and letters", " h:1:2:OBSERVER ", "h:1:2:observer"},
		{"client port alone", "h:1:2;3", "h:1:2:participant;0.0.0.0:3"},
		{"client address", "h:1:2:observer;10.0.0.1:3", "h:1:2:observer;10.0.0.1:3"},
		{"secure client port", "h:1:2;3;[::1]:4", "h:1:2:participant;0.0.0.0:3;[::1]:4"},
		{"secure client port only", "h:1:2;;4", "h:1:2:participant;;0.0.0.0:4"},
		{"IPv6", "[2001:db8::1]:1:2:participant;[::]:3", "[2001:db8::1]:1:2:participant;[::]:3"},
		{"several networks, by host", "n2:3:4|[::1]:1:2|n1:5:6:observer", "[::1]:1:2|n1:5:6|n2:3:4:observer"},
		{"a role with every address", "a:1:2:participant|b:1:2:participant", "a:1:2|b:1:2:participant"},
	} {
		m, err := ParseMember(7, c.value)
		if err != nil || m.String() != c.want || m.ID != 7 {
			t.Errorf("%s: ParseMember(%q) = %v, %v, want %s", c.name, c.value, m, err, c.want)
		}
	}
}

func TestBadLinesAreNamed(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"server.1=a:1:2\nserver.2=b:1", `line 2, "server.2=b:1": "b:1" is not host:quorumPort:electionPort[:role]`},
		{"server.1=a:1:2:3:4", "not host:quorumPort:electionPort"},
		{"server.1=a:1:65536", `port "65536" is not a number from 1 to 65535`},
		{"server.1=a:0:1", `port "0"`},
		{"server.1=a:1:2:king", `role "king" is neither`},
		{"server.1=a:1:2:observer|b:1:2:participant", `roles "observer" and "participant"`},
		{"server.1=::1:1:2", "does not begin with a host and a port"},
		{"server.1=[::1:1:2", "IPv6 address in brackets"},
		{"server.1=[a]:1:2", "IPv6 address in brackets"},
		{"server.1=a:1:2|", "does not begin with a host and a port"},
		{"server.1=a:1:2;", `port "" is not`},
		{"server.1=a:1:2;b:c", `port "c" is not`},
		{"server.1=a:1:2;3;4;5", "3 semicolons"},
		{"server.x=a:1:2", `id "x" is not`},
		{"server.9223372036854775807=a:1:2", "is not a number that a server may have"},
		{"server.1=a:1:2\nversion=-1", `version "-1" is not`},
		{"server.1=a:1:2\n\n# c\nport=1", `line 4, "port=1": neither server.N nor version`},
		{"server.1=a:1:2\ngroup.1=1", `line 2, "group.1=1": groups and weights`},
		{"server.1=a:1:2\nweight.1=1", `line 2, "weight.1=1": groups and weights`},
		{"server.1=a:1:2\nserver.1=b:1:2", "server.1 stands there twice"},
		{"server.1=a:1:2\nserver.3=a:1:3", "server.1 and server.3 have the same address a:1"},
		{"server.1=a:1:2\nserver.3=b:1:2|a:3:2", "server.1 and server.3 have the same address a:2"},
		{"server.1=a:1:2:observer", "none of 1 servers is a participant"},
		{"", "none of 0 servers"},
	} {
		if _, err := ParseConfig(c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("ParseConfig(%q) = %v, want %q", c.text, err, c.want)
		}
	}
	if _, err := ParseMember(3, "a:b:c"); err == nil || err.Error() != `ensemble: parse server.3=a:b:c: port "b" is not a number from 1 to 65535` {
		t.Errorf("ParseMember: %v", err)
	}
}

func TestSameMembers(t *testing.T) {
	base := config(t, networks)
	for _, c := range []struct {
		name, text string
		want       bool
	}{
		{"another version", strings.Replace(networks, "version=0", "version=a", 1), true},
		{"networks in another order", "server.1=127.0.0.2:14710:14720|127.0.0.1:14710:14720", true},
		{"another port", "server.1=127.0.0.2:14710:14720|127.0.0.1:14710:14721", false},
		{"one more member", networks + "\nserver.2=b:1:2", false},
		{"a client address", "server.1=127.0.0.1:14710:14720|127.0.0.2:14710:14720;1", false},
	} {
		if got := base.SameMembers(config(t, c.text)); got != c.want {
			t.Errorf("%s: SameMembers = %v", c.name, got)
		}
	}
}

func TestAddrText(t *testing.T) {
	for _, text := range []string{"h:1", "127.0.0.1:65535", "[::1]:3888", "[fe80::1%eth0]:1"} {
		if a, err := ParseAddr(text); err != nil || a.String() != text {
			t.Errorf("ParseAddr(%q) = %v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", "h", ":1", "h:", "h:1:2", "::1", "[::1]", "h:+1"} {
		if a, err := ParseAddr(text); err == nil {
			t.Errorf("ParseAddr(%q) = %v", text, a)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, text := range []string{four, dynamic, networks, "server.1=[::1]:1:2|n:1:2:observer;;4\nserver.02=x:1:2\n#\nversion=ff"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseConfig(text)
		if err != nil {
			return
		}
		again, err := ParseConfig(c.Text())
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("ParseConfig(%q) = %v; read again: %v, %v", text, c, again, err)
		}
	})
}

func TestTwoConfigurationsDecideTogether(t *testing.T) {
	next := "server.3=c:2888:3888:participant\nserver.4=d:2888:3888:participant\nserver.5=e:2888:3888:participant\nversion=7"
	e := NewElectorate(config(t, four), config(t, next))
	if want := []ID{1, 2, 3, 4, 5}; !slices.Equal(e.Voters(), want) || e.LastSeen().Version != 7 {
		t.Fatalf("voters %v, want %v", e.Voters(), want)
	}
	for _, tc := range []struct {
		ids  []ID
		want bool
	}{
		{[]ID{1, 2}, false},
		{[]ID{4, 5}, false},
		{[]ID{3, 4, 5}, false},
		{[]ID{1, 2, 3}, false},
		{[]ID{1, 2, 5}, false},
		{[]ID{1, 3, 4}, true},
		{[]ID{2, 3, 5}, true},
		{[]ID{1, 2, 4, 5}, true},
		{nil, false},
	} {
		holds := func(id ID) bool { return slices.Contains(tc.ids, id) }
		marked, positions := make([]bool, 6), make([]int, 6)
		marked[5], positions[5] = true, 9 // of somebody without a vote
		for _, id := range tc.ids {
			slot, ok := e.Slot(id)
			if !ok {
				t.Fatalf("server %d does not vote", id)
			}
			marked[slot], positions[slot] = true, 9
		}
		q := e.Quorum()
		if a, b, c := e.Holds(holds), q.Holds(marked), Reached(q, positions, 9); a != tc.want || b != tc.want || c != tc.want {
			t.Errorf("%v: %v, %v and %v, want %v", tc.ids, a, b, c, tc.want)
		}
	}
	if old := NewElectorate(config(t, next), config(t, four)); old.Next != nil || old.IsVoter(1) {
		t.Error("an older configuration votes")
	}
}

func TestMembersJoinAndLeave(t *testing.T) {
	const start = "server.1=a:1:2:participant;b:3\nserver.2=b:1:2:participant;b:3\nversion=5"
	for _, tc := range []struct{ name, joining, leaving, want string }{
		{"nothing", "", "", "server.1=a:1:2:participant;b:3\nserver.2=b:1:2:participant;b:3\nversion=5"},
		{"one leaves", "", "1", "server.2=b:1:2:participant;b:3\nversion=5"},
		{"a stranger leaves", "", " 9 ,,2", "server.1=a:1:2:participant;b:3\nversion=5"},
		{"one joins", "server.3=c:1:2:observer;4", "", "server.1=a:1:2:participant;b:3\nserver.2=b:1:2:participant;b:3\nserver.3=c:1:2:observer;0.0.0.0:4\nversion=5"},
		{"one changes its role", "server.2=b:1:2:observer;b:3", "", "server.1=a:1:2:participant;b:3\nserver.2=b:1:2:observer;b:3\nversion=5"},
		{"one takes another's address", "server.3=a:1:2;3", "1", "server.2=b:1:2:participant;b:3\nserver.3=a:1:2:participant;0.0.0.0:3\nversion=5"},
		{"one leaves and comes again", "server.2=d:1:2;3", "2", "server.1=a:1:2:participant;b:3\nserver.2=d:1:2:participant;0.0.0.0:3\nversion=5"},
		{"no number", "", "two", `leaving server "two": a server's id is a number`},
		{"an address that is taken", "server.3=a:1:9;3", "", "server.1 and server.3 have the same address a:1"},
		{"no client port", "server.3=c:1:2", "", `joining server "server.3=c:1:2" has no client port`},
		{"no server", "c:1:2;3", "", `joining server "c:1:2;3" does not begin with server.N=`},
		{"no port", "server.3=c:1;3", "", `"c:1" is not host:quorumPort:electionPort`},
		{"nobody is left", "", "1,2", "none of 0 servers is a participant"},
	} {
		got := ""
		if c, err := config(t, start).Change(tc.joining, tc.leaving); err != nil {
			got = err.Error()
		} else {
			got = c.Text()
		}
		if got != tc.want && !(strings.HasPrefix(got, "ensemble: ") && strings.Contains(got, tc.want)) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	c, err := ParseMembers("server.1=a:1:2;3,server.2=b:1:2:observer\nserver.3=c:1:2")
	if err != nil || len(c.Members) != 3 || len(c.Voters()) != 2 {
		t.Errorf("ParseMembers: %v, %v", c, err)
	}
	if _, err := ParseMembers("group.1=1"); err == nil {
		t.Error("groups are taken")
	}
}
