package daemon

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// lonely starts the first of three servers with these lines, and returns its quorum and its election port.
func lonely(t *testing.T, lines string) (quorum, election string) {
	t.Helper()
	cfg, _ := member(t, lines)
	o := quiet()
	o.Quorum, o.Election = []net.Listener{listen(t, "127.0.0.1:0")}, []net.Listener{listen(t, "127.0.0.1:0")}
	s, err := Start(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return o.Quorum[0].Addr().String(), o.Election[0].Addr().String()
}

func connect(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestWhoSaysNothingIsHungUpOn connects to the ports of a member and is silent. With the usual settings that takes minutes.
func TestWhoSaysNothingIsHungUpOn(t *testing.T) {
	t.Parallel()
	_, election := lonely(t, "quorumCnxnTimeoutMs=20\n")
	quorum, _ := lonely(t, "tickTime=4\ninitLimit=5\n")
	for port, address := range map[string]string{"election": election, "quorum": quorum} {
		if _, err := connect(t, address).Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("the %s port: %v", port, err)
		}
	}
}

// TestVotesAreRepeatedAsTheSettingsSay is a voter that never answers. With the usual intervals, which double from 200 ms up
// to a minute, so many votes take a quarter of an hour.
func TestVotesAreRepeatedAsTheSettingsSay(t *testing.T) {
	t.Parallel()
	_, election := lonely(t, "fastleader.minNotificationInterval=1\nfastleader.maxNotificationInterval=3\n")
	c := connect(t, election)
	const address = "127.0.0.1:9"
	hello := binary.BigEndian.AppendUint64(nil, 1<<64-65536) // the version of the protocol that brings an address
	hello = binary.BigEndian.AppendUint64(hello, 2)
	hello = binary.BigEndian.AppendUint32(hello, uint32(len(address)))
	if _, err := c.Write(append(hello, address...)); err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		var size [4]byte
		if _, err := io.ReadFull(c, size[:]); err != nil {
			t.Fatal(n, err)
		}
		vote := make([]byte, binary.BigEndian.Uint32(size[:]))
		if _, err := io.ReadFull(c, vote); err != nil || len(vote) < 40 {
			t.Fatal(n, len(vote), err)
		}
	}
}
