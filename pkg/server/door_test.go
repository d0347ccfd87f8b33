package server

import (
	"errors"
	"io"
	"net"
	"testing"
)

// TestDoor: whoever comes too early is turned away in time, or is there when the server is ready; then the port is its.
func TestDoor(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	door := HoldDoor([]net.Listener{l})
	if _, err := dial().Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("too early: %v", err)
	}
	early := dial()
	var waiting []net.Conn
	for len(waiting) == 0 { // until it has been accepted
		waiting = door.Open()
		door = HoldDoor([]net.Listener{l})
	}
	if got := waiting[0].RemoteAddr().String(); got != early.LocalAddr().String() {
		t.Errorf("%s waits, and not %v", got, early.LocalAddr())
	}
	_ = waiting[0].Close()
	if left := door.Open(); len(left) != 0 {
		t.Errorf("%d wait", len(left))
	}
	late := dial()
	c, err := l.Accept()
	if err != nil || c.RemoteAddr().String() != late.LocalAddr().String() {
		t.Fatalf("the port is not usable: %v", err)
	}
	_ = c.Close()
}

// TestDoorThatIsShut turns away who waits, and leaves who comes later to whoever has the port next.
func TestDoorThatIsShut(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	door := HoldDoor([]net.Listener{l})
	door.Shut()
	late, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer late.Close()
	if c, err := l.Accept(); err != nil || c.RemoteAddr().String() != late.LocalAddr().String() {
		t.Errorf("who came later was let in: %v", err)
	}
}

// TestDoorOfAPortThatIsClosed ends.
func TestDoorOfAPortThatIsClosed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	door := HoldDoor([]net.Listener{l})
	_ = l.Close()
	if left := door.Open(); len(left) != 0 {
		t.Errorf("%d wait", len(left))
	}
}
