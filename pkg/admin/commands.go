package admin

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// command is one of those below the command URL.
type command struct {
	name    string
	aliases string
	serving bool // it needs a server that serves
	changes bool // something: not over TCP without authentication
	guarded bool // ZooKeeper asks for authentication as well
	post    bool // the method is POST, and not GET
	run     func(c *call)
}

// call is one request for a command. The handler of the command fills the answer.
type call struct {
	*HTTP
	command *command
	r       *http.Request
	w       http.ResponseWriter
	status  int
	answer  object
	err     any      // a string, or nil
	local   bool     // by the control socket
	ids     *Aliases // for sessions; nil = they are told
	stream  func() error
}

// fail ends a command with an error that its caller is told.
func (c *call) fail(status int, text string) { c.status, c.err = status, text }

// commands are those of ZooKeeper, in the order of its index. Names are looked up in lower case.
var commands = []command{
	{name: "configuration", aliases: "conf config", serving: true, run: (*call).configuration},
	{name: "connection_stat_reset", aliases: "crst", serving: true, changes: true, run: func(c *call) { c.Source.ResetConns() }},
	{name: "connections", aliases: "cons", serving: true, run: (*call).connections},
	{name: "dirs", serving: true, run: (*call).dirs},
	{name: "dump", serving: true, run: (*call).dump},
	{name: "environment", aliases: "env envi", run: (*call).environment},
	{name: "get_trace_mask", aliases: "gtmk", run: (*call).traceMask},
	{name: "hash", serving: true, run: (*call).hashes},
	{name: "initial_configuration", aliases: "icfg", serving: true, run: (*call).initialConfiguration},
	{name: "is_read_only", aliases: "isro", serving: true, run: func(c *call) { c.answer.put("read_only", false) }},
	{name: "last_snapshot", aliases: "lsnp", serving: true, run: (*call).lastSnapshot},
	{name: "leader", aliases: "lead", serving: true, run: (*call).leader},
	{name: "monitor", aliases: "mntr", serving: true, run: (*call).monitor},
	{name: "observer_connection_stat_reset", aliases: "orst", serving: true, changes: true, run: func(c *call) { c.Source.ResetLearners() }},
	{name: "observers", aliases: "obsr", serving: true, run: (*call).observers},
	{name: "restore", aliases: "rest", serving: true, changes: true, guarded: true, post: true, run: (*call).restore},
	{name: "ruok", serving: true, run: func(*call) {}},
	{name: "server_stats", aliases: "srvr", serving: true, run: (*call).serverStats},
	{name: "set_trace_mask", aliases: "stmk", changes: true, run: (*call).setTraceMask},
	{name: "shed_connections", aliases: "shed", serving: true, changes: true, guarded: true, post: true, run: (*call).shed},
	{name: "snapshot", aliases: "snap", serving: true, changes: true, guarded: true, run: (*call).snapshot},
	{name: "stat_reset", aliases: "srst", serving: true, changes: true, run: func(c *call) { c.Source.ResetStats() }},
	{name: "stats", aliases: "stat", serving: true, run: (*call).stats},
	{name: "system_properties", aliases: "sysp", run: (*call).systemProperties},
	{name: "voting_view", serving: true, run: (*call).votingView},
	{name: "watch_summary", aliases: "wchs", serving: true, run: (*call).watchSummary},
	{name: "watches", aliases: "wchc", serving: true, run: (*call).watches},
	{name: "watches_by_path", aliases: "wchp", serving: true, run: (*call).watchesByPath},
	{name: "zabstate", run: (*call).zabState},
}

func findCommand(name string) *command {
	for i := range commands {
		if c := &commands[i]; c.name == name || slices.Contains(strings.Fields(c.aliases), name) {
			return c
		}
	}
	return nil
}

func (c *call) configuration() {
	of := make(map[string]string)
	for _, s := range c.Source.Settings() {
		of[s.Key] = s.Value
	}
	c.answer = object{
		{"client_port", number(of["clientPort"])},
		{"data_dir", of["dataDir"]},
		{"data_log_dir", of["dataLogDir"]},
		{"tick_time", number(of["tickTime"])},
		{"max_client_cnxns", number(of["maxClientCnxns"])},
		{"min_session_timeout", number(of["minSessionTimeout"])},
		{"max_session_timeout", number(of["maxSessionTimeout"])},
		{"server_id", number(of["serverId"])},
		{"client_port_listen_backlog", number(of["clientPortListenBacklog"])},
	}
}

func (c *call) connections() {
	all := array{}
	for _, x := range byRemote(c.Source.Conns()) {
		if x.Asks {
			continue
		}
		all = append(all, append(brief(&x), object{
			{"session_id", c.ids.Of(x.Session)},
			{"last_operation", x.LastOp},
			{"established", x.Established.UnixMilli()},
			{"session_timeout", x.Timeout.Milliseconds()},
			{"last_cxid", x.LastCxid},
			{"last_zxid", x.LastZxid},
			{"last_response_time", x.LastResponse},
			{"last_latency", x.Last.Milliseconds()},
			{"min_latency", x.Min.Milliseconds()},
			{"avg_latency", x.Avg.Milliseconds()},
			{"max_latency", x.Max.Milliseconds()},
		}...))
	}
	c.answer = object{{"connections", all}, {"secure_connections", array{}}}
}

// brief is how stats describes a connection, and how connections begins.
func brief(x *Conn) object {
	return object{
		{"remote_socket_address", x.Remote},
		{"interest_ops", 1},
		{"outstanding_requests", x.Queued},
		{"packets_received", x.Received},
		{"packets_sent", x.Sent},
	}
}

func (c *call) dirs() {
	data, log := c.Source.DirSizes()
	c.answer = object{{"datadir_size", data}, {"logdir_size", log}}
}

func (c *call) sessions(ids []int64) array {
	out := array{}
	for _, id := range ids {
		out = append(out, c.ids.Of(id))
	}
	return out
}

func (c *call) dump() {
	all := c.Source.Sessions()
	due, paths := object{}, object{}
	for _, d := range all.Due {
		due.put(strconv.FormatInt(d.Clock.Milliseconds(), 10), c.sessions(d.IDs))
	}
	for _, o := range all.Ephemerals {
		paths.put(strconv.FormatInt(c.ids.Of(o.ID), 10), strings2array(o.Paths))
	}
	c.answer = object{{"expiry_time_to_session_ids", due}, {"session_id_to_ephemeral_paths", paths}}
}

func strings2array(all []string) array {
	out := array{}
	for _, s := range all {
		out = append(out, s)
	}
	return out
}

func (c *call) environment() {
	for _, s := range c.Source.Environment() {
		c.answer.put(s.Key, s.Value)
	}
}

// systemProperties tells what of Java's properties has a meaning here.
func (c *call) systemProperties() {
	all := []Setting{{"file.encoding", "UTF-8"}, {"file.separator", "/"}, {"line.separator", "\n"}, {"path.separator", ":"}}
	for _, s := range c.Source.Environment() {
		if !strings.HasPrefix(s.Key, "os.memory.") {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(x, y Setting) int { return strings.Compare(x.Key, y.Key) })
	for _, s := range all {
		c.answer.put(s.Key, s.Value)
	}
}

func (c *call) traceMask() { c.answer.put("tracemask", c.Trace.Load()) }

func (c *call) setTraceMask() {
	mask, err := strconv.ParseInt(c.r.URL.Query().Get("traceMask"), 10, 64)
	if err != nil {
		c.answer.put("error", "setTraceMask requires long traceMask argument")
		return
	}
	c.Trace.Set(mask)
	c.traceMask()
}

func (c *call) hashes() {
	all := array{}
	for _, d := range c.Source.Digests() {
		all = append(all, object{{"zxid", int64(d.Zxid)}, {"digest_version", d.Version}, {"digest", int64(d.Digest)}})
	}
	c.answer.put("digests", all)
}

// initialConfiguration tells the file's text, which may hold secrets, only where session ids are told as well.
func (c *call) initialConfiguration() {
	var text any
	if t, ok := c.Source.ConfigText(); ok && c.local {
		text = t
	}
	c.answer.put("initial_configuration", text)
}

func (c *call) lastSnapshot() {
	zxid, at := c.Source.LastSnapshot()
	c.answer = object{{"zxid", strconv.FormatUint(zxid, 16)}, {"timestamp", at.Unix()}}
}

func (c *call) monitor() {
	s := c.Source.Status()
	c.answer = object{{"version", s.Version}, {"server_state", s.Mode}}
	if s.PeerState != "" {
		c.answer.put("peer_state", s.PeerState)
	}
	for _, v := range c.Source.Metrics() {
		c.answer.put(v.Name, number(v.Text))
	}
}

func sizes(last, least, most int64) object {
	return object{{"last_buffer_size", last}, {"min_buffer_size", least}, {"max_buffer_size", most}}
}

func (c *call) serverStats() {
	s := c.Source.Status()
	data, log := c.Source.DirSizes()
	replies := sizes(s.Replies[0], s.Replies[1], s.Replies[2])
	c.answer = object{
		{"version", s.Version},
		{"read_only", false},
		{"server_stats", object{
			{"packets_sent", s.Sent},
			{"packets_received", s.Received},
			{"fsync_threshold_exceed_count", s.SlowSyncs},
			{"client_response_stats", replies},
			{"data_dir_size", data},
			{"log_dir_size", log},
			{"provider_null", false},
			{"last_processed_zxid", int64(s.Zxid)},
			{"server_state", s.Mode},
			{"outstanding_requests", s.Outstanding},
			{"avg_latency", number(decimal(s.AvgLatency))},
			{"max_latency", s.MaxLatency.Milliseconds()},
			{"min_latency", s.MinLatency.Milliseconds()},
			{"num_alive_client_connections", s.Connections},
			{"auth_failed_count", 0}, // these three are of TLS
			{"non_mtlsremote_conn_count", 0},
			{"non_mtlslocal_conn_count", 0},
			{"uptime", s.Uptime.Milliseconds()},
		}},
		{"client_response", replies},
	}
	if p := s.Proposals; p != nil {
		c.answer.put("proposal_stats", sizes(int64(p[0]), int64(p[1]), int64(p[2])))
	}
	c.answer.put("node_count", s.Nodes)
}

func (c *call) stats() {
	c.serverStats()
	all := array{}
	for _, x := range byRemote(c.Source.Conns()) {
		if !x.Asks {
			all = append(all, brief(&x))
		}
	}
	c.answer.put("connections", all)
	c.answer.put("secure_connections", array{})
}

func (c *call) watchSummary() {
	sessions, paths, watches := summarize(c.Source.Watches())
	c.answer = object{{"num_connections", sessions}, {"num_paths", paths}, {"num_total_watches", watches}}
}

func (c *call) watches() {
	all := object{}
	for of := range bySession(c.Source.Watches()) {
		paths := array{}
		for _, w := range of {
			paths = append(paths, w.Path)
		}
		all.put(strconv.FormatInt(c.ids.Of(of[0].Session), 10), paths)
	}
	c.answer.put("session_id_to_watched_paths", all)
}

func (c *call) watchesByPath() {
	all := object{}
	for on := range byPath(c.Source.Watches()) {
		sessions := array{}
		for _, w := range on {
			sessions = append(sessions, c.ids.Of(w.Session))
		}
		all.put(on[0].Path, sessions)
	}
	c.answer.put("path_to_session_ids", all)
}
