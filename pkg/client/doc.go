// Package client is a client of ZooKeeper and zabd. It keeps a session with one of several servers: it reconnects to the
// next when one fails, gives credentials and watches to the new one, and sends again what is safe to send again.
//
// Calls take a context and wait; those of Async return a Future and do not wait. All travel on one connection, in the order
// in which they were made, and are answered in that order.
//
// # Errors
//
// A call that fails has an *Error, which is one of the Err values to errors.Is, and has changed nothing. The exception has a
// type of its own: *UncertainError, of a change that was sent and not answered, may have happened (see Uncertain). Reads
// are never uncertain: they are repeated on the next connection, and what was never sent is sent there. Neither waits for
// longer than the session timeout, or the context, without a connection.
//
// # Sessions
//
// Ephemeral nodes and watches belong to a session. It lives on without a connection for its timeout; after that the servers
// end it, the client learns of it when it is connected again, and takes a new one, unless Options.OneSession forbids that.
// Events and State tell of it, SessionOver is closed, and each watch is told.
//
// # Watches
//
// GetW, ExistsW, ChildrenW and ConfigW return a channel that tells one event and is closed; AddWatch returns a Watch that
// stays; GetFunc and its like have callbacks. Watches are registered again when the client reconnects, and a one-shot watch
// then tells what it has missed. A persistent one cannot; it tells EventReconnected, after which nodes have to be read anew.
package client
