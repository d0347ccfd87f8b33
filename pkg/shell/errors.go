package shell

import (
	"errors"
	"fmt"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// zkCli's exit codes.
const (
	codeFailed    = 1
	codeNoCommand = 127
)

// An Error is what a command answers in the place of a result.
type Error struct {
	Text  string // for people; "" if all has been said
	Code  int    // zkCli's exit code
	Usage bool   // the command was not written as it should be
}

// Error returns the text.
func (e *Error) Error() string { return e.Text }

// errSaid is the error of a command that has already told what went wrong.
var errSaid = &Error{Code: codeFailed}

func fail(format string, values ...any) error {
	return &Error{Text: fmt.Sprintf(format, values...), Code: codeFailed}
}

func usageError(text string) error { return &Error{Text: text, Code: codeFailed, Usage: true} }

// sentences are what zkCli says of codes, before the path.
var sentences = map[proto.Code]string{
	proto.NoNode:                  "Node does not exist: ",
	proto.NoChildrenForEphemerals: "Ephemerals cannot have children: ",
	proto.NodeExists:              "Node already exists: ",
	proto.NotEmpty:                "Node not empty: ",
	proto.NotReadOnly:             "Not a read-only call: ",
	proto.InvalidACL:              "Acl is not valid : ",
	proto.NoAuth:                  "Insufficient permission : ",
	proto.BadArguments:            "Arguments are not valid : ",
	proto.BadVersion:              "version No is not valid : ",
	proto.QuotaExceeded:           "Quota has exceeded : ",
}

// codeNames are the names of codes in what ZooKeeper's client says of them.
var codeNames = map[proto.Code]string{
	proto.SystemError: "SystemError", proto.RuntimeInconsistency: "RuntimeInconsistency", proto.DataInconsistency: "DataInconsistency",
	proto.ConnectionLoss: "ConnectionLoss", proto.MarshallingError: "MarshallingError", proto.NewConfigNoQuorum: "NewConfigNoQuorum",
	proto.ReconfigInProgress: "ReconfigInProgress", proto.Unimplemented: "Unimplemented", proto.OperationTimeout: "OperationTimeout",
	proto.BadArguments: "BadArguments", proto.NoNode: "NoNode", proto.NoAuth: "NoAuth", proto.BadVersion: "BadVersion",
	proto.NoChildrenForEphemerals: "NoChildrenForEphemerals", proto.NodeExists: "NodeExists", proto.InvalidACL: "InvalidACL",
	proto.AuthFailed: "AuthFailed", proto.NotEmpty: "Directory not empty", proto.SessionExpired: "Session expired",
	proto.InvalidCallback: "Invalid callback", proto.SessionMoved: "Session moved", proto.NotReadOnly: "Not a read-only call",
	proto.EphemeralOnLocalSession: "Ephemeral node on local session", proto.NoWatcher: "No such watcher",
	proto.ReconfigDisabled: "Reconfig is disabled", proto.QuotaExceeded: "Quota has exceeded",
	proto.SessionClosedRequireSasl: "Session closed because client failed to authenticate",
	proto.ThrottledOp:              "Op throttled due to high load",
}

// keeperError is a code in the words of ZooKeeper's client.
func keeperError(code proto.Code, path string) string {
	name, ok := codeNames[code]
	if !ok {
		name = fmt.Sprintf("Unknown error %d", code)
	}
	if path == "" {
		return "KeeperErrorCode = " + name
	}
	return "KeeperErrorCode = " + name + " for " + path
}

// explain makes zkCli's error of one of the client's. Behind a lost connection it says why there is none.
func explain(err error, path string) error {
	var own *Error
	if err == nil || errors.As(err, &own) {
		return err
	}
	var large *client.TooLargeError
	if errors.As(err, &large) {
		return fail("The request has %d bytes, and servers take %d (jute.maxbuffer): store less in one node", large.Size, large.Limit)
	}
	code, known := codeOf(err)
	if !known {
		return fail("%v", err)
	}
	if s, ok := sentences[code]; ok {
		return fail("%s%s", s, path)
	}
	switch code {
	case proto.ReconfigInProgress:
		return fail("Another reconfiguration is in progress -- concurrent reconfigs not supported (yet)")
	case proto.NewConfigNoQuorum:
		return fail("No quorum of new config is connected and up-to-date with the leader of last commmitted config - " +
			"try invoking reconfiguration after new servers are connected and synced")
	case proto.ConnectionLoss:
		return fail("%s: %v", keeperError(code, path), reason(err))
	}
	return fail("%s", keeperError(code, path))
}

// codeOf returns the code that an error stands for.
func codeOf(err error) (code proto.Code, known bool) {
	var not *client.NotConnectedError
	if errors.Is(err, client.ErrClosed) || errors.As(err, &not) {
		return proto.ConnectionLoss, true
	}
	return code, errors.As(err, &code)
}

// reason says why a call got no answer.
func reason(err error) string {
	var not *client.NotConnectedError
	switch {
	case client.Uncertain(err):
		return "it may have happened all the same: read the node to find out"
	case errors.As(err, &not):
		return not.Error()
	}
	return err.Error()
}
