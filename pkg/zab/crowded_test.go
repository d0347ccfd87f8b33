package zab

import (
	"fmt"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/proto"
)

// TestObserversAreTurnedAwayFromACrowd: a leader brings up no more observers at one time than it shall, by trees or by
// differences; a voter it always does.
func TestObserversAreTurnedAwayFromACrowd(t *testing.T) {
	for name, c := range map[string]struct {
		snaps, diffs int
		last         proto.Zxid // of the observers
		opened       int        // of three that come
	}{
		"any number of trees":       {0, 1, 0, 3},
		"two trees":                 {2, 1, 0, 2},
		"any number of differences": {1, 0, zx(1, 2), 3},
		"one, beside the voter's":   {5, 2, zx(1, 2), 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 3, 1, zx(1, 2), zx(1, 3))
			r.n.cfg.MaxSnaps, r.n.cfg.MaxDiffs, r.n.cfg.NoLogSync = c.snaps, c.diffs, true
			r.lead(zx(1, 3)) // the voter, which has all
			r.take()
			opened := 0
			for i := range 3 {
				link := LinkID(10 + i)
				info := learnerInfo{id: ensemble.ID(10 + i), version: protocolVersion}
				r.step(Accepted{link}, Received{Link: link, Packet: Packet{
					Type: TypeObserverInfo, Zxid: zx(r.n.currentEpoch, 0), Data: info.appendTo(nil),
				}}, ackEpoch(link, c.last, int32(r.n.currentEpoch)))
				if ef := r.take(); len(ef.Hangup) == 0 {
					opened++
				} else if said := fmt.Sprint(ef.Lines); !strings.Contains(said, "too many learners are being brought up") {
					t.Errorf("observer %d is turned away: %s", i, said)
				}
			}
			if opened != c.opened {
				t.Errorf("%d observers are brought up, want %d", opened, c.opened)
			}
		})
	}
}
