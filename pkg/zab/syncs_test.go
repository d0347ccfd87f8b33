package zab

import (
	"testing"

	"github.com/zabd/zabd/pkg/proto"
)

// TestPendingSyncs: a sync waits for the writes that were proposed before it, and is told of until then.
func TestPendingSyncs(t *testing.T) {
	n := NewStandalone(Start{CommitLogCap: 2})
	written := submit(t, n, 1)
	var ef Effects
	n.Step(0, Submit{[]*proto.Request{{Op: proto.OpSync}}}, &ef)
	if got := n.PendingSyncs(); got != 1 {
		t.Errorf("%d syncs wait for %v, want 1", got, written)
	}
	n.Step(0, Synced{written[0]}, &ef)
	if got := n.PendingSyncs(); got != 0 {
		t.Errorf("%d syncs wait for nothing", got)
	}
}
