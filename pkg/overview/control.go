package overview

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	answerTimeout = 5 * time.Second // for one answer
	longestAnswer = 16 << 20        // bytes
)

// A Control is the control socket of a zabd server on this host. It may be used by any number of goroutines.
type Control struct {
	Path     string // of the socket
	commands string // what the paths of the commands begin with
	client   *http.Client
}

// NewControl returns the control socket at path, whose commands are below commandURL ("/commands"). It connects to nobody.
func NewControl(path, commandURL string) *Control {
	return &Control{path, strings.TrimSuffix(commandURL, "/"), &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		},
	}}}
}

// Get returns the answer to a request, whatever its status is.
func (c *Control) Get(ctx context.Context, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://zabd"+path, nil)
	if err != nil {
		return 0, nil, err
	}
	answer, err := c.client.Do(r)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err
		}
		return 0, nil, fmt.Errorf("no server answers on %s: %w", c.Path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(answer.Body, longestAnswer))
	return answer.StatusCode, body, err
}

// Answer has the server carry out a command and returns what it answers, which is JSON.
func (c *Control) Answer(ctx context.Context, command string) ([]byte, error) {
	_, body, err := c.Get(ctx, c.commands+"/"+command)
	return body, err
}

// Command has the server carry out a command, and reads its answer into out.
func (c *Control) Command(ctx context.Context, command string, out any) error {
	body, err := c.Answer(ctx, command)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s on %s: %w", command, c.Path, err)
	}
	return nil
}

// Ready returns "" if clients are served, which means in the quorum and caught up, and else why they are not.
func (c *Control) Ready(ctx context.Context) (why string, err error) {
	status, body, err := c.Get(ctx, "/readyz")
	if err != nil || status == http.StatusOK {
		return "", err
	}
	return strings.TrimSpace(string(body)), nil
}

// Process returns the process id of the server.
func (c *Control) Process() (int, error) {
	nc, err := net.Dial("unix", c.Path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = nc.Close() }()
	raw, err := nc.(*net.UnixConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	if err = errors.Join(err, failed); err != nil {
		return 0, err
	}
	return int(peer.Pid), nil
}

// Word asks a four-letter word at a client port. A server that closes without an answer is an error.
func Word(ctx context.Context, address, word string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	until, _ := ctx.Deadline()
	if err := c.SetDeadline(until); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, word); err != nil {
		return "", err
	}
	text, err := io.ReadAll(io.LimitReader(c, longestAnswer))
	if err == nil && len(text) == 0 {
		err = fmt.Errorf("%s does not answer %s", address, word)
	}
	return string(text), err
}

// Refused tells whether a server answers a word by saying that its whitelist lacks it.
func Refused(answer string) bool { return strings.Contains(answer, "is not in the whitelist") }
