package client

import (
	"errors"
	"fmt"
	"strings"

	"github.com/zabd/zabd/pkg/proto"
)

// What a server answers, and what the client says in its place, for errors.Is.
const (
	ErrNoNode                  = proto.NoNode
	ErrNodeExists              = proto.NodeExists
	ErrNotEmpty                = proto.NotEmpty
	ErrBadVersion              = proto.BadVersion
	ErrNoAuth                  = proto.NoAuth
	ErrAuthFailed              = proto.AuthFailed
	ErrInvalidACL              = proto.InvalidACL
	ErrBadArguments            = proto.BadArguments
	ErrNoChildrenForEphemerals = proto.NoChildrenForEphemerals
	ErrEphemeralOnLocalSession = proto.EphemeralOnLocalSession
	ErrQuotaExceeded           = proto.QuotaExceeded
	ErrNotReadOnly             = proto.NotReadOnly
	ErrNoWatcher               = proto.NoWatcher
	ErrThrottled               = proto.ThrottledOp
	ErrUnimplemented           = proto.Unimplemented
	ErrReconfigDisabled        = proto.ReconfigDisabled
	ErrConnectionLoss          = proto.ConnectionLoss
	ErrSessionExpired          = proto.SessionExpired
	ErrSessionMoved            = proto.SessionMoved
)

// Errors that no server sends.
var (
	ErrClosed   = errors.New("the client is closed")
	ErrOverflow = errors.New("events were not taken in time: read the nodes again and watch anew")
	ErrRemoved  = errors.New("the watch was removed")
)

// An Error says why a call failed, and that it has changed nothing. errors.Is finds its Code and what lies behind it.
type Error struct {
	Op   proto.Op
	Path string     // as the caller gave it; "" if the call has none
	Code proto.Code // what the server said, or the nearest to what the client found
	Err  error      // more about it, or nil
}

// Error names the call, the node, the reason, and what to do about it where that is not plain.
func (e *Error) Error() string {
	s := "client: " + e.Op.String()
	if e.Path != "" {
		s += " " + e.Path
	}
	if e.Err != nil {
		return s + ": " + e.Err.Error()
	}
	s += ": " + e.Code.Error()
	if advice := advices[e.Code]; advice != "" {
		s += ": " + advice
	}
	return s
}

// Unwrap returns the code and the reason.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Code}
	}
	return []error{e.Code, e.Err}
}

// advices say what to do about a code.
var advices = map[proto.Code]string{
	proto.BadVersion:               "the node has changed meanwhile; read it again",
	proto.NoAuth:                   "add a credential that the node's ACL names",
	proto.AuthFailed:               "the server does not take the credential or does not know the scheme",
	proto.InvalidACL:               "an entry's scheme or id is not one that the server knows",
	proto.NoChildrenForEphemerals:  "only a node that is not ephemeral has children",
	proto.NotEmpty:                 "delete the children first",
	proto.EphemeralOnLocalSession:  "the server keeps sessions to itself and may not upgrade them (localSessionsUpgradingEnabled)",
	proto.QuotaExceeded:            "raise the quota or delete nodes below it",
	proto.NotReadOnly:              "the server has no quorum and answers reads only; wait for one that has",
	proto.SessionExpired:           "ephemeral nodes and watches are gone; make them again",
	proto.SessionMoved:             "another connection has taken the session",
	proto.ThrottledOp:              "the server is overloaded; try again later",
	proto.Unimplemented:            "the server does not know the operation, or it is not enabled",
	proto.ReconfigDisabled:         "the servers need reconfigEnabled=true",
	proto.SessionClosedRequireSasl: "the server wants a credential first: give Options.Auth",
}

// An UncertainError says that a change was sent and no answer came: it may have happened. Read the node to find out; and
// because it may arrive even later, have the next change name the version that it expects. It is ErrConnectionLoss to
// errors.Is if the connection was lost, or the error of the context that ended.
type UncertainError struct {
	Op   proto.Op
	Path string
	Err  error
}

// Error names the call and the node.
func (e *UncertainError) Error() string {
	s := "client: " + e.Op.String()
	if e.Path != "" {
		s += " " + e.Path
	}
	return s + " may have happened: no answer: " + e.Err.Error()
}

// Unwrap returns the reason.
func (e *UncertainError) Unwrap() error { return e.Err }

// Uncertain tells whether a call that failed so may have happened all the same.
func Uncertain(err error) bool {
	var u *UncertainError
	return errors.As(err, &u)
}

// A LossError is a connection that ended. It is ErrConnectionLoss to errors.Is.
type LossError struct {
	Server string
	Err    error
}

// Error names the server.
func (e *LossError) Error() string {
	return "lost the connection to " + e.Server + ": " + e.Err.Error()
}

// Unwrap returns the code and the reason.
func (e *LossError) Unwrap() []error { return []error{ErrConnectionLoss, e.Err} }

// A NotConnectedError says that no server has given, or taken back, the session. It is ErrConnectionLoss to errors.Is.
type NotConnectedError struct {
	Servers []string
	Last    error // why the last attempt failed; nil if there was none
}

// Error names the servers and the last failure.
func (e *NotConnectedError) Error() string {
	s := "not connected to " + strings.Join(e.Servers, ", ")
	if e.Last != nil {
		s += ": " + e.Last.Error()
	}
	return s + "; check the addresses, and that a server is up and has a quorum"
}

// Unwrap returns the code and the reason.
func (e *NotConnectedError) Unwrap() []error {
	if e.Last == nil {
		return []error{ErrConnectionLoss}
	}
	return []error{ErrConnectionLoss, e.Last}
}

// A TooLargeError refuses a request that the servers would cut the connection for.
type TooLargeError struct{ Size, Limit int }

// Error tells both numbers, and whose they are.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the request has %d bytes and servers take %d: store less in one node, "+
		"or raise jute.maxbuffer at the servers and Options.MaxRequest here", e.Size, e.Limit)
}

// A PathError says what is wrong with a path.
type PathError struct{ Path, Reason string }

// Error names the path and the reason.
func (e *PathError) Error() string { return fmt.Sprintf("path %q %s", e.Path, e.Reason) }

// An AddressError says what is wrong with a list of servers.
type AddressError struct{ Address, Reason string }

// Error names the address and the reason.
func (e *AddressError) Error() string {
	return fmt.Sprintf("client: address %q %s: want host:port,host:port/chroot", e.Address, e.Reason)
}
