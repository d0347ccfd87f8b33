package proto

import "strconv"

// A Code is the answer to a request: OK or one of ZooKeeper's error numbers. It is an error, so that code that refuses
// a request can return it as one.
type Code int32

// The error codes of the protocol.
const (
	OK                       Code = 0
	SystemError              Code = -1
	RuntimeInconsistency     Code = -2
	DataInconsistency        Code = -3
	ConnectionLoss           Code = -4
	MarshallingError         Code = -5
	Unimplemented            Code = -6
	OperationTimeout         Code = -7
	BadArguments             Code = -8
	UnknownSession           Code = -12
	NewConfigNoQuorum        Code = -13
	ReconfigInProgress       Code = -14
	NoNode                   Code = -101
	NoAuth                   Code = -102
	BadVersion               Code = -103
	NoChildrenForEphemerals  Code = -108
	NodeExists               Code = -110
	NotEmpty                 Code = -111
	SessionExpired           Code = -112
	InvalidCallback          Code = -113
	InvalidACL               Code = -114
	AuthFailed               Code = -115
	SessionMoved             Code = -118
	NotReadOnly              Code = -119
	EphemeralOnLocalSession  Code = -120
	NoWatcher                Code = -121
	RequestTimeout           Code = -122
	ReconfigDisabled         Code = -123
	SessionClosedRequireSasl Code = -124
	QuotaExceeded            Code = -125
	ThrottledOp              Code = -127
)

var codeNames = map[Code]string{
	OK: "ok", SystemError: "system error", RuntimeInconsistency: "runtime inconsistency",
	DataInconsistency: "data inconsistency", ConnectionLoss: "connection loss", MarshallingError: "marshalling error",
	Unimplemented: "unimplemented", OperationTimeout: "operation timeout", BadArguments: "bad arguments",
	UnknownSession: "unknown session", NewConfigNoQuorum: "new config has no quorum",
	ReconfigInProgress: "reconfig in progress", NoNode: "no node", NoAuth: "no auth", BadVersion: "bad version",
	NoChildrenForEphemerals: "no children for ephemerals", NodeExists: "node exists", NotEmpty: "node has children",
	SessionExpired: "session expired", InvalidCallback: "invalid callback", InvalidACL: "invalid ACL",
	AuthFailed: "authentication failed", SessionMoved: "session moved", NotReadOnly: "not read-only",
	EphemeralOnLocalSession: "ephemeral on local session", NoWatcher: "no watcher", RequestTimeout: "request timeout",
	ReconfigDisabled: "reconfig disabled", SessionClosedRequireSasl: "session closed, SASL required",
	QuotaExceeded: "quota exceeded", ThrottledOp: "throttled",
}

// Error returns the code's meaning and number.
func (c Code) Error() string {
	s, ok := codeNames[c]
	if !ok {
		s = "unknown error"
	}
	return s + " (" + strconv.Itoa(int(c)) + ")"
}
