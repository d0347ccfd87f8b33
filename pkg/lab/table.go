package lab

import (
	"fmt"
	"io"
	"strings"
)

const heading = "server  pid      role        epoch  zxid          latency avg/max ms  connections  address"

// row is a server's line of the table.
func row(s *Server, st Status) string {
	pid, epoch, zxid, latency, conns := "-", "-", "-", "-", "-"
	if st.PID != 0 {
		pid = fmt.Sprint(st.PID)
	}
	if st.Serves() {
		epoch, zxid, conns = fmt.Sprint(st.Epoch), fmt.Sprintf("0x%x", st.Zxid), fmt.Sprint(st.Connections)
		latency = fmt.Sprintf("%.2f/%.0f", st.Avg, st.Max)
	}
	return fmt.Sprintf("%-6d  %-7s  %-10s  %-5s  %-12s  %-18s  %-11s  %s", s.ID, pid, st.Role, epoch, zxid, latency, conns, s.Addr)
}

func (e *Ensemble) rows() []string {
	var out []string
	for _, s := range e.Servers {
		out = append(out, row(s, s.Status()))
	}
	return out
}

// A board shows the table again and again: in place on a terminal, elsewhere each line when it has changed.
type board struct {
	out   io.Writer
	place bool
	shown []string // the rows as shown last
}

func (b *board) show(rows []string) {
	var text strings.Builder
	if b.shown == nil {
		fmt.Fprintln(&text, heading)
		b.shown = make([]string, len(rows))
	} else if b.place {
		fmt.Fprintf(&text, "\x1b[%dA", len(rows)) // up to the first row
	}
	for i, r := range rows {
		if b.place {
			fmt.Fprintf(&text, "\r%s\x1b[K\n", r)
		} else if r != b.shown[i] {
			fmt.Fprintln(&text, r)
		}
	}
	copy(b.shown, rows)
	_, _ = io.WriteString(b.out, text.String()) // nobody is left to tell that the terminal is gone
}
