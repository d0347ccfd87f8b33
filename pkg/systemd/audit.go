package systemd

import (
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// HasJournal tells whether there is a journal to write to.
func HasJournal() bool { return journal.Enabled() }

// A Record writes lines to the journal under an identifier of their own, apart from the program's log.
type Record struct {
	identifier string
	send       func(message string, p journal.Priority, fields map[string]string) error
}

// NewRecord returns a record whose SYSLOG_IDENTIFIER is identifier.
func NewRecord(identifier string) *Record { return &Record{identifier: identifier, send: journal.Send} }

// Write writes one line. Its fields go with it by the names ZABD_AUDIT_....
func (r *Record) Write(line string, fields map[string]string) error {
	all := map[string]string{"SYSLOG_IDENTIFIER": r.identifier}
	for key, value := range fields {
		all["ZABD_AUDIT_"+strings.ToUpper(key)] = value
	}
	if err := r.send(line, journal.PriInfo, all); err != nil {
		return fmt.Errorf("systemd: journal: %w", err)
	}
	return nil
}
