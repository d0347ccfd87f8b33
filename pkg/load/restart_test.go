//go:build bench

package load

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zabd/zabd/pkg/lab"
	"github.com/zabd/zabd/pkg/proto"
	"github.com/zabd/zabd/pkg/snapshot"
)

const (
	loadedNodes   = 1_000_000
	nodesInFolder = 1000
	javaHeap      = "-Xmx512m" // of the server that loads them
)

// TestRestart measures how long a server with a million nodes takes from the start of its process until it serves, and
// the memory that it has then.
func TestRestart(t *testing.T) {
	if !chosen("restart") {
		return
	}
	running := contendersWith(t, javaHeap, 1)
	for _, e := range running {
		if err := writeSnapshot(filepath.Join(e.Servers[0].Data(), "version-2")); err != nil {
			t.Fatal(err)
		}
	}
	takeTurns(t, running, 1, []row{
		{fmt.Sprintf("start with %d nodes, ms", loadedNodes), goal{0.25, true}},
		{"resident memory then, MB", goal{0.5, true}},
	}, func(e *lab.Ensemble) []float64 {
		began := time.Now()
		start(t, e)
		took, resident := time.Since(began), e.Resident()
		e.Stop()
		return []float64{took.Seconds() * 1e3, float64(resident) / 1e6}
	})
}

// writeSnapshot writes a million nodes of 100 bytes in a thousand folders, in the form that 3.8 and 3.9 load.
func writeSnapshot(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	const zxid = proto.Zxid(1)
	f, err := os.Create(filepath.Join(dir, snapshot.FileName(zxid)))
	if err != nil {
		return err
	}
	defer f.Close()
	buffered := bufio.NewWriterSize(f, 1<<20)
	w := snapshot.NewWriter(buffered, nil, nil)
	st, data := proto.StatPersisted{Czxid: zxid, Mzxid: zxid, Pzxid: zxid}, make([]byte, 100)
	st.Ctime = time.Now().UnixMilli()
	st.Mtime = st.Ctime
	node := func(path string, data []byte) {
		w.Node(path, data, -1, &st)
		_ = w.Flush() // Finish tells of the first failure
	}
	for _, path := range []string{"", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", base} {
		node(path, nil)
	}
	for i := range loadedNodes {
		folder := fmt.Sprintf("%s/folder-%04d", base, i/nodesInFolder)
		if i%nodesInFolder == 0 {
			node(folder, nil)
		}
		node(fmt.Sprintf("%s/node-%06d", folder, i), data)
	}
	if err := w.Finish(zxid, 0, false); err != nil {
		return err
	}
	return buffered.Flush()
}
