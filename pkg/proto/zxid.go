// Package proto has the words of ZooKeeper's client protocol: opcodes, error codes, ids and ACLs, Stats, every request
// and reply record, and the rules for paths. It turns records into bytes and back and decides nothing.
//
// A record's Decode reads fields in wire order and returns the decoder's first error; its AppendTo cannot fail.
// Decoded strings and buffers alias the input (see package jute).
package proto

import "strconv"

// A Zxid orders all changes: the leader's epoch in the high 32 bits, a counter within the epoch in the low ones.
type Zxid int64

// MakeZxid joins an epoch and a counter.
func MakeZxid(epoch, counter uint32) Zxid { return Zxid(uint64(epoch)<<32 | uint64(counter)) }

// Epoch returns the high 32 bits.
func (z Zxid) Epoch() uint32 { return uint32(uint64(z) >> 32) }

// Counter returns the low 32 bits.
func (z Zxid) Counter() uint32 { return uint32(uint64(z)) }

// String returns the zxid in hexadecimal with a leading 0x, as ZooKeeper's tools print it.
func (z Zxid) String() string { return "0x" + strconv.FormatUint(uint64(z), 16) }
