package zab

import (
	"fmt"
	"strconv"
	"time"

	"github.com/zabd/zabd/pkg/ensemble"
	"github.com/zabd/zabd/pkg/jute"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/session"
)

// A PacketType is what a packet on the quorum port says.
type PacketType int32

// The packets of the quorum port.
const (
	TypeRequest           PacketType = 1
	TypeProposal          PacketType = 2
	TypeAck               PacketType = 3
	TypeCommit            PacketType = 4
	TypePing              PacketType = 5
	TypeValidate          PacketType = 6
	TypeSync              PacketType = 7
	TypeInform            PacketType = 8
	TypeCommitAndActivate PacketType = 9
	TypeNewLeader         PacketType = 10
	TypeFollowerInfo      PacketType = 11
	TypeUpToDate          PacketType = 12
	TypeDiff              PacketType = 13
	TypeTrunc             PacketType = 14
	TypeSnap              PacketType = 15
	TypeObserverInfo      PacketType = 16
	TypeLeaderInfo        PacketType = 17
	TypeAckEpoch          PacketType = 18
	TypeInformAndActivate PacketType = 19
)

const (
	protocolVersion            = 0x10000
	extensionMagic             = 0x5a414258 // "ZABX"
	learnerInfoSize            = 20
	touchSize                  = 12
	noZxid          proto.Zxid = -1 // in packets that are about none; and of a server that may have lost its data
)

var packetNames = [...]string{
	"0", "REQUEST", "PROPOSAL", "ACK", "COMMIT", "PING", "REVALIDATE", "SYNC", "INFORM", "COMMITANDACTIVATE", "NEWLEADER",
	"FOLLOWERINFO", "UPTODATE", "DIFF", "TRUNC", "SNAP", "OBSERVERINFO", "LEADERINFO", "ACKEPOCH", "INFORMANDACTIVATE",
}

// String returns the name that ZooKeeper's documentation has for it.
func (t PacketType) String() string {
	if t > 0 && int(t) < len(packetNames) {
		return packetNames[t]
	}
	return "packet " + strconv.Itoa(int(t))
}

// A Packet is one message on the quorum port. What Zxid and Data mean depends on Type.
//
//	type (4) | zxid (8) | data: buffer | ids of the client: vector of (scheme, id); null but in REQUEST
//
// There is no length in front: a reader must decode a packet to find its end. Behind SNAP follows a tree (package
// snapshot).
type Packet struct {
	Type PacketType
	Zxid proto.Zxid
	Data []byte
	IDs  []proto.ID
}

// AppendTo appends the encoded packet.
func (p *Packet) AppendTo(dst []byte) []byte {
	dst = jute.AppendInt(dst, int32(p.Type))
	dst = jute.AppendLong(dst, int64(p.Zxid))
	dst = jute.AppendBuffer(dst, p.Data)
	if p.IDs == nil {
		return jute.AppendInt(dst, -1)
	}
	dst = jute.AppendCount(dst, len(p.IDs))
	for _, id := range p.IDs {
		dst = jute.AppendString(jute.AppendString(dst, id.Scheme), id.ID)
	}
	return dst
}

// Size returns the length of the encoded packet, or a little more.
func (p *Packet) Size() int {
	n := 20 + len(p.Data)
	for _, id := range p.IDs {
		n += 8 + len(id.Scheme) + len(id.ID)
	}
	return n
}

// Decode reads a packet; Data aliases the input.
func (p *Packet) Decode(d *jute.Decoder) error {
	p.Type, p.Zxid, p.Data, p.IDs = PacketType(d.Int()), proto.Zxid(d.Long()), d.Buffer(), nil
	if n := d.Count(8); n >= 0 && d.Err() == nil {
		p.IDs = make([]proto.ID, n)
		for i := range p.IDs {
			p.IDs[i] = proto.ID{Scheme: d.String(), ID: d.String()}
		}
	}
	return d.Err()
}

// The extensions that both ends of a link must offer to use them. Bits are never given another meaning.
const (
	// CumulativeAck: an ACK stands for everything up to its zxid.
	CumulativeAck uint64 = 1 << 0
	// CumulativeCommit: a COMMIT stands for everything up to its zxid.
	CumulativeCommit uint64 = 1 << 1
	// LeaderAck: an ACK from the leader says that it has stored everything up to a zxid, and that with the learner it is a
	// quorum. What the learner has stored, too, is committed. It goes to whom clients wait for; a COMMIT that says no more
	// is left out.
	LeaderAck uint64 = 1 << 2
	// AllExtensions are those that this program knows.
	AllExtensions = CumulativeAck | CumulativeCommit | LeaderAck
)

// appendExtensions appends what a peer that does not know it never looks at.
func appendExtensions(dst []byte, mask uint64) []byte {
	if mask == 0 {
		return dst
	}
	return jute.AppendLong(jute.AppendInt(dst, extensionMagic), int64(mask))
}

func decodeExtensions(d *jute.Decoder) uint64 {
	if d.Len() < 12 || d.Int() != extensionMagic {
		return 0
	}
	return uint64(d.Long())
}

// learnerInfo is the data of FOLLOWERINFO and OBSERVERINFO.
type learnerInfo struct {
	id            ensemble.ID
	version       int32
	configVersion int64
	extensions    uint64
}

func (i *learnerInfo) appendTo(dst []byte) []byte {
	dst = jute.AppendLong(dst, int64(i.id))
	dst = jute.AppendInt(dst, i.version)
	dst = jute.AppendLong(dst, i.configVersion)
	return appendExtensions(dst, i.extensions)
}

func decodeLearnerInfo(data []byte) (learnerInfo, error) {
	if len(data) < learnerInfoSize {
		return learnerInfo{}, fmt.Errorf("zab: LearnerInfo of %d bytes", len(data))
	}
	d := jute.NewDecoder(data)
	i := learnerInfo{id: ensemble.ID(d.Long()), version: d.Int(), configVersion: d.Long()}
	i.extensions = decodeExtensions(&d)
	return i, nil
}

// requestPacket carries a client's write, or sync, to the leader.
func requestPacket(r *proto.Request) Packet {
	b := make([]byte, 0, 16+len(r.Body))
	b = jute.AppendLong(b, r.Session)
	b = jute.AppendInt(b, r.Xid)
	b = jute.AppendInt(b, int32(r.Op))
	p := Packet{Type: TypeRequest, Zxid: noZxid, Data: append(b, r.Body...)}
	if r.Op != proto.OpCreateSession {
		p.IDs = r.IDs
	}
	return p
}

func decodeRequest(p *Packet) (*proto.Request, error) {
	d := jute.NewDecoder(p.Data)
	r := &proto.Request{Session: d.Long(), Xid: d.Int(), Op: proto.Op(d.Int()), IDs: p.IDs}
	if err := d.Err(); err != nil {
		return nil, fmt.Errorf("zab: REQUEST of %d bytes: %w", len(p.Data), err)
	}
	r.Body = d.Rest()
	return r, nil
}

func appendTouches(dst []byte, ts []session.Touch) []byte {
	for _, t := range ts {
		dst = jute.AppendInt(jute.AppendLong(dst, t.ID), int32(t.Timeout/time.Millisecond))
	}
	return dst
}

func eachTouch(data []byte, f func(session.Touch)) {
	d := jute.NewDecoder(data)
	for d.Len() >= touchSize {
		f(session.Touch{ID: d.Long(), Timeout: time.Duration(d.Int()) * time.Millisecond})
	}
}

// validateRequest is a learner's question whether a session lives whose client has come to it.
func validateRequest(t session.Touch) Packet {
	return Packet{Type: TypeValidate, Zxid: noZxid, Data: appendTouches(nil, []session.Touch{t})}
}

func validateAnswer(id int64, ok bool) Packet {
	return Packet{Type: TypeValidate, Zxid: noZxid, Data: jute.AppendBool(jute.AppendLong(nil, id), ok)}
}

func decodeValidateAnswer(data []byte) (id int64, ok bool, err error) {
	d := jute.NewDecoder(data)
	id, ok = d.Long(), d.Bool()
	return id, ok, d.Err()
}
