package daemon

func (s *Server) fourLetter(word string) ([]byte, bool) {
	if word == "ruok" {
		return []byte("imok"), true
	}
	return nil, false
}
