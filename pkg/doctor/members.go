package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/overview"
	"github.com/zabd/zabd/pkg/wire"
)

const (
	configNode     = "/zookeeper/config" // has what a server takes for the membership
	sessionTimeout = 5 * time.Second     // of the whole talk with a server
)

// told is what a server tells to a client, whatever its whitelist is.
type told struct {
	id       int64 // the first byte of the sessions that it opens
	members  *ensemble.Config
	min, max time.Duration     // of session timeouts
	conf     map[string]string // what conf answers, where it is allowed
}

// members: servers with the same myid, and servers whose zoo.cfg is another.
func (x *examination) members(ctx context.Context) {
	all := make([]*told, len(x.Targets))
	var wg sync.WaitGroup
	for i := range x.Targets {
		s := &x.ensemble.Servers[i]
		if !s.Ready || x.Targets[i].Address == "" {
			continue
		}
		wg.Go(func() {
			t, err := talk(ctx, x.Targets[i].Address)
			if err != nil {
				x.skip(fmt.Sprintf("%s: its id and settings were not compared: %v", s.Name(), err))
				return
			}
			if t.conf == nil && x.Targets[i].Control != nil {
				t.conf = running(ctx, x.Targets[i].Control)
			}
			all[i] = t
		})
	}
	wg.Wait()
	x.ids(all)
	x.equal(all)
}

// talk opens sessions at a client port. Their ids begin with the server's, and the shortest and longest timeouts that it
// grants follow from its settings.
func talk(ctx context.Context, address string) (*told, error) {
	ctx, cancel := context.WithTimeout(ctx, sessionTimeout)
	defer cancel()
	t := &told{}
	for _, ask := range []struct {
		timeout time.Duration
		granted *time.Duration
	}{{time.Millisecond, &t.min}, {math.MaxInt32 * time.Millisecond, &t.max}} {
		c, err := wire.Dial(ctx, address, wire.Options{Timeout: ask.timeout})
		if err != nil {
			return nil, err
		}
		t.id, *ask.granted = int64(uint64(c.SessionID)>>56), c.Timeout
		if text, _, err := c.Get(ctx, configNode, false); err == nil && len(text) > 0 {
			t.members, _ = ensemble.ParseConfig(string(text))
		}
		if err := c.CloseSession(ctx); err != nil {
			return nil, err
		}
	}
	if text, err := overview.Word(ctx, address, "conf"); err == nil && !overview.Refused(text) {
		t.conf = make(map[string]string)
		for line := range strings.Lines(text) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			t.conf[key] = value
		}
	}
	return t, nil
}

// running returns what the control socket tells of the settings that the server runs by; nil = it does not answer.
func running(ctx context.Context, c *overview.Control) map[string]string {
	var conf struct {
		TickTime       json.Number `json:"tick_time"`
		MaxClientCnxns json.Number `json:"max_client_cnxns"`
	}
	if c.Command(ctx, "configuration", &conf) != nil {
		return nil
	}
	return map[string]string{"tickTime": conf.TickTime.String(), "maxClientCnxns": conf.MaxClientCnxns.String()}
}

// ids finds servers that open sessions in the name of another.
func (x *examination) ids(all []*told) {
	holders := make(map[int64][]string)
	for i, t := range all {
		if t != nil && t.id != 0 && !slices.Contains(holders[t.id], x.Targets[i].Address) {
			holders[t.id] = append(holders[t.id], x.Targets[i].Address)
		}
	}
	for id, at := range holders {
		if len(at) > 1 {
			slices.Sort(at)
			x.find(Finding{
				"myid", Error, fmt.Sprintf("server %d", id), "several servers say that they are it: " + strings.Join(at, ", "),
				"stop all but one; give each of the others its own number in dataDir/myid, and clear its data before it joins",
			})
		}
	}
	for i, t := range all {
		if want := x.Targets[i].ID; t != nil && len(x.Targets) > 1 && want != 0 && t.id != want && len(holders[t.id]) == 1 {
			x.find(Finding{
				"myid", Error, fmt.Sprintf("server %d", want), fmt.Sprintf("at %s answers server %d", x.Targets[i].Address, t.id),
				"put the server line or dataDir/myid right: they must name the same host, and a client port that is not clientPort stands in the line, behind a semicolon",
			})
		}
	}
}

// equal finds servers that are run by another zoo.cfg than this host has.
func (x *examination) equal(all []*told) {
	if x.Config == nil {
		x.skip("the servers' settings were not compared: " + x.File + " cannot be read")
		return
	}
	silent, others := 0, make(map[string][]string)
	for i, t := range all {
		if t == nil {
			continue
		}
		if t.conf == nil {
			silent++
		}
		if differ := x.differences(t); len(differ) > 0 {
			text := strings.Join(differ, "; ")
			others[text] = append(others[text], x.ensemble.Servers[i].Name())
		}
	}
	for text, who := range others {
		x.find(Finding{
			"equal", Warning, strings.Join(who, ", "), "run by another zoo.cfg than " + x.File + ": " + text,
			"copy one zoo.cfg to all hosts, check it there (`zabctl config check`), and restart the servers that run by another one",
		})
	}
	if silent > 0 {
		x.skip(fmt.Sprintf("of %d servers only members and session timeouts were compared: conf is not in their 4lw.commands.whitelist", silent))
	}
}

// differences tells what a server has that is not as in our file.
func (x *examination) differences(t *told) (differ []string) {
	c := x.Config
	compare := func(what, has, want string) {
		if has != want {
			differ = append(differ, fmt.Sprintf("%s is %s, and %s here", what, has, want))
		}
	}
	if has, want := lines(t.members), lines(c.Members); len(has) > 0 && len(want) > 1 {
		for id := ensemble.ID(0); id <= mostID; id++ {
			compare(fmt.Sprintf("server.%d", id), cmp.Or(has[id], "not there"), cmp.Or(want[id], "not there"))
		}
	}
	compare("minSessionTimeout", fmt.Sprint(t.min), fmt.Sprint(c.MinSessionTimeout))
	compare("maxSessionTimeout", fmt.Sprint(t.max), fmt.Sprint(c.MaxSessionTimeout))
	for _, of := range []struct {
		key  string
		want int
	}{
		{"tickTime", int(c.TickTime.Milliseconds())}, {"initLimit", c.InitLimit}, {"syncLimit", c.SyncLimit}, {"maxClientCnxns", c.MaxClientCnxns},
	} {
		if has, said := t.conf[of.key]; said {
			compare(of.key, has, fmt.Sprint(of.want))
		}
	}
	return differ
}

// mostID is the largest id of a member.
const mostID = 255

// lines are what stands in the server lines of members. Client addresses need not be the same everywhere: a server may know
// only its own.
func lines(c *ensemble.Config) map[ensemble.ID]string {
	all := make(map[ensemble.ID]string)
	if c == nil {
		return all
	}
	for _, m := range c.Members {
		m.Client, m.SecureClient = nil, nil
		all[m.ID] = m.String()
	}
	return all
}
