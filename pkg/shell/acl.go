package shell

import (
	"context"

	"github.com/zabd/zabd/pkg/proto"
)

// aclCommands are about who may do what.
func aclCommands() []*Command {
	return []*Command{
		{Name: "addauth", Usage: "scheme auth", Short: "Give the server a credential", Session: true, least: 2, run: addAuth},
		{Name: "getAcl", Usage: "[-s] path", Short: "Print who may do what with a node", Options: []Option{{"s", "stat", "", "print the node's stat"}}, least: 2, run: getACL},
		{
			Name: "setAcl", Usage: "[-s] [-v version] [-R] path acl", Short: "Say who may do what with a node", least: 3, run: setACL,
			Options: []Option{{"s", "stat", "", "print the node's stat"}, {"v", "version", "N", "the version that the ACL must have"}, {"R", "recursive", "", "of all nodes below as well"}},
		},
		{Name: "whoami", Short: "Print who the server takes this client for", verbatim: true, run: whoAmI},
	}
}

func addAuth(ctx context.Context, s *Shell, c Call) error {
	var credential []byte
	if len(c.Args) > 1 {
		credential = []byte(c.Args[1])
	}
	return explain(s.zk.AddAuth(ctx, c.Args[0], credential), "")
}

func getACL(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	if err := checkPath(path); err != nil {
		return err
	}
	acl, stat, err := s.zk.ACL(ctx, path)
	if err != nil {
		return explain(err, path)
	}
	for _, a := range acl {
		s.say("%s", aclText(a))
	}
	s.sayStat(c, &stat)
	return nil
}

func setACL(ctx context.Context, s *Shell, c Call) error {
	path := c.Args[0]
	acl := parseACL(c.Args[1], s.complain)
	version, err := c.version()
	if err == nil {
		err = checkPath(path)
	}
	if err != nil {
		return err
	}
	if len(acl) == 0 {
		return fail("%snull", sentences[proto.InvalidACL])
	}
	if c.Has("R") {
		return s.setACLBelow(ctx, path, acl, version)
	}
	stat, err := s.zk.SetACL(ctx, path, acl, version)
	if err != nil {
		return explain(err, path)
	}
	s.sayStat(c, &stat)
	return nil
}

// setACLBelow goes on where a node refuses.
func (s *Shell) setACLBelow(ctx context.Context, path string, acl []proto.ACL, version int32) error {
	var refused error
	err := s.visit(ctx, path, false, func(path string) error {
		_, err := s.zk.SetACL(ctx, path, acl, version)
		if code, known := codeOf(err); known {
			s.complain("%s", keeperError(code, path))
			refused = errSaid
			return nil
		}
		return explain(err, path)
	})
	if err != nil {
		return err
	}
	return refused
}

func whoAmI(ctx context.Context, s *Shell, _ Call) error {
	ids, err := s.zk.WhoAmI(ctx)
	if err != nil {
		return explain(err, "")
	}
	s.say("Auth scheme: User")
	for _, id := range ids {
		s.say("%s: %s", id.Scheme, id.ID)
	}
	return nil
}
