package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zabd/zabd/pkg/audit"
	"github.com/zabd/zabd/pkg/exit"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/wire"
)

// TestAuditLog has a client change things, and fail to, and reads what was recorded.
func TestAuditLog(t *testing.T) {
	cfg, ctx := loadConfig(t, "audit.enable=true\naudit.file=DIR/audit.log\n"), t.Context()
	s, err := Start(ctx, cfg, quiet())
	if err != nil {
		t.Fatal(err)
	}
	c := dial(t, s, wire.Options{})
	if err := c.Auth(ctx, "digest", "alice:secret"); err != nil {
		t.Fatal(err)
	}
	node := func(typ proto.Op, path string, flags int32) proto.MultiOp {
		return proto.MultiOp{Type: typ, Path: path, ACL: proto.WorldAll(), Flags: flags, Version: -1}
	}
	for _, do := range []func() error{
		func() error { _, err := c.Create(ctx, "/a", []byte("data"), 0); return err },
		func() error { _, err := c.Create(ctx, "/s", nil, proto.FlagEphemeralSequential); return err },
		func() error { _, err := c.Create(ctx, "/a", nil, 0); return err },
		func() error { _, err := c.Set(ctx, "/a", nil, 7); return err },
		func() error { _, err := c.Set(ctx, "/a", nil, 0); return err },
		func() error { _, err := c.SetACL(ctx, "/a", proto.WorldAll(), -1); return err },
		func() error {
			_, err := c.Multi(ctx, node(proto.OpCreate, "/m", proto.FlagSequential), node(proto.OpSetData, "/a", 0), node(proto.OpDelete, "/a", 0))
			return err
		},
		func() error { _, err := c.Multi(ctx, node(proto.OpDelete, "/none", 0)); return err },
		func() error { return c.Delete(ctx, "/none", -1) },
		func() error { _, _, err := reconfig(ctx, c, wanted{leaving: "1"}); return err },
		func() error { _, _, err := c.Get(ctx, "/", false); return err },
		func() error { return c.CloseSession(ctx) },
	} {
		_ = do() // some are refused: that is recorded, too
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	who := fmt.Sprintf("session=0x%x\tuser=127.0.0.1,alice\tip=127.0.0.1\t", uint64(c.SessionID))
	self := "user=" + serverUser() + "\t"
	want := []string{
		self + "operation=serverStart\tresult=success",
		who + "operation=create\tznode=/a\tznode_type=persistent\tresult=success",
		who + "operation=create\tznode=/s0000000001\tznode_type=ephemeral_sequential\tresult=success",
		who + "operation=create\tznode=/a\tznode_type=persistent\tresult=failure",
		who + "operation=setData\tznode=/a\tresult=failure",
		who + "operation=setData\tznode=/a\tresult=success",
		who + "operation=setAcl\tznode=/a\tacl=world:anyone:cdrwa\tresult=success",
		who + "operation=create\tznode=/m0000000002\tznode_type=persistent_sequential\tresult=success",
		who + "operation=setData\tznode=/a\tresult=success",
		who + "operation=delete\tznode=/a\tresult=success",
		who + "operation=multiOperation\tresult=failure",
		who + "operation=delete\tznode=/none\tresult=failure",
		who + "operation=reconfig\tresult=failure",
		fmt.Sprintf("session=0x%x\t", uint64(c.SessionID)) + self + "operation=ephemeralZNodeDeleteOnSessionClose\tznode=/s0000000001\tresult=success",
		self + "operation=serverStop\tresult=invoked",
	}
	text, err := os.ReadFile(cfg.AuditFile)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(string(text)) {
		got = append(got, strings.TrimSuffix(line[len("2006-01-02 15:04:05,000 "):], "\n"))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("recorded:\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if strings.Contains(string(text), "secret") {
		t.Error("a password is in the record")
	}
}

// memory is an audit log in memory.
type memory struct{ events []audit.Event }

func (m *memory) Write(events []audit.Event) error {
	m.events = append(m.events, events...)
	return nil
}

func (m *memory) Close() error { return nil }

// TestAuditLogHasAPlace: without a file it goes to the journal, and without a journal the server does not start.
func TestAuditLogHasAPlace(t *testing.T) {
	cfg := loadConfig(t, "audit.enable=true\n")
	if _, err := Start(t.Context(), cfg, quiet()); exitCode(err) != exit.Config || !strings.Contains(err.Error(), "audit.file must name a file") {
		t.Errorf("without a place: %v", err)
	}
	o, journal := quiet(), &memory{}
	o.Journal = journal
	s, err := Start(t.Context(), cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(journal.events) != 2 || journal.events[0].Operation != audit.ServerStart {
		t.Errorf("the journal has %+v", journal.events)
	}
	cfg.AuditFile = filepath.Join(t.TempDir(), "none", "audit.log")
	if _, err := Start(t.Context(), cfg, o); exitCode(err) != exit.Config || !strings.Contains(err.Error(), "audit.file") {
		t.Errorf("a file that cannot be made: %v", err)
	}
}
