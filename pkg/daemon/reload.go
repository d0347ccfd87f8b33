package daemon

import (
	"log/slog"
	"strings"

	"github.com/zabd/zabd/pkg/config"
)

// reload reads the settings anew and takes over those that may change in a server that runs. What is wrong leaves all
// as it was, and is returned; what counts only after a restart is named.
func (s *Server) reload(load func() (config.Config, []string, error)) error {
	read, warnings, err := load()
	if err != nil {
		s.log.Error("the settings stay as they are", "err", err)
		return err
	}
	for _, w := range warnings {
		s.log.Warn(w)
	}
	var next config.Config
	var fixed []string
	s.changeSettings(func(cfg *config.Config) {
		next, fixed = config.Reload(*cfg, read)
		*cfg = next
	})
	s.apply(&next)
	if len(fixed) > 0 {
		s.log.Warn("settings that have changed and count only after a restart", "keys", strings.Join(fixed, ", "))
	}
	s.log.Info("settings reloaded")
	return nil
}

// apply lets settings count from now on.
func (s *Server) apply(cfg *config.Config) {
	words := *s.words.Load()
	words.Whitelist = cfg.FourLetterWhitelist
	s.words.Store(&words)
	s.level.Set(levels[cfg.LogLevel])
	s.clients.SetLimits(clientLimits(cfg))
	s.pipeline.SetLimits(requestLimits(cfg))
	select {
	case s.purging <- struct{}{}:
	default:
	}
}

// levels are the values of logLevel.
var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}
