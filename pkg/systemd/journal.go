package systemd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/coreos/go-systemd/v22/journal"
)

// Handler returns the log handler for a format: text, json, journal, or auto, which is journal where stderr leads to
// it and text elsewhere. What is below the level is dropped. In the journal, each record has the standing as well.
func Handler(format string, level slog.Leveler, standing *Standing, stderr io.Writer) (slog.Handler, error) {
	if format == "auto" {
		format = "text"
		if yes, err := journal.StderrIsJournalStream(); err == nil && yes {
			format = "journal"
		}
	}
	switch format {
	case "text":
		return slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}), nil
	case "json":
		return slog.NewJSONHandler(stderr, &slog.HandlerOptions{Level: level}), nil
	case "journal":
		return &journalHandler{send: journal.Send, level: level, standing: standing}, nil
	}
	return nil, fmt.Errorf("systemd: no log format %q: text, json, journal or auto", format)
}

// A Standing is what is true of the server whatever it logs: attributes, such as role and epoch, that each record has as
// fields and not in its text. Anybody may set it at any time.
type Standing struct{ attrs atomic.Pointer[[]slog.Attr] }

// Set says what is true from now on.
func (s *Standing) Set(attrs ...slog.Attr) { s.attrs.Store(&attrs) }

// journalHandler writes records to the journal with their attributes as fields: zxid is ZABD_ZXID. The message has
// them too, for those who read only that.
type journalHandler struct {
	send     func(message string, p journal.Priority, fields map[string]string) error
	level    slog.Leveler
	standing *Standing
	attrs    []slog.Attr
	group    string
}

// Enabled implements slog.Handler.
func (h *journalHandler) Enabled(_ context.Context, l slog.Level) bool { return l >= h.level.Level() }

// Handle implements slog.Handler.
func (h *journalHandler) Handle(_ context.Context, r slog.Record) error {
	fields := make(map[string]string)
	if all := h.standing.attrs.Load(); all != nil {
		for _, a := range *all {
			fields[fieldName(a.Key)] = a.Value.String()
		}
	}
	var message strings.Builder
	message.WriteString(r.Message)
	add := func(a slog.Attr) bool {
		value := a.Value.Resolve().String()
		fields[fieldName(a.Key)] = value
		if id := messageIDs[Event(value)]; a.Key == EventKey && id != "" {
			fields["MESSAGE_ID"] = id
			return true
		}
		fmt.Fprintf(&message, " %s=%s", a.Key, value)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(func(a slog.Attr) bool { return add(slog.Attr{Key: h.group + a.Key, Value: a.Value}) })
	return h.send(message.String(), priority(r.Level), fields)
}

// WithAttrs implements slog.Handler.
func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.attrs = slices.Clone(h.attrs)
	for _, a := range attrs {
		next.attrs = append(next.attrs, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	return &next
}

// WithGroup implements slog.Handler.
func (h *journalHandler) WithGroup(name string) slog.Handler {
	next := *h
	next.group = h.group + name + "_"
	return &next
}

// fieldName returns the journal's field for an attribute: capitals, digits and underscores.
func fieldName(key string) string {
	return "ZABD_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

func priority(l slog.Level) journal.Priority {
	switch {
	case l >= slog.LevelError:
		return journal.PriErr
	case l >= slog.LevelWarn:
		return journal.PriWarning
	}
	return journal.PriInfo
}
