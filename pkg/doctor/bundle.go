package doctor

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// asked are the commands whose answers a bundle has. None of them tells a session's id or the configuration's text.
func asked() []string {
	return []string{"configuration", "dirs", "environment", "hash", "last_snapshot", "leader", "monitor", "observers", "server_stats", "voting_view", "watch_summary", "zabstate"}
}

// WriteBundle writes a .tar.gz for whoever is asked for help: the report, what the servers tell, the host's own numbers, and
// more files that the caller has.
func WriteBundle(ctx context.Context, w io.Writer, s *Subject, r *Report, more map[string][]byte) error {
	files := maps.Clone(more)
	if files == nil {
		files = make(map[string][]byte)
	}
	var err error
	if files["report.json"], err = json.MarshalIndent(r, "", "  "); err != nil {
		return err
	}
	for i := range r.Ensemble.Servers {
		if of := &r.Ensemble.Servers[i]; len(of.Metrics) > 0 {
			if files[fmt.Sprintf("metrics/%d.json", i+1)], err = json.MarshalIndent(map[string]any{"server": of.Name(), "metrics": of.Metrics}, "", "  "); err != nil {
				return err
			}
		}
	}
	proc := []string{"meminfo", "mounts", "loadavg", "version", "swaps", "pressure/io", "pressure/memory", "pressure/cpu", "sys/vm/swappiness"}
	if s.Own >= 0 && s.Targets[s.Own].Control != nil {
		proc = append(proc, s.askControl(ctx, files)...)
	}
	for _, name := range proc {
		if text, err := os.ReadFile(filepath.Join(s.Host.Proc, name)); err == nil {
			files["proc/"+name] = text
		}
	}
	return archive(w, r, files)
}

// askControl adds what the server of this host tells, and returns the names of its files in /proc.
func (s *Subject) askControl(ctx context.Context, files map[string][]byte) (proc []string) {
	c := s.Targets[s.Own].Control
	pid, err := c.Process()
	if err != nil {
		return nil // it is down, which the report says
	}
	for _, command := range asked() {
		if text, err := c.Answer(ctx, command); err == nil {
			files["control/"+command+".json"] = text
		}
	}
	for _, name := range []string{"limits", "status", "cgroup", "io"} {
		proc = append(proc, fmt.Sprintf("%d/%s", pid, name))
	}
	return proc
}

func archive(w io.Writer, r *Report, files map[string][]byte) error {
	zip := gzip.NewWriter(w)
	t := tar.NewWriter(zip)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: "zabd-report/" + name, Mode: 0o600, Size: int64(len(files[name])), ModTime: r.At, Typeflag: tar.TypeReg}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(files[name]); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), zip.Close())
}
