package daemon

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/zabd/zabd/pkg/config"
)

// member reads a zoo.cfg with these lines, of the first of three servers, and tells its quorum and election port.
func member(t *testing.T, lines string) (cfg config.Config, ports [2]int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "myid"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	text := "dataDir=" + dir + "\ninitLimit=100\nsyncLimit=50\n"
	for id := 1; id <= 3; id++ {
		q, e := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
		p := [2]int{q.Addr().(*net.TCPAddr).Port, e.Addr().(*net.TCPAddr).Port}
		_, _ = q.Close(), e.Close()
		if id == 1 {
			ports = p
		}
		text += fmt.Sprintf("server.%d=127.0.0.1:%d:%d\n", id, p[0], p[1])
	}
	return settings(t, text+lines), ports
}
