package ctl

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

	"github.com/zabd/zabd/pkg/config"
)

const (
	defaultSocket = "/run/zabd/control.sock"
	askTimeout    = 5 * time.Second // for one answer
	longestAnswer = 1 << 20
)

// asked says which server is asked: that of this host by its control socket, or another by its client port.
type asked struct {
	socket string // "" = as zoo.cfg says
	server string // host:port; "" = the server of this host
}

// control is the control socket of a server.
type control struct {
	path, commands string // the file, and what the paths of the commands begin with
	client         *http.Client
}

// control returns the control socket that is named, or that zoo.cfg names. A zoo.cfg with mistakes, or that may not be read,
// must not keep anybody from asking a server that runs.
func (o *options) control() *control {
	c := &control{path: defaultSocket, commands: "/commands"}
	settings, _ := config.Show(o.config, o.Env, nil, false)
	for _, s := range settings {
		switch {
		case s.Key == "controlSocket" && s.Value != "":
			c.path = s.Value
		case s.Key == "admin.commandURL" && strings.HasPrefix(s.Value, "/"):
			c.commands = s.Value
		}
	}
	if o.socket != "" {
		c.path = o.socket
	}
	c.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", c.path)
		},
	}}
	return c
}

// get returns the answer to a request, whatever its status is.
func (c *control) get(ctx context.Context, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
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
		return 0, nil, fmt.Errorf("no server answers on %s: %w", c.path, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(answer.Body, longestAnswer))
	return answer.StatusCode, body, err
}

// command has the server carry out a command, and reads its answer into out.
func (c *control) command(ctx context.Context, name string, out any) error {
	_, body, err := c.get(ctx, strings.TrimSuffix(c.commands, "/")+"/"+name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, out); err != nil {
		return fmt.Errorf("%s on %s: %w", name, c.path, err)
	}
	return nil
}

// ready returns "" if clients are served, and else why they are not.
func (c *control) ready(ctx context.Context) (why string, err error) {
	status, body, err := c.get(ctx, "/readyz")
	if err != nil || status == http.StatusOK {
		return "", err
	}
	return strings.TrimSpace(string(body)), nil
}

// word asks a four-letter word at a client port.
func word(ctx context.Context, server, word string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", server)
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
		err = fmt.Errorf("%s does not answer %s", server, word)
	}
	return string(text), err
}
