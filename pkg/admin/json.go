package admin

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// object is a JSON object whose members keep their order.
type object []member

type member struct {
	key   string
	value any // nil, bool, string, int, int64, number, object or a slice of those
}

// number is one that is printed as it stands.
type number string

// array holds values of any kind.
type array []any

func (o *object) put(key string, value any) { *o = append(*o, member{key, value}) }

func (o object) has(key string) bool {
	for _, m := range o {
		if m.key == key {
			return true
		}
	}
	return false
}

// text prints the object as ZooKeeper's admin server does: two blanks for each depth, blanks around the colons, the
// elements of an array on one line.
func (o object) text() []byte {
	var b bytes.Buffer
	write(&b, o, 0)
	return b.Bytes()
}

func write(b *bytes.Buffer, value any, depth int) {
	switch v := value.(type) {
	case object:
		writeObject(b, v, depth)
	case array:
		if len(v) == 0 {
			b.WriteString("[ ]")
			return
		}
		for i, element := range v {
			b.WriteString([...]string{", ", "[ "}[btoi(i == 0)])
			write(b, element, depth)
		}
		b.WriteString(" ]")
	case number:
		b.WriteString(string(v))
	case int:
		b.WriteString(strconv.Itoa(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	default:
		writeScalar(b, v)
	}
}

func btoi(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

func writeObject(b *bytes.Buffer, o object, depth int) {
	if len(o) == 0 {
		b.WriteString("{ }")
		return
	}
	indent := func(n int) {
		b.WriteByte('\n')
		for range n {
			b.WriteString("  ")
		}
	}
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		indent(depth + 1)
		writeScalar(b, m.key)
		b.WriteString(" : ")
		write(b, m.value, depth+1)
	}
	indent(depth)
	b.WriteByte('}')
}

// writeScalar writes nil, a bool or a string.
func writeScalar(b *bytes.Buffer, v any) {
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // into memory, and of a kind that has a text
	b.Truncate(b.Len() - 1)
}
