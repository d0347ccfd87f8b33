package main

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// timerSlack, in nanoseconds, is by how much the kernel may let a sleeping thread of the server sleep longer. No timer of
// the server is finer than some milliseconds.
const timerSlack = 1_000_000

// coarsenTimers starts the program again, in its own place and once, with timerSlack as the slack of its timers
// (prctl(2), PR_SET_TIMERSLACK).
//
// Go's monitor thread naps for 20 microseconds at a time while anything goes on, and is woken from its sleep whenever
// an idle server gets work. In a virtual machine, where each nap is a trap to set the timer, that takes a fifth of the
// CPU that a member of an ensemble uses, and as much of the time that a lone write takes. The thread is there before any
// code of ours runs, and threads have the slack of whoever made them: so only what is set before the program starts
// reaches it. A server alone does without: while it is asked one thing after the other, the naps keep a processor awake that
// would have to be woken for each answer, which takes two to three times as long.
//
// Where anything of this is not possible, the server runs as it is.
func coarsenTimers() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	slack := func() int {
		n, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
		if err != nil {
			return timerSlack
		}
		return n
	}
	path, err := os.Executable()
	if err != nil || slack() >= timerSlack {
		return
	}
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, timerSlack, 0, 0, 0); err != nil || slack() < timerSlack {
		return // else it would start itself for ever
	}
	_ = syscall.Exec(path, os.Args, os.Environ())
}
