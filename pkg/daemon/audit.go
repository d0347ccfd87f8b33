package daemon

import (
	"os/user"

	"github.com/zabd/zabd/pkg/audit"
	"github.com/zabd/zabd/pkg/config"
	"github.com/zabd/zabd/pkg/systemd"
)

// auditIdentifier tells the audit log's lines in the journal from those of the program's log.
const auditIdentifier = "zabd-audit"

// openAudit begins the audit log if the settings ask for one: in their file, or in the journal.
func (s *Server) openAudit(journal audit.Sink) error {
	if !s.cfg.AuditEnabled {
		return nil
	}
	sink := journal
	switch {
	case s.cfg.AuditFile != "":
		file, err := audit.OpenFile(s.cfg.AuditFile)
		if err != nil {
			return &config.Error{Source: "settings", Key: "audit.file", Reason: err.Error()}
		}
		sink = file
	case sink == nil:
		return &config.Error{Source: "settings", Key: "audit.enable", Reason: "there is no journal here: audit.file must name a file"}
	}
	s.audit = audit.New(sink, s.log)
	return nil
}

// auditSelf records what the server itself does.
func (s *Server) auditSelf(operation string, result audit.Result) {
	s.audit.Push(audit.Event{User: serverUser(), Operation: operation, Result: result})
}

// serverUser returns the name of the user that the server runs as.
func serverUser() string {
	u, err := user.Current()
	if err != nil {
		return ""
	}
	return u.Username
}

// journalAudit is the journal as an audit log.
type journalAudit struct{ record *systemd.Record }

// newJournalAudit returns nil if there is no journal.
func newJournalAudit() audit.Sink {
	if !systemd.HasJournal() {
		return nil
	}
	return journalAudit{systemd.NewRecord(auditIdentifier)}
}

// Write implements audit.Sink.
func (j journalAudit) Write(events []audit.Event) error {
	for i := range events {
		if err := j.record.Write(string(events[i].AppendTo(nil)), events[i].Fields()); err != nil {
			return err
		}
	}
	return nil
}

// Close implements audit.Sink.
func (j journalAudit) Close() error { return nil }
