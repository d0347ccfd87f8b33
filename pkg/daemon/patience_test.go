package daemon

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zabd/zabd/pkg/election"
	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/zab"
)

const second = time.Second

// onStage runs a case in a bubble of its own, for each of some settings.
func onStage[T any](t *testing.T, cases map[string]T, f func(t *testing.T, g *stage, lines string, want T)) {
	t.Helper()
	for lines, want := range cases {
		t.Run(lines, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, newStage(t), lines, want) })
		})
	}
}

// TestWhoSaysNothingIsHungUpOn connects to the ports of a member and is silent.
func TestWhoSaysNothingIsHungUpOn(t *testing.T) {
	type patience struct{ quorum, election time.Duration }
	onStage(t, map[string]patience{
		"":                         {20 * second, 10 * second}, // initLimit and syncLimit
		"initLimit=7":              {7 * second, 10 * second},
		"tickTime=100":             {2 * second, second},
		"quorumCnxnTimeoutMs=1500": {20 * second, 1500 * time.Millisecond},
	}, func(t *testing.T, g *stage, lines string, want patience) {
		g.start(1, lines)
		for address, after := range map[string]time.Duration{quorumOf: want.quorum, electionOf: want.election} {
			c, begun := g.connect(fmt.Sprintf(address, 1)), time.Now()
			if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) || time.Since(begun) != after {
				t.Errorf("%s: %v after %v, want %v", address, err, time.Since(begun), after)
			}
		}
	})
}

// TestVotesAreRepeatedAsTheSettingsSay is a voter that never answers.
func TestVotesAreRepeatedAsTheSettingsSay(t *testing.T) {
	const ms = time.Millisecond
	onStage(t, map[string][]time.Duration{
		"": {200 * ms, 400 * ms, 800 * ms, 1600 * ms},
		"fastleader.minNotificationInterval=30\nfastleader.maxNotificationInterval=100": {30 * ms, 60 * ms, 100 * ms, 100 * ms},
	}, func(t *testing.T, g *stage, lines string, want []time.Duration) {
		g.start(1, lines)
		c := g.voter(2)
		readVote(t, c) // for the connection
		var got []time.Duration
		for last := time.Now(); len(got) < len(want); last = time.Now() {
			readVote(t, c)
			got = append(got, time.Since(last))
		}
		if !slices.Equal(got, want) {
			t.Errorf("votes come after %v, want %v", got, want)
		}
	})
}

func readVote(t *testing.T, c io.Reader) {
	t.Helper()
	var size [4]byte
	if _, err := io.ReadFull(c, size[:]); err != nil {
		t.Fatal(err)
	}
	vote := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(c, vote); err != nil || len(vote) < 40 {
		t.Fatal(len(vote), err)
	}
}

// TestLinksOfElectionsAreGivenUp has addresses that answer nothing.
func TestLinksOfElectionsAreGivenUp(t *testing.T) {
	onStage(t, map[string]time.Duration{"": 5 * second, "cnxTimeout=8000": 8 * second}, func(t *testing.T, g *stage, lines string, want time.Duration) {
		g.start(1, lines)
		<-time.After(want)
		synctest.Wait()
		for _, id := range []ensemble.ID{2, 3} {
			if got := g.attempts(fmt.Sprintf(electionOf, id)); len(got) == 0 || got[0].took != want {
				t.Errorf("server %d: %v, want %v", id, got, want)
			}
		}
	})
}

// following are votes by which server 3 leads.
var following = map[ensemble.ID]election.State{2: election.Following, 3: election.Leading}

// TestALeaderThatCannotBeReached was elected, and answers nothing.
func TestALeaderThatCannotBeReached(t *testing.T) {
	onStage(t, map[string]time.Duration{"initLimit=6": 6 * second, "connectToLearnerMasterLimit=3": 3 * second}, func(t *testing.T, g *stage, lines string, want time.Duration) {
		g.start(1, lines)
		g.vote(3, following)
		<-time.After(time.Minute)
		synctest.Wait()
		if got := g.attempts(fmt.Sprintf(quorumOf, 3)); len(got) == 0 || got[0].took != want {
			t.Errorf("%v, want %v", got, want)
		}
	})
}

// TestALeaderThatRefusesIsTriedAgain was elected, and its port is not open yet.
func TestALeaderThatRefusesIsTriedAgain(t *testing.T) {
	const ms = time.Millisecond
	onStage(t, map[string]time.Duration{"": 4 * ms, "leaderConnectDelayDuringRetryMs=300": 300 * ms}, func(t *testing.T, g *stage, lines string, want time.Duration) {
		g.shut = true
		g.start(1, lines)
		g.vote(3, following)
		<-time.After(10 * second)
		got := g.attempts(fmt.Sprintf(quorumOf, 3))
		if len(got) < 3 {
			t.Fatal(got)
		}
		for i, a := range got[1:3] {
			if pause := a.at.Sub(got[i].at); pause != want {
				t.Errorf("it is tried again after %v, want %v", pause, want)
			}
		}
	})
}

// TestALeaderWithoutAQuorumGivesUp was elected, and nobody comes.
func TestALeaderWithoutAQuorumGivesUp(t *testing.T) {
	onStage(t, map[string]string{
		"leader.maxTimeToWaitForEpoch=-1":   "no quorum has followed within initLimit",
		"leader.maxTimeToWaitForEpoch=4000": "no quorum has agreed on an epoch within 4s",
	}, func(t *testing.T, g *stage, lines string, want string) {
		s := g.start(1, lines)
		g.vote(1, map[ensemble.ID]election.State{2: election.Looking, 3: election.Looking})
		for s.peer.Role() != zab.Leading {
			<-s.changed
		}
		begun := time.Now()
		for s.peer.Role() == zab.Leading {
			<-s.changed
		}
		least, quits, took := 20*second, "0", time.Since(begun)
		if strings.Contains(want, "4s") {
			least, quits = 4*second, "1"
		}
		if got := valueOf(s, "quit_leading_due_to_disloyal_voter"); got != quits {
			t.Errorf("it has quit %s times, want %s", got, quits)
		}
		if text := g.out.String(); took < least || took > least+second || !strings.Contains(text, want) {
			t.Errorf("it gives up after %v, want %v:\n%s", took, least, text)
		}
	})
}

// valueOf returns a metric as mntr prints it.
func valueOf(s *Server, name string) string {
	for _, v := range s.registry.Values() {
		if v.Name == name {
			return v.Text
		}
	}
	return "nothing"
}

// TestSilenceEndsAnEnsemble cuts the network between a leader and its follower, which nobody is told.
func TestSilenceEndsAnEnsemble(t *testing.T) {
	onStage(t, map[string]time.Duration{"syncLimit=4": 4 * second, "syncLimit=25": 25 * second}, func(t *testing.T, g *stage, lines string, want time.Duration) {
		follower, leader := g.start(1, lines), g.start(2, lines)
		g.await(leader, zab.Leading)
		g.await(follower, zab.Following)
		<-time.After(3 * second)
		g.freeze()
		begun := time.Now()
		for _, s := range []*Server{leader, follower} {
			for s.peer.Role() != zab.Looking {
				<-s.changed
			}
		}
		if took := time.Since(begun); took < want-second || took > want+2*second {
			t.Errorf("they give each other up after %v, want %v", took, want)
		}
	})
}

// TestObserversAreTurnedAwayFromACrowd has observers come that take what they get very slowly.
func TestObserversAreTurnedAwayFromACrowd(t *testing.T) {
	onStage(t, map[string]int{
		"leader.maxConcurrentDiffSyncs=1":                         1,
		"leader.maxConcurrentDiffSyncs=3":                         3,
		"forceSnapshotSync=true\nleader.maxConcurrentSnapSyncs=1": 1,
		"forceSnapshotSync=true\nleader.maxConcurrentSnapSyncs=2": 2,
	}, func(t *testing.T, g *stage, lines string, want int) {
		opening := zab.TypeDiff
		if strings.HasPrefix(lines, "forceSnapshotSync") {
			opening = zab.TypeSnap
		}
		g.start(1, lines)
		g.await(g.start(2, lines), zab.Leading)
		for i := range 5 {
			if got, ok := g.observer(2, ensemble.ID(10+i)); ok != (i < want) || ok && got != opening {
				t.Errorf("observer %d: %v, %v", i, got, ok)
			}
		}
	})
}

const twoNetworks = `
multiAddress.enabled=true
server.1=240.0.0.1:2888:3888|240.1.0.1:2888:3888
server.2=240.0.0.2:2888:3888|240.1.0.2:2888:3888
server.3=240.0.0.3:2888:3888|240.1.0.3:2888:3888
`

// TestSeveralAddresses: how a server of two networks calls another, and what it says of itself.
func TestSeveralAddresses(t *testing.T) {
	onStage(t, map[string]time.Duration{ // between the first address and the second
		"multiAddress.reachabilityCheckEnabled=true":                                               0,
		"multiAddress.reachabilityCheckEnabled=false":                                              second,
		"multiAddress.reachabilityCheckEnabled=false\nmultiAddress.reachabilityCheckTimeoutMs=700": 700 * time.Millisecond,
	}, func(t *testing.T, g *stage, lines string, want time.Duration) {
		third := g.open("240.1.0.3:3888")
		defer third.Close()
		g.start(1, lines+twoNetworks)
		c, err := third.Accept()
		if err != nil {
			t.Fatal(err)
		}
		here := election.Hello{Version: election.HelloAddresses, ID: 1, Addrs: []ensemble.Addr{{Host: "240.0.0.1", Port: 3888}, {Host: "240.1.0.1", Port: 3888}}}
		hello := here.AppendTo(nil)
		if got := make([]byte, len(hello)); !reads(c, got) || !slices.Equal(got, hello) {
			t.Errorf("it says %q, want %q", got, hello)
		}
		<-time.After(10 * second)
		first, other := g.attempts("240.0.0.2:3888"), g.attempts("240.1.0.2:3888")
		if len(first) == 0 || len(other) == 0 || other[0].at.Sub(first[0].at) != want {
			t.Errorf("the addresses are called at %v and %v", first, other)
		}
	})
}

func reads(c net.Conn, b []byte) bool {
	_, err := io.ReadFull(c, b)
	return err == nil
}

// TestPortsOfTheEnsembleAreTriedAgain has the quorum port in use.
func TestPortsOfTheEnsembleAreTriedAgain(t *testing.T) {
	onStage(t, map[string]time.Duration{"electionPortBindRetry=1": 0, "electionPortBindRetry=3": 2 * second}, func(t *testing.T, _ *stage, lines string, want time.Duration) {
		busy := listen(t, "127.0.0.1:0")
		defer busy.Close()
		cfg, _ := member(t, lines+fmt.Sprintf("\nserver.1=127.0.0.1:%d:1", busy.Addr().(*net.TCPAddr).Port))
		o, begun := quiet(), time.Now()
		o.Listeners = []net.Listener{newPipes()}
		_, err := Start(t.Context(), cfg, o)
		var bind *BindError
		if !errors.As(err, &bind) || time.Since(begun) != want {
			t.Errorf("Start() = %v after %v, want %v", err, time.Since(begun), want)
		}
	})
}

// TestPercentilesAreOfLate: what was long ago does not count on /metrics.
func TestPercentilesAreOfLate(t *testing.T) {
	const key = "metricsProvider.prometheusMetricsSummaryRotateIntervalSeconds="
	onStage(t, map[string]string{key + "60": "1", key + "600": "512"}, func(t *testing.T, g *stage, lines string, want string) {
		s := g.start(1, lines)
		deficit := &s.clients.Stats.Deficit
		deficit.ObserveN(512, 10)
		<-time.After(3 * time.Minute)
		deficit.ObserveN(1, 3)
		w := httptest.NewRecorder()
		s.registry.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		for _, line := range []string{`connection_token_deficit{quantile="0.5"} ` + want + "\n", "connection_token_deficit_count 13\n"} {
			if !strings.Contains(w.Body.String(), line) {
				t.Errorf("there is no %s", line)
			}
		}
	})
}
