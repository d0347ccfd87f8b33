// Package jute turns primitive fields into bytes and back, in the encoding that every wire and disk format of
// ZooKeeper shares: big-endian, unaligned, untagged. It owns the size rules of that encoding and knows no record.
//
// Encoders append to a buffer that the caller owns and cannot fail. A Decoder walks bytes that somebody else has
// read; what it returns for strings and buffers aliases those bytes, so whoever keeps one clones it.
package jute

import (
	"encoding/binary"
	"unicode/utf8"
)

// AppendByte appends one byte.
func AppendByte(dst []byte, v byte) []byte { return append(dst, v) }

// AppendBool appends a boolean as the byte 0 or 1.
func AppendBool(dst []byte, v bool) []byte {
	if v {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendInt appends a 32-bit integer.
func AppendInt(dst []byte, v int32) []byte { return binary.BigEndian.AppendUint32(dst, uint32(v)) }

// AppendLong appends a 64-bit integer.
func AppendLong(dst []byte, v int64) []byte { return binary.BigEndian.AppendUint64(dst, uint64(v)) }

// AppendBuffer appends a length and the bytes; a nil slice is the null buffer, which is not the empty one.
func AppendBuffer(dst, v []byte) []byte {
	if v == nil {
		return AppendInt(dst, -1)
	}
	return append(AppendInt(dst, int32(len(v))), v...)
}

// AppendCount appends the number of elements of a vector or map; -1 is the null vector.
func AppendCount(dst []byte, n int) []byte { return AppendInt(dst, int32(n)) }

// AppendString appends a length in bytes and the text. A character outside the basic plane becomes two three-byte
// sequences, one for each of its surrogates, as ZooKeeper's own encoder writes it.
func AppendString(dst []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0xF0 {
			return appendSurrogates(dst, s)
		}
	}
	return append(AppendInt(dst, int32(len(s))), s...)
}

// AppendNullString appends the null string.
func AppendNullString(dst []byte) []byte { return AppendInt(dst, -1) }

func appendSurrogates(dst []byte, s string) []byte {
	at := len(dst)
	dst = AppendInt(dst, 0)
	for _, r := range s {
		if r < 0x10000 {
			dst = utf8.AppendRune(dst, r)
			continue
		}
		r -= 0x10000
		dst = appendUnit(dst, 0xD800+r>>10)
		dst = appendUnit(dst, 0xDC00+r&0x3FF)
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// appendUnit writes one UTF-16 unit at or above U+0800, surrogates included, which package utf8 refuses to do.
func appendUnit(dst []byte, u rune) []byte {
	return append(dst, 0xE0|byte(u>>12), 0x80|byte(u>>6)&0xBF, 0x80|byte(u)&0xBF)
}
