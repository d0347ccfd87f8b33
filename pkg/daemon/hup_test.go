package daemon

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/systemd"
)

// TestHangup sends SIGHUP to a program that serves, and looks at what it tells its service manager.
func TestHangup(t *testing.T) {
	next := manager(t)
	told := func(prefix string) string {
		t.Helper()
		for {
			if said := next(); strings.HasPrefix(said, prefix) {
				return said
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cfg, out, loads := settings(t, ""), &lockedBuffer{}, atomic.Int32{}
	load := func() (config.Config, []string, error) {
		if loads.Add(1) == 1 {
			return config.Config{}, nil, &config.Error{Source: "zoo.cfg:7", Key: "tickTime", Reason: "is odd"}
		}
		next := cfg
		next.MaxCnxns = 7
		return next, []string{"a warning"}, nil
	}
	ended := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(out, nil))
	x := service{log: log, standing: new(systemd.Standing), load: load, cfg: cfg, options: Options{Log: log}}
	go func() { ended <- x.run(ctx) }()
	told("READY=1\n")
	for want := int32(1); want <= 2; want++ {
		if err := syscall.Kill(syscall.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		told("RELOADING=1\nMONOTONIC_USEC=")
		status := told("READY=1\n")
		if refused := "; the settings stay as they are: config: zoo.cfg:7: tickTime: is odd"; strings.HasSuffix(status, refused) != (want == 1) {
			t.Errorf("after reload %d: %q", want, status)
		}
		if got := loads.Load(); got != want {
			t.Errorf("loaded %d times, want %d", got, want)
		}
	}
	cancel()
	told("STOPPING=1\n")
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for _, want := range []string{"the settings stay as they are", "zoo.cfg:7: tickTime: is odd", "a warning", "settings reloaded"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log does not say %q: %s", want, out.String())
		}
	}
}
