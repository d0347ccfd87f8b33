package election

import (
	"errors"
	"fmt"
	"strings"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
)

// State is what a server says that it is doing.
type State int32

// The states, with their numbers on the wire.
const (
	Looking State = iota
	Following
	Leading
	Observing
)

var stateNames = [...]string{"LOOKING", "FOLLOWING", "LEADING", "OBSERVING"}

func (s State) String() string {
	if s < Looking || s > Observing {
		return fmt.Sprintf("State(%d)", int32(s))
	}
	return stateNames[s]
}

// A Vote names a leader and says how good it is: its last zxid and its epoch. Round is the election that the vote was
// cast in, as its voter counts them.
type Vote struct {
	Leader    ensemble.ID
	Zxid      proto.Zxid
	Round     int64
	PeerEpoch int64
}

// A Notification is the one message of the election port. The version says how much of it the sender knows; this
// server is of version 2 and adds its membership as text.
type Notification struct {
	State State
	Vote
	Version int32
	Config  string
}

// MaxNotification is the length of the longest notification that a server takes.
const MaxNotification = 524288

const (
	noEpochLength  = 28 // of servers that do not send the epoch by itself
	noConfigLength = 40 // of servers that do not send a version, but something in its place
	version        = 2
)

// AppendTo appends what follows the length of the frame. It is always of this server's own version.
func (n *Notification) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, int32(n.State))
	dst = jute.AppendLong(dst, int64(n.Leader))
	dst = jute.AppendLong(dst, int64(n.Zxid))
	dst = jute.AppendLong(dst, n.Round)
	dst = jute.AppendLong(dst, n.PeerEpoch)
	dst = jute.AppendInt(dst, version)
	return append(jute.AppendInt(dst, int32(len(n.Config))), n.Config...)
}

// DecodeNotification reads a message of any version. The version is 0 where the form has none. Bytes behind the last
// field are those of a later version, and left alone. Nothing that is returned aliases body.
func DecodeNotification(body []byte) (Notification, error) {
	n, err := decodeNotification(body)
	if err != nil {
		return Notification{}, fmt.Errorf("election: decode notification of %d bytes: %w", len(body), err)
	}
	return n, nil
}

func decodeNotification(body []byte) (Notification, error) {
	var n Notification
	d := jute.NewDecoder(body)
	n.State, n.Leader, n.Zxid, n.Round = State(d.Int()), ensemble.ID(d.Long()), proto.Zxid(d.Long()), d.Long()
	if len(body) == noEpochLength {
		n.PeerEpoch = int64(n.Zxid.Epoch())
	} else {
		n.PeerEpoch, n.Version = d.Long(), d.Int()
	}
	if len(body) == noConfigLength {
		n.Version = 0
	}
	if n.Version > 1 {
		config := d.Buffer()
		if config == nil && d.Err() == nil {
			return n, errors.New("the length of its membership is negative")
		}
		n.Config = strings.Clone(jute.Text(config))
	}
	if d.Err() == nil && (n.State < Looking || n.State > Observing) {
		return n, fmt.Errorf("state %d is unknown", n.State)
	}
	return n, d.Err()
}
