package serve

// Validations are the connections that wait to hear whether their sessions live. The answers name a session; those for
// one session come in the order of the questions. A connection that has gone meanwhile keeps its place.
type Validations struct {
	waiting map[int64][]any
}

// Ask adds a connection that has shown a session's id and password.
func (v *Validations) Ask(id int64, conn any) {
	if v.waiting == nil {
		v.waiting = make(map[int64][]any)
	}
	v.waiting[id] = append(v.waiting[id], conn)
}

// Answer takes the connection that an answer is for; nil if there is none.
func (v *Validations) Answer(id int64) any {
	conns := v.waiting[id]
	switch len(conns) {
	case 0:
		return nil
	case 1:
		delete(v.waiting, id)
	default:
		v.waiting[id] = conns[1:]
	}
	return conns[0]
}

// Reset forgets all questions: no answer to them will come.
func (v *Validations) Reset() { clear(v.waiting) }
