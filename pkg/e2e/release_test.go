//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// release is a version of the package, in the three ways in which a host can get it: as a file of the operator's, from a URL,
// and from a signed repository. The operator's place serves the last two.
type release struct {
	deb, url, sha256, repository, key string
}

// newest is what was built last, in the repository of make repo.
func (s *site) newest() release {
	s.t.Helper()
	signed, err := filepath.Abs(repository)
	if err != nil {
		s.t.Fatal(err)
	}
	return s.release(newestPackage(s.t), signed)
}

// earlier is like the newest, of a lower version, in a repository of its own.
func (s *site) earlier() release {
	s.t.Helper()
	dir, err := filepath.Abs(s.file("earlier"))
	if err != nil {
		s.t.Fatal(err)
	}
	deb := earlier(s.t)
	rpms, _ := filepath.Glob("../../dist/zabd-*.rpm")
	if len(rpms) == 0 {
		s.t.Fatal("no package; make repo")
	}
	run(s.t, "mkdir", dir)
	run(s.t, "cp", deb, filepath.Join(dir, "zabd_earlier_amd64.deb"))
	run(s.t, "cp", rpms[0], dir)
	key, err := filepath.Abs("../../dist/key") // which make repo has made
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("../../packaging/repo/repo.sh", dir, dir+"/repo")
	cmd.Env = append(os.Environ(), "REPO_KEY=repository@zabd.invalid", "GNUPGHOME="+key)
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%v\n%s", err, out)
	}
	return s.release(deb, dir+"/repo")
}

func (s *site) release(deb, repo string) release {
	s.t.Helper()
	sum, _, _ := strings.Cut(run(s.t, "sha256sum", deb), " ")
	return release{
		deb: deb, sha256: sum, key: filepath.Join(repo, "zabd.asc"),
		url:        s.serve(filepath.Dir(deb)) + "/" + filepath.Base(deb),
		repository: s.serve(filepath.Join(repo, "apt")) + " stable main",
	}
}

// serve lets hosts fetch the files of a directory, and returns its URL.
func (s *site) serve(dir string) string {
	s.t.Helper()
	var l net.Listener
	var err error
	if e := within(s.netns, func() { l, err = net.Listen("tcp", operator+":0") }); e != nil || err != nil {
		s.t.Fatal(e, err)
	}
	server := &http.Server{Handler: http.FileServer(http.Dir(dir)), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	s.t.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String()
}

// byEachWay gives the hosts an inventory in which zk1 installs from the URL, zk2 from the file, and the others from the repository.
func (r release) byEachWay(hosts map[int]string) map[int]string {
	out := map[int]string{}
	for n, own := range hosts {
		switch n {
		case 1:
			own += fmt.Sprintf(", zabd_install_from: url, zabd_package_url: '%s', zabd_package_checksum: 'sha256:%s'", r.url, r.sha256)
		case 2:
		default:
			own += fmt.Sprintf(", zabd_install_from: repository, zabd_repository_url: '%s', zabd_repository_key: '%s'", r.repository, r.key)
		}
		out[n] = own
	}
	return out
}

// alone takes the sources away that hosts have of the outer machine: nothing is fetched from elsewhere.
func (h *host) alone() {
	h.t.Helper()
	if err := os.Remove(filepath.Join(h.root, "etc/apt/sources.list")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.t.Fatal(err)
	}
}

// version returns that of the package which a host has.
func (h *host) version() string {
	h.t.Helper()
	return strings.TrimSpace(h.do("dpkg-query", "--show", "--showformat=${Version}", "zabd"))
}

// has fails unless all hosts have a release.
func (s *site) has(t *testing.T, r release) {
	t.Helper()
	want := strings.TrimSpace(run(t, "dpkg-deb", "--field", r.deb, "Version"))
	for _, h := range s.hosts {
		if got := h.version(); got != want {
			t.Errorf("%s has version %s, want %s", h.name, got, want)
		}
	}
}
