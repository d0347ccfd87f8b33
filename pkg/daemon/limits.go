package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"runtime/debug"
	"runtime/metrics"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/limit"
	"github.com/zabd/zabd/pkg/pipeline"
	"github.com/zabd/zabd/pkg/server"
)

// maxDescriptors returns how many files the process may have open.
func maxDescriptors() float64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return -1
	}
	return float64(l.Cur)
}

// listenClients opens the client port, with a backlog of the system's choice if that is negative.
func listenClients(address string, backlog int) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil || backlog < 0 {
		return l, err
	}
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err == nil {
		var lerr error
		err = raw.Control(func(fd uintptr) { lerr = unix.Listen(int(fd), backlog) }) // again: it changes the backlog
		if err == nil {
			err = lerr
		}
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("backlog of %d: %w", backlog, err)
	}
	return l, nil
}

// requestLimits are the settings as package pipeline wants them.
func requestLimits(cfg *config.Config) pipeline.Limits {
	t := &cfg.Throttle
	return pipeline.Limits{
		Outstanding: cfg.GlobalOutstandingLimit,
		Requests: limit.Requests{
			Most: t.MaxRequests, Stall: t.Stall, DropStale: t.DropStale,
			StaleByLatency: t.StaleByLatency, StaleByConnection: t.StaleByConnection, Patience: t.OpWait,
		},
	}
}

// clientLimits are the settings as package server wants them.
func clientLimits(cfg *config.Config) server.Limits {
	c := &cfg.Connections
	rate := limit.Rate{
		Tokens: c.Tokens, FillTime: c.FillTime, FillCount: c.FillCount, FreezeTime: c.FreezeTime,
		DropIncrease: c.DropIncrease, DropDecrease: c.DropDecrease, DecreaseRatio: c.DecreaseRatio,
	}
	if c.Weighted {
		rate.New, rate.Renewed = c.GlobalWeight, c.RenewWeight
	}
	return server.Limits{
		MaxPerAddress: cfg.MaxClientCnxns, MaxTotal: cfg.MaxCnxns, HandshakeTimeout: cfg.SessionlessTimeout, Sessions: rate,
		Large: limit.Large{Threshold: cfg.LargeRequestThreshold, Most: int64(cfg.LargeRequestMaxBytes)},
	}
}

// mostExpiries is how many ends of sessions the log tells in a second: where a network has failed there are too many.
const mostExpiries = 100

// expiries counts the sessions of a second. Its owner is the peer loop.
type expiries struct {
	second time.Duration
	n      int
}

// expired logs that a session has been silent for too long.
func (s *Server) expired(id int64) {
	e := &s.expiries
	if now := s.clock().Truncate(time.Second); now != e.second {
		e.second, e.n = now, 0
	}
	if e.n++; e.n > mostExpiries && !s.log.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	s.log.Info("session expired", "session", fmt.Sprintf("0x%x", uint64(id)))
}

// memoryEvery is how often it is looked at how much memory is left.
const memoryEvery = time.Second

func (s *Server) memoryLoop() {
	t := time.NewTicker(memoryEvery)
	defer t.Stop()
	for tight := false; ; {
		if now := s.lookAtMemory(); now != tight {
			tight = now
			if tight {
				s.log.Warn("memory is short: no connection and no large request is taken")
			} else {
				s.log.Info("there is memory again")
			}
		}
		select {
		case <-t.C:
		case <-s.quit:
			return
		}
	}
}

// lookAtMemory has clients turned away while memory is short.
func (s *Server) lookAtMemory() (tight bool) {
	tight = limit.Tight(s.memory())
	s.clients.SetTight(tight)
	return tight
}

// memoryInUse returns how much memory this process cannot give back, as of the last garbage collection, and how much it
// may have (GOMEMLIMIT).
func memoryInUse() (used, most uint64) {
	limit := debug.SetMemoryLimit(-1)
	if limit == math.MaxInt64 {
		return 0, 0
	}
	samples := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(samples)
	return samples[0].Value.Uint64() + samples[1].Value.Uint64(), uint64(limit)
}

// purgeLoop removes old files at the start and then at every interval.
func (s *Server) purgeLoop() {
	for {
		cfg := s.current.Load()
		var next <-chan time.Time
		if cfg.AutopurgePurgeInterval > 0 {
			if _, err := s.dir.Purge(cfg.AutopurgeSnapRetainCount); err != nil {
				s.log.Warn("purge failed", "err", err)
			}
			next = time.After(cfg.AutopurgePurgeInterval)
		}
		select {
		case <-next:
		case <-s.purging:
		case <-s.quit:
			return
		}
	}
}
