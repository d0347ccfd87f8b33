package overview

// Rates are what a server did between two looks at it, in a second.
type Rates struct {
	Requests float64 // packets received, pings included
	Writes   float64 // transactions, of the whole ensemble
	SyncMS   float64 // milliseconds of a sync of the log, on average; -1 = none, or not told
}

// Between compares what a server has told with what it told before. A server that was started or elected anew in between
// has no rates yet.
func Between(before, now *Server, seconds float64) (r Rates, ok bool) {
	if !before.Ready || !now.Ready || seconds <= 0 || now.Received < before.Received || now.Zxid.Epoch() != before.Zxid.Epoch() {
		return r, false
	}
	r.Requests = float64(now.Received-before.Received) / seconds
	r.Writes = float64(now.Zxid-before.Zxid) / seconds
	r.SyncMS = -1
	count, sum := "cnt_fsynctime", "sum_fsynctime"
	if n := now.Metrics[count] - before.Metrics[count]; n > 0 {
		r.SyncMS = (now.Metrics[sum] - before.Metrics[sum]) / n
	}
	return r, true
}
