package shell

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/zabd/zabd/pkg/client"
	"github.com/zabd/zabd/pkg/proto"
)

// Quotas lie in nodes below /zookeeper/quota: that of /a/b in /zookeeper/quota/a/b, with a child for the limits and a child
// in which the servers count.
const (
	quotaRoot  = "/zookeeper/quota"
	limitsNode = "zookeeper_limits"
	statsNode  = "zookeeper_stats"
)

// The fields of both, and the letters of the options that set them.
const (
	softCount, softBytes = "count", "bytes"
	hardCount, hardBytes = "countHardLimit", "byteHardLimit"
)

var quotaFields = map[string]string{"n": softCount, "b": softBytes, "N": hardCount, "B": hardBytes}

// quotaCommands are about quotas.
func quotaCommands() []*Command {
	options := func(value string) []Option {
		return []Option{
			{"n", "count", value, "num soft quota"},
			{"b", "bytes", value, "bytes soft quota"},
			{"N", "hard-count", value, "num hard quota"},
			{"B", "hard-bytes", value, "bytes hard quota"},
		}
	}
	return []*Command{
		{Name: "setquota", Usage: "-n|-b|-N|-B val path", Short: "Limit a subtree's nodes or bytes", Options: options("N"), group: required, least: 2, run: setQuota},
		{Name: "listquota", Usage: "path", Short: "Print a subtree's limits and what it has", least: 2, run: listQuota},
		{Name: "delquota", Usage: "[-n|-b|-N|-B] path", Short: "Take a subtree's limits away", Options: options(""), group: atMost, least: 2, run: delQuota},
	}
}

// track is the content of a limits or a stats node: count=C,bytes=B and, where there are more fields, =;field=N...
type track map[string]int64

func parseTrack(data []byte) (track, error) {
	t := track{}
	for _, pair := range strings.FieldsFunc(string(data), func(r rune) bool { return r == ',' || r == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		n, err := strconv.ParseInt(strings.TrimSuffix(value, "="), 10, 64)
		if err != nil {
			return nil, fail("quota data %q: %s is not a number", data, name)
		}
		t[name] = n
	}
	return t, nil
}

// of returns a field, -1 if it is not there: no limit.
func (t track) of(field string) int64 {
	if n, ok := t[field]; ok {
		return n
	}
	return -1
}

func (t track) String() string {
	s := fmt.Sprintf("count=%d,bytes=%d", t.of(softCount), t.of(softBytes))
	more := ""
	for _, name := range slices.Sorted(maps.Keys(t)) {
		if name != softCount && name != softBytes {
			more += fmt.Sprintf(";%s=%d", name, t[name])
		}
	}
	if more == "" {
		return s
	}
	return s + "=" + more // readers of old stop at the second =
}

// quotaOf reads the limits or the stats of a path.
func (s *Shell) quotaOf(ctx context.Context, path, node string) (track, error) {
	data, _, err := s.zk.Get(ctx, quotaRoot+path+"/"+node)
	if err != nil {
		return nil, err
	}
	return parseTrack(data)
}

// wanted returns the limit that the call sets.
func wanted(c Call) (field string, limit int64, err error) {
	for letter := range c.values {
		bits, what, least, bound := 64, "bytes", int64(0), "greater than or equal to zero"
		if field = quotaFields[letter]; letter == "n" || letter == "N" {
			bits, what, least, bound = 32, "num", 1, "greater than zero"
		}
		limit, err = c.number(letter, bits, 0, "NumberFormatException happens when parsing the option value")
		if err == nil && limit < least {
			err = fail("the %s quota must be %s", what, bound)
		}
	}
	return field, limit, err
}

func setQuota(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	if strings.HasPrefix(path, quotaRoot) {
		return fail("cannot set a quota under the path: %s", quotaRoot)
	}
	field, limit, err := wanted(c)
	if err == nil {
		err = checkPath(path)
	}
	if err != nil {
		return err
	}
	_, ok, err := s.zk.Exists(ctx, path)
	if err != nil {
		return explain(err, path)
	}
	if !ok {
		return fail("%s does not exist.", path)
	}
	if err := s.checkNested(ctx, path); err != nil {
		return err
	}
	return s.storeQuota(ctx, path, field, limit)
}

// checkNested refuses a quota below or above another one.
func (s *Shell) checkNested(ctx context.Context, path string) error {
	own := quotaRoot + path
	if err := checkPath(own); err != nil {
		return err
	}
	err := s.visit(ctx, own, false, func(node string) error {
		if above, ok := strings.CutSuffix(node, "/"+limitsNode); ok && above != own {
			return fail("%s has a child %s which has a quota", path, above[len(quotaRoot):])
		}
		return nil
	})
	var said *Error
	if errors.As(err, &said) && !strings.HasPrefix(said.Text, sentences[proto.NoNode]) {
		return err
	}
	names := strings.Split(path, "/")
	for i := 2; i < len(names); i++ {
		above := strings.Join(names[:i], "/")
		_, ok, err := s.zk.Exists(ctx, quotaRoot+above+"/"+limitsNode)
		if err != nil {
			return explain(err, above)
		}
		if ok {
			return fail("%s has a parent %s which has a quota", path, above)
		}
	}
	return nil
}

// storeQuota adds a limit to those that the path has.
func (s *Shell) storeQuota(ctx context.Context, path, field string, limit int64) error {
	limits, err := s.quotaOf(ctx, path, limitsNode)
	fresh := errors.Is(err, proto.NoNode)
	if fresh {
		limits, err = track{softCount: -1, softBytes: -1, hardCount: -1, hardBytes: -1}, nil
	}
	if err != nil {
		return explain(err, path)
	}
	limits[field] = limit
	node, data := quotaRoot+path+"/"+limitsNode, []byte(limits.String())
	if fresh {
		err = s.createQuota(ctx, path, data)
	}
	if err != nil {
		return explain(err, path)
	}
	has, err := s.quotaOf(ctx, path, statsNode)
	if err != nil {
		return explain(err, path)
	}
	s.warn("count", limits.of(softCount), limits.of(hardCount), has.of(softCount))
	s.warn("bytes", limits.of(softBytes), limits.of(hardBytes), has.of(softBytes))
	if fresh {
		return nil
	}
	_, err = s.zk.Set(ctx, node, data, -1)
	return explain(err, node)
}

// createQuota makes the nodes of a path's first quota.
func (s *Shell) createQuota(ctx context.Context, path string, limits []byte) error {
	names := strings.Split(quotaRoot+path, "/")
	for i := 2; i <= len(names); i++ {
		if err := s.ensure(ctx, strings.Join(names[:i], "/")); err != nil {
			return err
		}
	}
	if _, _, err := s.zk.Create(ctx, quotaRoot+path+"/"+limitsNode, limits, client.ModePersistent); err != nil {
		return err
	}
	none := track{softCount: 0, softBytes: 0}
	_, _, err := s.zk.Create(ctx, quotaRoot+path+"/"+statsNode, []byte(none.String()), client.ModePersistent)
	return err
}

// ensure creates a node unless it is there.
func (s *Shell) ensure(ctx context.Context, path string) error {
	_, ok, err := s.zk.Exists(ctx, path)
	if err != nil || ok {
		return err
	}
	if _, _, err = s.zk.Create(ctx, path, nil, client.ModePersistent); errors.Is(err, proto.NodeExists) {
		return nil
	}
	return err
}

func (s *Shell) warn(what string, soft, hard, has int64) {
	if soft > -1 && soft < has || hard > -1 && hard < has {
		s.say("[Warning]: the %s quota you create is less than the existing %s:%d", what, what, has)
	}
}

func listQuota(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	s.note("absolute path is %s", quotaRoot+path+"/"+limitsNode)
	if err := checkPath(quotaRoot + path + "/" + limitsNode); err != nil {
		return err
	}
	limits, err := s.quotaOf(ctx, path, limitsNode)
	if err == nil {
		s.say("Output quota for %s %v", path, limits)
		limits, err = s.quotaOf(ctx, path, statsNode)
	}
	if errors.Is(err, proto.NoNode) {
		return fail("quota for %s does not exist.", path)
	}
	if err != nil {
		return explain(err, path)
	}
	s.say("Output stat for %s %v", path, limits)
	return nil
}

func delQuota(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	node := quotaRoot + path + "/" + limitsNode
	if err := checkPath(node); err != nil {
		return err
	}
	limits, err := s.quotaOf(ctx, path, limitsNode)
	if errors.Is(err, proto.NoNode) {
		s.say("Quota does not exist for %s", path)
		return nil
	}
	if err == nil && len(c.values) == 0 {
		err = s.dropQuota(ctx, quotaRoot+path)
	} else if err == nil {
		for letter := range c.values {
			limits[quotaFields[letter]] = -1
		}
		_, err = s.zk.Set(ctx, node, []byte(limits.String()), -1)
	}
	if errors.Is(err, proto.NoNode) {
		return fail("quota for %s does not exist.", path)
	}
	return explain(err, node)
}

// dropQuota deletes a quota, and the nodes above it that hold no other.
func (s *Shell) dropQuota(ctx context.Context, own string) error {
	names, _, err := s.zk.Children(ctx, own)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := s.zk.Delete(ctx, own+"/"+name, -1); err != nil {
			return err
		}
	}
	for own != quotaRoot {
		names, _, err := s.zk.Children(ctx, own)
		if err != nil || len(names) > 0 {
			return err
		}
		if err := s.zk.Delete(ctx, own, -1); err != nil {
			return err
		}
		own = own[:strings.LastIndexByte(own, '/')]
	}
	return nil
}
