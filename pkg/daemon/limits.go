package daemon

import "golang.org/x/sys/unix"

// maxDescriptors returns how many files the process may have open.
func maxDescriptors() float64 {
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return -1
	}
	return float64(l.Cur)
}
